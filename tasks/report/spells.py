"""Which requests of a benchmark's cell were told their energy by the same readings. Pure.

Who runs at one time shares the machine's power, and who fits between two readings its mean: such requests are
not independent, however many they are (docs/methodology.md)."""

import math
from collections.abc import Hashable, Sequence
from statistics import median

from tasks.report.metric import Metric
from tasks.report.sample import Request


def spells(requests: Sequence[Request], metric: Metric) -> list[Hashable] | None:
    """The spell of each: a stretch of its cell's time, as long as the median request, or as the median time
    between readings where that is longer. None where the metric is no energy, or none of them is a cell's."""
    if metric.apart != "energy_source" or all(math.isnan(one.energy_every_s) for one in requests):
        return None
    cells: dict[tuple[str, str], list[Request]] = {}
    for one in requests:
        cells.setdefault((one.run, one.place), []).append(one)
    length_s = {cell: _spell_s(own) for cell, own in cells.items()}
    return [(one.run, one.place, _number(one, length_s[one.run, one.place])) for one in requests]


def _spell_s(requests: Sequence[Request]) -> float:
    """Not a number where it cannot be said: all are one spell then."""
    apart_s = [one.energy_every_s for one in requests if not math.isnan(one.energy_every_s)]
    took_s = [one.finished_s - one.started_s for one in requests if one.finished_s >= one.started_s]
    return max(median(apart_s), median(took_s)) if apart_s and took_s else math.nan


def _number(request: Request, spell_s: float) -> int:
    middle = (request.started_s + request.finished_s) / 2 / spell_s if spell_s else math.nan
    return 0 if math.isnan(middle) else math.floor(middle)
