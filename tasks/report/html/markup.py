"""Markup by construction: every text is escaped as it enters, so that no text of a stranger can be markup."""

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

from tasks.report.wording import visible


class Markup(str):
    """Text that is markup already: made by `tag`, or our own style sheet."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | int | Iterable[Child] | None"
Attribute = str | int | float | bool | None
VOID = frozenset({"meta", "link", "br", "hr", "col", "line", "rect", "circle"})  # the last as SVG has them


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element. Attributes: `class_` is class, `_` becomes `-`, None and False are left out."""
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    inside = "".join(_texts(children))
    if name in VOID and not inside:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{inside}</{name}>")


def joined(*children: Child) -> Markup:
    """Several, one after the other."""
    return Markup("".join(_texts(children)))


def _texts(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str):
            yield escape(visible(child))
        elif isinstance(child, int):
            yield f"{child:,}"
        elif child is not None:
            yield from _texts(child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {key}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {key}="{escape(visible(text))}"'
