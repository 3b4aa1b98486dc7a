"""How long a benchmark will still take."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from tasks.bench.cell import Bench, Load
from tasks.bench.forecast import Forecast, Going, Left, going
from tasks.work import Bundle

ONE, TEN = Bench(requests=30, warmup=0).at(1), Bench(requests=30, warmup=0).at(10)  # 31 requests each


def cell(host: str = "a", load: Load = ONE, done: float = 0.0, *, lane: str = "", model: str = "m") -> Going:
    return Going(host, model, load, lane or host, done)


def at(load: Load, length: int) -> Load:
    return replace(load, length=length)


def watched(
    cells: dict[int, Going], paces: dict[int, float], step_s: float = 0.5
) -> Iterator[tuple[float, Left | None]]:
    """What is left by the truth, and by the forecast, while cells of like lanes go one after the other, each
    at its pace (seconds a request)."""
    forecast, now_s, cells = Forecast(), 1000.0, dict(cells)
    truth_s = {
        lane: sum(paces[n] * one.load.items for n, one in cells.items() if one.lane == lane)
        for lane in {one.lane for one in cells.values()}
    }
    began = now_s
    while max(truth_s.values()) > now_s - began:
        spent = dict.fromkeys(truth_s, now_s - began)
        for n, one in cells.items():
            took = min(spent[one.lane], paces[n] * one.load.items)
            spent[one.lane] -= took
            cells[n] = replace(one, done=float(int(took / paces[n] + 1e-9)))
        yield max(truth_s.values()) - (now_s - began), forecast.left(now_s, cells)
        now_s += step_s


def test_the_slowest_host_decides() -> None:
    """Each goes at a pace of its own, and of cells like those it has done the time is known."""
    cells = {0: cell("fast"), 1: cell("fast", TEN), 2: cell("slow"), 3: cell("slow", TEN)}
    told = list(watched(cells, {0: 1.0, 1: 1.0, 2: 3.0, 3: 3.0}))
    assert told[0][1] is None, "nothing is known yet"
    assert all(left and abs(left.seconds - truth_s) <= 4 for truth_s, left in told[30:])
    assert not any(left.at_least or left.unknown for _, left in told[30:] if left)


def test_hosts_that_take_turns_add_up() -> None:
    """Two on one machine take as long as both; before the second is measured, at least what is left of the
    first."""
    cells = {0: cell("lm", lane="@mac"), 1: cell("ollama", lane="@mac")}
    told = list(watched(cells, {0: 1.0, 1: 2.0}))
    before, after = dict(told)[93.0 - 20], dict(told)[40.0]
    assert before == Left(11.0, at_least=True, unknown=1)
    assert after
    assert (abs(after.seconds - 40) <= 2, after.at_least) == (True, False)


def test_loading_a_model_counts_for_no_pace() -> None:
    """What the first request of a cell takes is not what the others take."""
    forecast = Forecast()
    assert forecast.left(0.0, {0: cell()}) is None
    for now_s, done in ((120.0, 1), (121.0, 2), (122.0, 3)):
        assert forecast.left(now_s, {0: cell(done=done)}) is None
    assert forecast.left(123.0, {0: cell(done=4)}) == Left(27.0, False, 0)
    assert forecast.left(123.5, {0: cell(done=4)}) == Left(26.5, False, 0)
    assert forecast.left(190.0, {0: cell(done=4)}) == Left(26.0, False, 0), "one that hangs adds nothing"


def test_longer_prompts_take_at_least_as_long() -> None:
    """100, 1,000 and 10,000 tokens at 0.5 s and 1 ms a token: the least grows into the truth, never beyond it
    by more than a request, and it jumps up only where it was said to be the least."""
    lengths = (100, 1000, 10_000)
    cells = {n: cell(load=at(ONE, length)) for n, length in enumerate(lengths)}
    told = list(watched(cells, {n: 0.5 + length / 1000 for n, length in enumerate(lengths)}))
    for truth_s, left in told:
        assert left is None or left.at_least or abs(left.seconds - truth_s) <= 11
        assert left is None or left.seconds <= truth_s + 11
    long_s = 31 * 10.5
    at_first = next(left for truth_s, left in told if left and truth_s < long_s + 31 * 1.5)
    assert (at_first.at_least, at_first.unknown) == (True, 0)
    by_two = next(left for truth_s, left in told if left and truth_s <= long_s)
    assert by_two.at_least, "nobody has seen one that long"
    assert abs(by_two.seconds - long_s) < 0.1 * long_s, "a line through two lengths says how long"
    assert told[-1][1]
    assert not told[-1][1].at_least
    for (_, earlier), (_, later) in pairwise(told):
        if earlier and later and later.seconds > earlier.seconds + 2:
            assert earlier.at_least


def test_many_at_a_time_say_little_of_one_at_a_time() -> None:
    """Ten at a time were seen: one at a time take at least as long each, and nobody knows how much longer.
    The other way round the estimate is an upper one."""

    def left(first: Load, then: Load) -> Left | None:
        forecast = Forecast()
        for at_s in range(5):
            found = forecast.left(float(at_s), {0: cell(load=first, done=1 + at_s), 1: cell(load=then)})
        return found

    assert left(TEN, ONE) == Left(26.0 + 31.0, at_least=True, unknown=0)
    assert left(ONE, TEN) == Left(26.0 + 31.0, at_least=False, unknown=0)


def test_another_model_is_unknown() -> None:
    """It may be ten times as large: how many such cells there are is said, and no time for them."""
    forecast = Forecast()
    for at_s in range(5):
        found = forecast.left(
            float(at_s), {0: cell(done=1 + at_s), 1: cell(model="big"), 2: cell(model="huge")}
        )
    assert found == Left(26.0, at_least=True, unknown=2)


def test_a_schedule_is_known_from_the_start() -> None:
    """30 requests at two a second take 15 s; a warm-up that is faster changes nothing."""
    (load,) = Bench(rates=(2.0,), requests=30, warmup=1).loads()
    forecast = Forecast()
    assert forecast.left(0.0, {0: cell(load=load)}) == Left(16.0, False, 0)
    for now_s, done in ((1.0, 1), (1.1, 2), (1.2, 3), (1.3, 4)):
        found = forecast.left(now_s, {0: cell(load=load, done=done)})
    assert found
    assert abs(found.seconds - 14) < 0.1


def test_a_cell_that_was_interrupted_is_asked_whole() -> None:
    """A note of an earlier go counts for nothing, nor does what was done before we looked."""
    forecast = Forecast()
    assert forecast.left(0.0, {0: cell(done=20), 1: cell(done=31)}) is None
    for now_s, done in ((1.0, 0), (2.0, 1), (3.0, 2), (4.0, 3)):
        assert forecast.left(now_s, {0: cell(done=done), 1: cell(done=31)}) is None
    assert forecast.left(5.0, {0: cell(done=4), 1: cell(done=31)}) == Left(27.0, False, 0)


def test_cells_of_a_host_have_their_results_in_order() -> None:
    """The results of a host tell which of its cells have ended; a note, how far one is."""
    hosts = ("a", "b", "a", "b", "a")
    bundles = {
        n: Bundle(None, None, "m", (0,) * ONE.items, host=host, load=ONE) for n, host in enumerate(hosts)
    }
    found = going(bundles, {"a": 62, "b": 0}, {1: 10 / 31, 2: 30 / 31}, {"a": "@mac"})
    assert [round(one.done) for one in found.values()] == [31, 10, 31, 0, 0]
    assert [one.lane for one in found.values()] == ["@mac", "b", "@mac", "b", "@mac"]
