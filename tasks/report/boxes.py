"""What a box plot shows of many values: quartiles, whiskers, outliers (J. Tukey, 1977). Pure."""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.report.stats import quantile

REACH = 1.5  # whiskers end at the last value within so many quartile distances of the box
DRAWN = 40  # outliers of one box; they are evenly chosen where there are more


@dataclass(frozen=True, slots=True)
class Box:
    """Of `n` values. `outliers` beyond the whiskers `low` and `high`, or DRAWN of `beyond`."""

    n: int
    q1: float
    median: float
    q3: float
    low: float
    high: float
    outliers: tuple[float, ...]
    beyond: int


def box(values: Iterable[float]) -> Box | None:
    """Of the values that are numbers; None without any. Quartiles are linear between neighbours."""
    ordered = array("d", sorted(value for value in values if math.isfinite(value)))
    if not ordered:
        return None
    q1, median, q3 = (quantile(ordered, p) for p in (0.25, 0.5, 0.75))
    reach = REACH * (q3 - q1)
    first, last = bisect_left(ordered, q1 - reach), bisect_right(ordered, q3 + reach)
    outside = ordered[:first] + ordered[last:]
    step = max(1, math.ceil(len(outside) / DRAWN))
    shown = tuple(outside[::-step][::-1])  # the farthest above is always among them
    return Box(
        len(ordered), q1, median, q3, min(ordered[first], q1), max(ordered[last - 1], q3), shown, len(outside)
    )
