"""Tables that scroll in their own box where they are wider than the window."""

from collections.abc import Iterable, Sequence

from tasks.report.html.markup import Child, Markup, joined, tag


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Child]], class_: str = "") -> Markup:
    """`head`: names of columns; one that begins with `#` holds numbers, with `-` goes in narrow windows."""
    kinds = [_kind(name) for name in head]
    titles = [tag("th", name.lstrip("#-"), scope="col", class_=kind) for name, kind in zip(head, kinds, strict=True)]
    body = [
        tag("tr", [_cell(n, cell, kind) for n, (cell, kind) in enumerate(zip(row, kinds, strict=True))])
        for row in rows
    ]
    made = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *titles)), tag("tbody", *body), class_=class_ or None
    )
    return tag("div", made, class_="scroll", role="region", aria_label=caption, tabindex=0)


def pairs_of(rows: Iterable[tuple[str, Child]]) -> Markup:
    """Names with what is known of them; unknown ones are left out."""
    return tag("dl", [joined(tag("dt", name), tag("dd", said)) for name, said in rows if said not in (None, "")])


def _cell(n: int, cell: Child, kind: str | None) -> Markup:
    return tag("th", cell, scope="row", class_=kind) if n == 0 else tag("td", cell, class_=kind)


def _kind(name: str) -> str | None:
    words = ["num"] if "#" in name[:2] else []
    words += ["wide"] if "-" in name[:2] else []
    return " ".join(words) or None
