"""Axes: which ticks, and where a value stands between both ends. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

TICKS = 5
WIDE = 60.0  # the largest of the values over the smallest: beyond, a linear axis shows a spike


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high` in `unit`; `log`: by powers."""

    low: float
    high: float
    unit: str
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Percent of the way from low to high, within it."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 3)


def fit(values: Iterable[float], unit: str, *, from_zero: bool = True) -> Axis:
    """An axis that holds all of the values, with round numbers at its ticks."""
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if low > 0 and high / low > WIDE:
        return _log(low, high, unit)
    low = min(low, 0.0) if from_zero else low
    if high <= low:
        high = low + (abs(low) or 1.0)
    step = _round_step((high - low) / TICKS)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return Axis(first * step, last * step, unit, tuple(round(n * step, 12) for n in range(first, last + 1)))


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))


def _log(low: float, high: float, unit: str) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high) - 1e-9)
    every = math.ceil((last - first) / TICKS)
    ticks = tuple(10.0**power for power in range(first, last + 1, every))
    return Axis(10.0**first, 10.0**last, unit, ticks, log=True)
