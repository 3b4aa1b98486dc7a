"""Which answers are compared with which."""

from typing import Any

from tasks.report.compare import compare
from tasks.report.match import matches
from tasks.report.metric import METRICS
from tasks.report.sample import Sample, gather


def samples(host: str, **ms_at: float) -> list[Sample]:
    """Thirty answers of a host under each load, `c4=100` for 100 ms at four at a time; `run` for an ordinary
    run."""
    return gather(("run", row) for load, ms in ms_at.items() for row in _rows(host, load, ms)).samples


def _rows(host: str, load: str, ms: float) -> list[dict[str, Any]]:
    asked = {} if load == "run" else {"concurrency": int(load[1:]), "load_mode": "closed"}
    return [
        {"success": True, "host": host, "model": "m", "paper_id": str(k), "ttft_ms": ms * (1 + k / 1000)}
        | asked
        for k in range(30)
    ]


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
