"""Numbers and moments as people read them, the same on the screen and on a page."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

# C0 and C1 controls but tab and line end, and the marks that turn the direction of reading.
NONE = "\u2013"  # a dash where nothing is, or nothing is known
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def number(value: float | None) -> str:
    """Four digits that mean something; nothing where nothing is known."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def several(n: int, noun: str) -> str:
    """`1 slot`, `2 slots`"""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def share(part: float, whole: float) -> str:
    """`12.5 %`, never 0 or 100 where it is not quite."""
    if not whole:
        return ""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if 99.9 < percent < 100 else f"{percent:.3g} %"


def simulated(time_scale: float | None) -> str:
    """How a simulated host is called: `simulated`, or where its times are not those it was told to have,
    `simulated 20x as fast`."""
    if time_scale is None or time_scale == 1:
        return "simulated"
    return f"simulated {1 / time_scale:.3g}x as fast"


def simulations(kinds: Iterable[tuple[str, str]]) -> Iterator[str]:
    """`mac-1, pi-1: simulated 20x as fast; no machine took these times`, of (name, Cell.kind) pairs."""
    names: dict[str, dict[str, None]] = {}
    for name, kind in kinds:
        if kind:
            names.setdefault(kind, {})[name] = None
    for kind, own in names.items():
        yield f"{some([*own])}: {kind}; no machine took these times"


def span(seconds: float) -> str:
    """`48.2 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def moment(epoch_s: float) -> str:
    """`2026-01-31 12:00:05 UTC`"""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def visible(text: str) -> str:
    """What would be unseen, or command a program, as an escape: `\\x1b`. UTF-8 can write the rest."""
    text = text.replace("\r\n", "\n")
    text = _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return text.encode("utf-8", "backslashreplace").decode()


def some(names: list[str], most: int = 3) -> str:
    """`a, b, c and 12 more`"""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
