"""Which cells there are, what their items ask, and when a sweep ends."""

import pytest

from tasks.bench.cell import Bench, busted, knee, phase_of, places, prompts_of
from tasks.bench.plan import Cells
from tasks.intake.prompts import Prompt
from tasks.intake.stages import Stage
from tasks.sameness import shape
from tasks.work import Bundle, Manifest, Params

PROMPTS = (Prompt("a", "Why?"), Prompt("b", "How?"))


def manifest(bench: Bench, *asked: str) -> Manifest:
    """`model@host` each."""
    stages = tuple(Stage(model=one.split("@")[0], host=one.split("@")[1]) for one in asked)
    return Manifest("r1", PROMPTS, (), Params(), paperless=True, stages=stages, bench=bench)


def test_every_host_is_asked_cell_after_cell() -> None:
    """Hosts go on side by side; on each, the cells of a model are neighbours and each waits for the one
    before it."""
    asked = manifest(Bench(concurrency=(1, 4), requests=5), "m@a", "n@a", "m@b")
    cells = Cells(asked).first()
    assert [(one.host, one.model, one.load.concurrency if one.load else 0) for one in cells] == [
        ("a", "m", 1), ("a", "m", 4), ("a", "n", 1), ("a", "n", 4), ("b", "m", 1), ("b", "m", 4),
    ]  # fmt: skip
    assert [one.behind for one in cells] == [None, 0, 1, 2, None, 4]
    assert [one.after for one in cells] == [-1, 0, 1, 2, -1, 4]
    assert {one.queue for one in cells} == {"llmq.host.a", "llmq.host.b"}


def test_a_cell_survives_its_way_through_redis() -> None:
    """Bundle and manifest come back as they were."""
    asked = manifest(Bench(hosts=("a",), rates=(0.5, 2.0), arrivals="poisson", seed=7), "m@a")
    cells = Cells(asked).first()
    assert [Bundle.from_json(one.to_json()) for one in cells] == cells
    fields = asked.to_fields()
    there = dict(zip(fields[::2], fields[1::2], strict=True))
    assert Manifest.from_fields("r1", there).bench == asked.bench
    assert Cells(asked, cells[:1]).first() == cells[1:], "an interrupted submission goes on"


def test_warmup_is_apart_and_prompts_come_in_turn() -> None:
    """One first request, the warm-up, then the measured ones, which begin with the first prompt."""
    load = Bench(requests=5, warmup=2).at(1)
    assert prompts_of(load, 2) == (0, 1, 0, 0, 1, 0, 1, 0)
    phases = [phase_of(load, item, just_loaded=True) for item in range(load.items)]
    assert phases == ["cold", "warmup", "warmup", *["measure"] * 5]
    assert phase_of(load, 0, just_loaded=False) == "warmup"


def test_a_cell_has_enough_requests() -> None:
    """Thirty, and more where many are at work at once, unless somebody says how many."""
    assert [Bench().at(many).requests for many in (1, 4, 16)] == [30, 30, 64]
    assert Bench(requests=10).at(16).requests == 10


def test_the_mark_comes_first() -> None:
    """What an engine has cached of other prompts is of no use to it."""
    assert busted("Why?", "a1b2") == "[a1b2] Why?"


def test_models_are_those_named_or_all_a_host_has() -> None:
    """A model that a host does not have stays, to be named as missing there."""
    hosts = [("a", ["m", "n"]), ("b", ["n"])]
    assert list(places(hosts, ())) == [("a", "m"), ("a", "n"), ("b", "n")]
    assert list(places(hosts, ("m",))) == [("a", "m"), ("b", "m")]


@pytest.mark.parametrize(
    ("rates", "found"),
    [([10, 19, 30, 31], 4), ([10, 10.4], 1), ([10, 20, 40], None), ([10, 20, 12], 2), ([10], None)],
)
def test_the_knee_is_where_twice_as_many_gain_nothing(rates: list[float], found: int | None) -> None:
    """Less than 5 %, or a loss."""
    assert knee([(2**place, rate) for place, rate in enumerate(rates)]) == found


def test_a_sweep_goes_on_while_it_helps() -> None:
    """Level after level of one series; others have theirs."""
    cells = Cells(manifest(Bench(sweep=True), "m@a", "m@b"))
    assert [one.load.concurrency for one in cells.first() if one.load] == [1, 1]
    assert cells.open_series([]) == {0: 0, 1: 1}
    (second,) = cells.following(0, 10.0, None)
    assert second.load
    assert (second.load.concurrency, second.behind, second.host) == (2, 0, "a")
    assert cells.open_series([1]) == {0: 2}
    assert cells.before(2) == 0
    assert cells.following(2, 10.2, 10.0) == []
    assert cells.following(2, None, 10.0) == [], "nothing was answered"


def test_a_sweep_does_not_double_beyond_its_requests() -> None:
    """Three are never four at a time: the same load again would bring nothing, and look like a knee."""
    cells = Cells(manifest(Bench(sweep=True, requests=3), "m@a"))
    cells.first()
    assert cells.following(0, 10.0, None)
    assert cells.following(1, 20.0, 10.0) == []


def test_the_same_benchmark_is_known_by_what_was_asked() -> None:
    """Not by which hosts were up, nor by what they had."""
    bench = Bench(hosts=("a", "b"))
    assert shape(manifest(bench, "m@a"), ()) == shape(manifest(bench, "m@a", "m@b"), ())
    assert shape(manifest(bench, "m@a"), ()) != shape(manifest(Bench(hosts=("a",)), "m@a"), ())
