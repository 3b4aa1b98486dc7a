"""Tables that scroll in their own box where they are wider than the window."""

from collections.abc import Iterable, Sequence

from tasks.report.html.fold import parted, rest
from tasks.report.html.markup import Child, Markup, joined, tag
from tasks.report.wording import NONE


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Child]], class_: str = "") -> Markup:
    """`head`: names of columns; one that begins with `#` holds numbers. In narrow windows a row is a block of
    lines that begin with these names; the roles keep it a table for who has it read aloud."""
    names = [name.lstrip("#") for name in head]
    kinds = ["num" if name.startswith("#") else None for name in head]
    titles = [
        tag("th", name, scope="col", class_=kind, role="columnheader")
        for name, kind in zip(names, kinds, strict=True)
    ]
    body = [
        tag("tr", [_cell(*one) for one in zip(range(len(head)), row, names, kinds, strict=True)], role="row")
        for row in rows
    ]
    made = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *titles, role="row"), role="rowgroup"),
        tag("tbody", *body, role="rowgroup"),
        class_=f"stack {class_}".rstrip(),
        role="table",
    )
    return tag("div", made, class_="scroll", role="region", aria_label=caption, tabindex=0)


def folded(caption: str, head: Sequence[str], rows: Sequence[Sequence[Child]], class_: str = "") -> Markup:
    """A table whose later rows are a click away where there are many."""
    first, others = parted(rows)
    if not others:
        return table(caption, head, rows, class_)
    later = table(f"{caption}, {len(first) + 1} to {len(rows)}", head, others, class_)
    return joined(table(caption, head, first, class_), rest(f"{len(others):,} more", later))


def pairs_of(rows: Iterable[tuple[str, Child]]) -> Markup:
    """Names with what is known of them; unknown ones are left out."""
    return tag(
        "dl", [joined(tag("dt", name), tag("dd", said)) for name, said in rows if said not in (None, "")]
    )


def _cell(n: int, cell: Child, name: str, kind: str | None) -> Markup:
    if n == 0:
        return tag("th", cell, scope="row", class_=kind, role="rowheader")
    kinds = " ".join(one for one in (kind, "none" if cell == NONE else None) if one)
    return tag("td", tag("span", cell), class_=kinds or None, role="cell", data_name=name or None)
