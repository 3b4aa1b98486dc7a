"""Whether values in a row change, bit by bit or from one of them on: rank statistics, whatever they are like.
Pure functions of numbers. How often they err: benchmarks/drifts.py."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from statistics import median

TREND = 3.0  # |rho| * sqrt(n - 1): equal requests show this in under 3 cells of 1,000
LEAST = 0.10  # between the medians: below, nobody needs to know
LEAST_N = 10  # below, chance alone puts requests in order now and then


@dataclass(frozen=True, slots=True)
class Change:
    """`ratio`: the median afterwards over that before. `before`: how many values came before it; None where
    it came bit by bit, and the last third is set against the first."""

    ratio: float
    before: int | None


@dataclass(frozen=True, slots=True)
class _Row:
    """Ranks around their mean, the sum of their squares, and how many at a time they were measured."""

    ranks: Sequence[float]
    spread: float
    at_once: int

    @property
    def n(self) -> int:
        return len(self.ranks)


def change(values: Sequence[float], at_once: int = 1) -> Change | None:
    """Of values above 0 in the order of their requests, so many of them at a time; None where there is none
    to be sure of, or one under 10 %."""
    n = len(values)
    ranks = _ranks(values)
    row = _Row(ranks, math.fsum(rank * rank for rank in ranks), at_once)
    if n < LEAST_N or not row.spread:
        return None
    before, step = _step(row)
    trend = _trend(row)
    third = n // 3
    found = []
    if trend >= TREND and (slow := _between(values[:third], values[-third:], None)):
        found.append((trend, slow))
    if step >= _sure(n) and (sudden := _between(values[:before], values[before:], before)):
        found.append((step, sudden))
    return max(found, key=lambda one: one[0])[1] if found else None


def _sure(n: int) -> float:
    """What the largest of all steps of n shuffled values stays under in about 99.75 of 100 cases, n from 14
    to 1,000 (fitted to 40,000 shuffles or more of each). With fewer values no step is as large."""
    return 4.15 - 4 / math.sqrt(n)


def _between(first: Sequence[float], last: Sequence[float], before: int | None) -> Change | None:
    one, other = median(first), median(last)
    told = min(one, other) > 0 and max(one, other) / min(one, other) >= 1 + LEAST
    return Change(other / one, before) if told else None


def _step(row: _Row) -> tuple[int, float]:
    """Where values differ most from those before (how many these are), and how much: Wilcoxon's rank sum in
    standard deviations, the largest over all places."""
    n = row.n
    unit = math.sqrt(row.spread / (n * (n - 1)))
    sums = list(accumulate(row.ranks))[:-1]
    sizes = [abs(total) / math.sqrt(k * (n - k)) / unit for k, total in enumerate(sums, 1)]
    size = max(sizes)
    k = sizes.index(size) + 1
    left, right = sums[k - 1] / k, -sums[k - 1] / (n - k)
    rest = [rank - (left if place < k else right) for place, rank in enumerate(row.ranks)]
    return k, size / math.sqrt(_alike(rest, row.at_once))


def _trend(row: _Row) -> float:
    """Spearman's rank correlation with their order, times sqrt(n - 1)."""
    n = row.n
    places = [place - (n - 1) / 2 for place in range(n)]
    length = n * (n * n - 1) / 12
    together = math.fsum(rank * place for rank, place in zip(row.ranks, places, strict=True))
    rest = [rank - together / length * place for rank, place in zip(row.ranks, places, strict=True)]
    rho = abs(together) / math.sqrt(row.spread * length)
    return rho * math.sqrt(n - 1) / math.sqrt(_alike(rest, row.at_once))


def _alike(rest: Sequence[float], at_once: int) -> float:
    """By how much what neighbours share widens chance: 1 where each is by itself. Requests that were at work
    together had the same engine, and `at_once` of them are like one, as far as neighbours resemble each other
    (`rest` is what a change leaves; 2 / n is what taking that out hides)."""
    n, spread = len(rest), math.fsum(one * one for one in rest)
    if at_once == 1 or not spread:
        return 1.0
    next_to = math.fsum(one * other for one, other in pairwise(rest)) / spread
    shared = min(max((next_to + 2 / n) * at_once / (at_once - 1), 0.0), 1.0)
    return 1 + shared * (at_once - 1)


def _ranks(values: Sequence[float]) -> list[float]:
    """Each value's place among all, around 0; equal ones have the mean of theirs."""
    ranks = [0.0] * len(values)
    begin = 0
    for _, group in groupby(sorted(range(len(values)), key=values.__getitem__), key=values.__getitem__):
        places = list(group)
        for place in places:
            ranks[place] = begin + (len(places) - len(values)) / 2
        begin += len(places)
    return ranks
