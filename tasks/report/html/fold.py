"""What is long stands open in part, the rest a click away: found by the browser's own search, printed whole.
No script."""

from collections.abc import Sequence
from typing import TypeVar

from tasks.report.html.markup import Child, Markup, joined, tag

WHOLE = 8  # rows that stand open together
OPEN = 5  # of more, these do
T = TypeVar("T")


def parted(rows: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Those that stand open, and the others."""
    return (rows, ()) if len(rows) <= WHOLE else (rows[:OPEN], rows[OPEN:])


def ends(rows: Sequence[T]) -> Sequence[T]:
    """The first, the middle and the last of many in their order, which stand for them; of few all."""
    return rows if len(rows) <= WHOLE else (rows[0], rows[len(rows) // 2], rows[-1])


def rest(said: str, *content: Child) -> Markup:
    """`content` behind what is said of it: `40 more`."""
    return tag("details", tag("summary", said), *content, class_="rest")


def listed(names: Sequence[str]) -> Child:
    """`a, b, c`, of many the first ones."""
    first, others = parted(names)
    more = rest(f"{len(others):,} more", tag("div", ", ".join(others))) if others else None
    return joined(", ".join(first), more)
