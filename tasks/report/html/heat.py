"""A table whose cells are the deeper, the larger their figure; read aloud it is a table. Names wrap, and in
narrow windows each row is a list, so that nothing stands beyond the edge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.report.html.markup import Markup, joined, tag
from tasks.report.wording import NONE

STEPS = 8
ABREAST = 8  # columns of one table; more would be too narrow for their figures


@dataclass(frozen=True, slots=True)
class Cell:
    """`value` None: no figure. `said`: what stands in it, `more` below."""

    value: float | None
    said: str
    more: str = ""


def heat_map(caption: str, corner: str, cells: Mapping[tuple[str, str], Cell]) -> Markup:
    """Cells by (row, column); many columns stand in several tables, one below the other."""
    rows, columns = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    known = [cell.value for cell in cells.values() if cell.value is not None]
    made = []
    for first in range(0, len(columns), ABREAST):
        part = columns[first : first + ABREAST]
        which = f", {first + 1} to {first + len(part)} of {len(columns)}" if len(columns) > ABREAST else ""
        body = [_row(row, [(name, cells.get((row, name))) for name in part], known) for row in rows]
        made.append(_table(f"{caption}{which}", (corner, *part), body))
    return joined(made)


def _table(caption: str, head: Sequence[str], body: Sequence[Markup]) -> Markup:
    """The roles keep it a table where its rows are lists."""
    titles = [tag("th", name, scope="col", role="columnheader") for name in head]
    made = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *titles, role="row"), role="rowgroup"),
        tag("tbody", *body, role="rowgroup"),
        class_="stack heat",
        role="table",
    )
    return tag("div", made, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _row(name: str, cells: Sequence[tuple[str, Cell | None]], known: Sequence[float]) -> Markup:
    return tag(
        "tr",
        tag("th", name, scope="row", role="rowheader"),
        [_cell(cell, column, known) for column, cell in cells],
        role="row",
    )


def _cell(cell: Cell | None, column: str, known: Sequence[float]) -> Markup:
    depth = None if cell is None or cell.value is None else _depth(cell.value, known)
    said = joined(cell.said, " ", tag("small", cell.more)) if cell else NONE
    class_ = None if depth is None else f"h{depth}"
    return tag("td", tag("span", said), role="cell", data_name=column, class_=class_)


def _depth(value: float, known: Sequence[float]) -> int:
    low, high = min(known), max(known)
    return round((STEPS - 1) * (value - low) / (high - low)) if high > low else 0
