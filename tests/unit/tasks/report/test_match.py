"""Which answers are compared with which."""

from dataclasses import replace
from typing import Any

from tasks.report.compare import compare
from tasks.report.gather import gather
from tasks.report.match import Match, failures, matches, on_both_sides
from tasks.report.metric import METRICS
from tasks.report.sample import Sample


def samples(host: str, model: str = "m", at_min: int = 0, **ms_at: float) -> list[Sample]:
    """Thirty answers of a host under each load, `c4=100` for 100 ms at four at a time; `run` for an ordinary
    run. The loads one after the other, a minute each; answers overlap, as those of two hosts do."""
    loads = enumerate(ms_at.items(), at_min)
    return gather(
        ("run", row) for minute, (load, ms) in loads for row in _rows(host, model, minute, load, ms)
    ).samples


def _rows(host: str, model: str, minute: int, load: str, ms: float) -> list[dict[str, Any]]:
    asked = {} if load == "run" else {"concurrency": int(load[1:]), "load_mode": "closed"}
    return [
        {"success": True, "host": host, "model": model, "paper_id": str(k), "ttft_ms": ms * (1 + k / 1000)}
        | {"started_at": f"2026-01-01T00:{minute:02}:{k:02}+00:00", "stream_end_s": 1.5}
        | asked
        for k in range(30)
    ]


def verdicts(found: list[Match], by: str = "ttft_ms") -> dict[str, float | str | None]:
    """Terms -> a's figure over b's where they differ, 1 where they do not, or why it cannot be said."""
    made = {terms: compare(a, b, METRICS[by])[0] for terms, a, b in found}
    return {
        terms: one.reason
        or (one.difference and round(one.difference.ratio if one.difference.found else 1, 2))
        for terms, one in made.items()
    }


def test_who_is_simulated_is_said_with_the_pace() -> None:
    """Beside the verdict; and what is simulated in part is compared with nothing."""
    fast = {"simulated": True, "time_scale": 0.05}
    both = [gather(("run", row | fast) for row in _rows(host, "m", 0, "c1", 100)).samples for host in "ab"]
    found, notes = matches(("a", both[0]), ("b", both[1]), ("model",))
    assert verdicts(found) == {"1 at a time": 1}
    assert notes == ["a, b: simulated 20x as fast; no machine took these times"]
    found, notes = matches(("a", [*both[0], *samples("c", c1=100)]), ("b", samples("b", c1=100)))
    assert verdicts(found) == {"1 at a time": "answers of a are partly simulated"}
    assert "a: simulated 20x as fast; no machine took these times" in notes


def test_what_failed_and_what_stands_on_both_sides_is_said() -> None:
    """No verdict hides that a side answered only half of what it was asked, or that it was compared with
    itself."""
    rows = _rows("a", "m", 0, "c1", 100)
    broken = [row | {"success": False, "error": {"type": "timeout"}} for row in rows[:10]]
    sample = gather(("run", row) for row in [*rows[10:], *broken]).samples
    assert [*failures([("a", sample), ("b", samples("b", c1=100))])] == [
        "a: 10 of 30 tries failed, and are in no figure: 10 timeout"
    ]
    a, b = samples("a", c1=100), samples("b", c1=100)
    assert [*on_both_sides(a, b)] == []
    assert [*on_both_sides(a, [*a, *b])] == ["30 answers of 60 are on both sides, and make them more alike"]


def test_each_load_is_compared_by_itself() -> None:
    """All loads in one sample, the difference between them hides that between the hosts."""
    found, notes = matches(("a", samples("a", c1=100, c4=400)), ("b", samples("b", c1=150, c4=600, c16=900)))
    made = [compare(a, b, METRICS["ttft_ms"])[0].difference for _, a, b in found]
    assert [terms for terms, _, _ in found] == ["1 at a time", "4 at a time"]
    assert [round(one.ratio, 2) for one in made if one and one.found] == [0.67, 0.67]
    assert notes == ["only b was asked 16 at a time: not compared"]


def test_without_a_load_in_common_everything_is_compared_and_that_is_said() -> None:
    """Somebody who names a run and a benchmark wants to know all the same."""
    ((terms, a, b),), notes = matches(("r", samples("a", run=100)), ("b", samples("a", c1=100, c4=200)))
    assert (terms, len(a.sample.requests), len(b.sample.requests)) == ("", 30, 60)
    assert notes == ["they were asked under different loads: r as a run asks; b 1 at a time, 4 at a time"]


def test_what_was_taken_together_is_said() -> None:
    """A run of several hosts is one side; of one host nothing need be said."""
    _, notes = matches(("r", [*samples("a", run=1), *samples("b", run=2)]), ("a", samples("a", run=3)))
    assert notes == ["r: hosts taken together: a, b"]


SMALL = [*samples("mac", "small", run=100), *samples("pi", "small", run=800)]
BIG = [*samples("mac", "big", run=100), *samples("pc", "big", run=50)]


def test_models_are_compared_on_each_host_that_serves_both() -> None:
    """The small one also runs on the slow machine, the big one on the fast: taken together, the big one is
    far ahead, and where both run they are equal."""
    pooled, _ = matches(("small", SMALL), ("big", BIG))
    assert [one != 1 for one in verdicts(pooled).values()] == [True]
    found, notes = matches(("small", SMALL), ("big", BIG), ("host",))
    assert verdicts(found) == {"on mac": 1}
    assert notes == [
        "only small was asked on pi: not compared",
        "only big was asked on pc: not compared",
    ]
    (terms, a, b), *_ = found
    made = compare(a, b, METRICS["ttft_ms"])[0]
    assert "on mac" in replace(made, terms=terms).sentence()


def test_hosts_are_compared_by_each_model_they_share() -> None:
    """And under each load of it. A model alone, the same on both, goes without saying."""
    left = [*samples("a", "m", c1=100, c4=100), *samples("a", "n", c1=900)]
    right = [*samples("b", "m", c1=200, c4=300), *samples("b", "k", c1=10)]
    found, notes = matches(("a", left), ("b", right), ("model",))
    assert verdicts(found) == {"m · 1 at a time": 0.5, "m · 4 at a time": 0.33}
    assert len(notes) == 2
    plain, _ = matches(("a", samples("a", c1=100)), ("b", samples("b", c1=200)), ("model",))
    assert verdicts(plain) == {"1 at a time": 0.5}


def test_a_model_of_other_loads_on_the_same_host_is_compared_there() -> None:
    """All its loads together, which is said, and still no other host's answers among them."""
    found, notes = matches(
        ("m", [*samples("a", "m", c1=100), *samples("b", "m", c1=900)]),
        ("n", [*samples("a", "n", c4=100), *samples("c", "n", c4=10)]),
        ("host",),
    )
    assert verdicts(found) == {"on a": 1}
    assert notes[0] == "they were asked under different loads: m 1 at a time; n 4 at a time"


def test_where_nothing_is_shared_the_note_says_first_whose_the_verdict_is() -> None:
    """Machines of two models, models of two hosts; what was taken together after it."""
    pi, mac = samples("pi", "small", run=800), samples("mac", "big", run=100)
    found, notes = matches(("small", pi), ("big", mac), ("host",))
    assert verdicts(found) == {"": 8.0}
    assert notes[0] == "the machines differ, and the verdict is theirs as much: small: pi; big: mac"
    both = [*mac, *samples("mac", "huge", run=100)]
    _, notes = matches(("pi", pi), ("mac", both), ("model",))
    assert notes == [
        "the models differ, and the verdict is theirs as much: pi: small; mac: big, huge",
        "mac: models taken together: big, huge",
    ]
    alone, loaded = samples("pi", "small", c1=800), samples("mac", "big", c4=100)
    found, notes = matches(("small", alone), ("big", loaded), ("host",))
    assert verdicts(found) == {"": 8.0}
    assert [note.partition(",")[0] for note in notes] == [
        "the machines differ",
        "they were asked under different loads: small 1 at a time; big 4 at a time",
    ], "nor a load"


def test_two_runs_are_compared_by_each_model_of_a_host_that_both_have() -> None:
    """A run that gave the slow host more of the work is no slower for it."""
    found, notes = matches(("one", SMALL), ("two", [*SMALL, *BIG]), ("host", "model"))
    assert verdicts(found) == {"small on mac": 1, "small on pi": 1}
    assert notes == ["only two was asked big on mac, big on pc: not compared"]
    found, notes = matches(("one", SMALL), ("two", BIG), ("host", "model"))
    assert [terms for terms, _, _ in found] == [""], "where they share none, all answers"
    assert "two: hosts taken together: mac, pc" in notes


def test_prompts_of_two_lengths_are_not_compared_because_a_model_is_shared() -> None:
    """Each host was asked both lengths, and of the model that both have another one."""
    asked = (("a", "m", 100), ("a", "n", 900), ("b", "m", 900), ("b", "k", 100))
    loads = [
        gather(("run", row | {"target_prompt_tokens": n}) for row in _rows(host, model, 0, "c1", 5))
        for host, model, n in asked
    ]
    left, right = ([*x.samples, *y.samples] for x, y in (loads[:2], loads[2:]))
    found, notes = matches(("a", left), ("b", right), ("model",))
    assert {terms for terms, _, _ in found} == {"100 tokens · 1 at a time", "900 tokens · 1 at a time"}
    assert notes[0].startswith("the models differ")


def test_rates_of_cells_that_ran_in_turn_are_not_taken_together() -> None:
    """So many requests a second of one load, and then of another: the time of both is nobody's. Of hosts at
    one time it is what they did together."""
    turns, other = samples("a", c1=100, c4=100), samples("a", run=100)
    found, _ = matches(("turns", turns), ("run", other))
    assert verdicts(found, "rps") == {
        "": "the cells of turns ran one after the other, and have no rate in common"
    }
    assert verdicts(found) == {"": 1}, "times are another matter"
    two = [*other, *samples("b", run=100)]
    found, _ = matches(("two", two), ("one", other))
    assert verdicts(found, "rps") == {"": 2.0}
    later = [*other, *samples("b", at_min=5, run=100)]
    found, _ = matches(("later", later), ("one", other))
    assert "one after the other" in str(verdicts(found, "rps")[""])


def test_what_was_not_asked_alike_is_said() -> None:
    """Two runs with other allowances, or with another file under the model's name, are compared, and nobody
    takes the one for slower without knowing."""

    def run(max_tokens: int, digest: str) -> list[Sample]:
        more = {"params": {"max_tokens": max_tokens, "temperature": 0.0}, "model_digest": digest}
        return gather(("run", row | more) for row in _rows("a", "m", 0, "run", 100)).samples

    assert matches(("r1", run(16, "sha256:aa")), ("r2", run(16, "sha256:aa")))[1] == []
    _, notes = matches(("r1", run(16, "sha256:aa")), ("r2", run(512, "sha256:bb")))
    assert notes == [
        "asked with --max-tokens 16 and 512: other answers, and other times for it",
        "m is not one file: aa on r1; bb on r2",
    ]


def test_the_memory_of_a_cell_is_one_reading() -> None:
    """Each row of a cell repeats it: thirty rows that say 1,000 and 1,010 MiB are two readings, not sixty."""

    def cell(host: str, load: str, mib: float) -> list[Sample]:
        more = {"mem_rss_mib_peak": mib, "mem_source": "proc"}
        return gather(("run", row | more) for row in _rows(host, "m", 0, load, 100)).samples

    found, _ = matches(("a", cell("a", "c1", 1000)), ("b", cell("b", "c1", 1010)))
    assert verdicts(found, "mem_rss_mib_peak") == {
        "1 at a time": "a cell's memory is one reading, which has no interval"
    }
    found, _ = matches(("a", cell("a", "run", 1000)), ("b", cell("b", "run", 1010)))
    assert verdicts(found, "mem_rss_mib_peak") == {"": 0.99}, "of an ordinary run each request has its own"
