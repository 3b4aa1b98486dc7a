"""What a ranking says, in a line."""

from typing import Any

from tasks.report.findings import finding
from tasks.report.gather import gather
from tasks.report.metric import METRICS
from tasks.report.rank import rankings


def found(**ms_of: float) -> str | None:
    """The line of hosts whose 30 answers took about so many ms."""
    rows: list[tuple[str, dict[str, Any]]] = [
        ("run", {"success": True, "host": host, "model": "m", "paper_id": str(k), "ttft_ms": ms + k / 10})
        for host, ms in ms_of.items()
        for k in range(30)
    ]
    (ranking,) = rankings(gather(rows).samples, METRICS["ttft_ms"])
    said = finding(ranking, lambda entry: entry.cell.host or "")
    return said.line if said else None


def test_who_comes_first_and_of_how_many() -> None:
    """One; several, each of whom need not be better than each of the others; a crowd."""
    about = "time to first token, prompt read anew: "
    assert found(a=100, b=200) == f"{about}a (101.5 ms) is first of 2"
    assert found(a=100, b=100.1, c=200, d=300) == f"{about}a and b share the first place of 4"
    crowd = found(a=100, b=100.1, c=100.2, d=100.3, e=100.1, f=300)
    assert crowd == f"{about}a and b and e and 2 more share the first place of 6"


def test_nothing_to_tell() -> None:
    """Equals are said to be equal; one alone is first of nobody."""
    equal = found(a=100, b=100.1)
    assert equal
    assert equal.endswith("no difference can be told between the 2 that have enough answers")
    assert found(a=100) is None
