"""Names that people see: one printable line each, no two equal."""

from collections.abc import Sequence
from itertools import count
from pathlib import PurePath


def printable(path: PurePath | str) -> str:
    """The path on one line: what is not printable stands as an escape. A name may hold line ends
    and terminal commands, and must not write them into tables and logs."""
    text = path if isinstance(path, str) else path.as_posix()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def unique(names: Sequence[str]) -> list[str]:
    """The names in their order, the second of a kind as `name-2`."""
    taken: dict[str, None] = {}
    for name in names:
        candidates = (name if n == 1 else f"{name}-{n}" for n in count(1))
        taken[next(c for c in candidates if c not in taken)] = None
    return list(taken)
