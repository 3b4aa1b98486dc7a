"""One row of results: its figures and its moments. What it lacks is not a number."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Row = Mapping[str, Any]
CLOCKS_AGREE_S = 1.0  # nearer than this, what a clock is off is the way's as much as its own


def figure(row: Row, name: str) -> float:
    """NaN where it is unknown, or no number."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return math.nan
    return float(value)


def scale_of(row: Row) -> float | None:
    """What a simulated engine multiplied its times by; None where it is real, or says nothing."""
    scale = figure(row, "time_scale")
    return scale if row.get("simulated") and scale > 0 else None


def wrong_by_s(row: Row) -> float:
    """How far the clock that stamped the row was ahead of that of Redis, 0 where they agree or none knows."""
    offset_s = figure(row, "clock_offset_s")
    return offset_s if abs(offset_s) >= CLOCKS_AGREE_S and not row.get("reused_from") else 0.0


def at_s(row: Row, name: str) -> float:
    """A moment that the worker stamped, in seconds since 1970: by its own clock, or where that disagrees with
    the clock of Redis, by the latter. NaN where it is unknown."""
    return instant_s(row.get(name)) - wrong_by_s(row)


def instant_s(text: Any) -> float:
    """Seconds since 1970 of an ISO moment, NaN where it is none. One without an offset is UTC, as all are: by
    the reader's own time an hour would be lost or doubled where summer time ends."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError):
        return math.nan
