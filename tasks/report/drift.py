"""Whether the requests of a cell got slower, or faster, while it ran. Pure functions of numbers."""

import math
from collections.abc import Sequence
from itertools import groupby
from statistics import median

from tasks.report.sample import Request

SURE = 3.0  # |rho| * sqrt(n - 1) of a trend: equal requests show one in 3 cells of 1,000
LEAST = 0.10  # between the thirds: below, nobody needs to know
LEAST_N = 10  # below, chance alone puts requests in order now and then
KINDS = (("itl_ms", "tokens"), ("ttft_ms", "first token"), ("e2e_latency_s", "whole answers"))


def drift(values: Sequence[float]) -> float | None:
    """The median of the last third over that of the first, of values above 0 in the order of their requests.
    None where they show no trend (Spearman's rank correlation with their order), or one under 10 %."""
    n = len(values)
    if n < LEAST_N or abs(_rank_correlation(values)) * math.sqrt(n - 1) < SURE:
        return None
    first, last = median(values[: n // 3]), median(values[-(n // 3) :])
    return last / first if min(first, last) > 0 and max(first, last) / min(first, last) >= 1 + LEAST else None


def drift_words(requests: Sequence[Request], at_once: int) -> str | None:
    """What is said of the requests of a closed loop: of their tokens, or where these came without times, of
    the first token, or the whole answer."""
    steady = _steady(requests, at_once)
    for name, of_what in KINDS:
        values = [value for one in steady if (value := one.value(name)) > 0]  # NaN is not
        if 2 * len(values) > len(steady):
            ratio = drift(values)
            return _words(ratio, of_what) if ratio else None
    return None


def _words(ratio: float, of_what: str) -> str:
    percent = 100 * (max(ratio, 1 / ratio) - 1)
    if ratio > 1:
        return f"the last third was {percent:.0f} % slower than the first ({of_what}): it may have got hot"
    return f"the last third was {percent:.0f} % faster than the first ({of_what}): it may need more --warmup"


def _steady(requests: Sequence[Request], at_once: int) -> list[Request]:
    """In the order they were sent, those with as many beside them: a loop of several begins with all at once,
    and ends with fewer and fewer."""
    ordered = sorted(
        (one for one in requests if not math.isnan(one.started_s)), key=lambda one: one.started_s
    )
    edge = at_once if at_once > 1 else 0
    return ordered[edge : len(ordered) - edge]


def _rank_correlation(values: Sequence[float]) -> float:
    """Spearman's rho of values with their order; equal ones share a rank. 0 where all are equal."""
    n = len(values)
    middle = (n - 1) / 2
    ranks = _ranks(values)
    spread = math.fsum((rank - middle) ** 2 for rank in ranks) * (n * n - 1) * n / 12
    together = math.fsum((rank - middle) * (place - middle) for place, rank in enumerate(ranks))
    return together / math.sqrt(spread) if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    """Each value's place among all, from 0; equal ones have the mean of theirs."""
    ranks = [0.0] * len(values)
    begin = 0
    for _, group in groupby(sorted(range(len(values)), key=values.__getitem__), key=values.__getitem__):
        places = list(group)
        for place in places:
            ranks[place] = begin + (len(places) - 1) / 2
        begin += len(places)
    return ranks
