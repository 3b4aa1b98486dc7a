"""What is wrong with a file that a person wrote, in a person's words: pydantic's findings, retold."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

_EXTRA = ("extra_forbidden", "unexpected_keyword_argument")
_KINDS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "model_type": "a table of keys",
    "dict_type": "a table of keys",
    "finite_number": "a number",
    "string_pattern_mismatch": "a name of letters, digits, '_' and '-'",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_SHOWN_CHARS = 60


def near(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'url'?`, or what there is."""
    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f" (known: {', '.join(known)})"


def told(fault: ErrorDetails, known: Sequence[str]) -> str:
    """One finding without its place. `known`: the keys there may be where it was found."""
    if fault["type"] in _EXTRA:
        return f"unknown key {fault['loc'][-1]!r}{near(str(fault['loc'][-1]), known)}"
    if fault["type"] == "missing":
        return "missing"
    if fault["type"] == "value_error":
        return fault["msg"].removeprefix("Value error, ")
    expected = _expected(fault["type"], fault.get("ctx", {}))
    got = _got(fault["input"])
    if expected is None:
        return f"{fault['msg'][0].lower()}{fault['msg'][1:]}, got {got}"
    names = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    hint = near(str(fault["input"]), names) if fault["type"] == "literal_error" else ""
    return f"expected {expected}, got {got}{hint if 'did you mean' in hint else ''}"


def keys_at(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """The keys that a table may have; `place` is the way to it, as in `("prompt", 1)`."""
    for part in place:
        found = model.model_fields.get(str(part))
        if found and (inner := _model_in(found.annotation)):
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table in `list[Table]` or `Table | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one))), None)


def _expected(kind: str, limits: dict[str, Any]) -> str | None:
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"{words} {limits[name]:g}"
    if kind == "too_short":
        return f"at least {limits['min_length']} of them"
    if kind == "string_too_short":
        return "a text"
    return str(limits["expected"]) if kind == "literal_error" else None


def _got(value: object) -> str:
    """What was found, cut; of a list only how many."""
    if isinstance(value, list | tuple):
        return f"{len(value)}" if value else "none"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
