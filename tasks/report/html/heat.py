"""A table whose cells are the deeper, the larger their figure; read aloud it is a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.report.html.markup import Markup, tag
from tasks.report.wording import NONE

STEPS = 8


@dataclass(frozen=True, slots=True)
class Cell:
    """`value` None: no figure. `said`: what stands in it, `more` below."""

    value: float | None
    said: str
    more: str = ""


def heat_map(caption: str, corner: str, cells: Mapping[tuple[str, str], Cell]) -> Markup:
    """Cells by (row, column)."""
    rows, columns = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    known = [cell.value for cell in cells.values() if cell.value is not None]
    head = tag("tr", tag("th", corner, scope="col"), [tag("th", name, scope="col") for name in columns])
    body = [
        tag("tr", tag("th", row, scope="row"), [_cell(cells.get((row, column)), known) for column in columns])
        for row in rows
    ]
    made = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), class_="heat")
    return tag("div", made, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _cell(cell: Cell | None, known: Sequence[float]) -> Markup:
    if cell is None:
        return tag("td", NONE)
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    depth = None
    if cell.value is not None:
        depth = round((STEPS - 1) * (cell.value - low) / (high - low)) if high > low else 0
    return tag("td", cell.said, tag("small", cell.more), class_=None if depth is None else f"h{depth}")
