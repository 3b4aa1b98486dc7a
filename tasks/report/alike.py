"""Answers to prompts of like length, of two that were asked different papers. Pure.

A slow host is given the short papers: its times are then those of short prompts, and plain medians would
put it first. So two are compared where both have answers to prompts of one length; where they have too few,
only what holds in spite of the lengths is said."""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.report.metric import Metric
from tasks.report.sample import Cell, Request
from tasks.report.stats import LEAST_N, Interval, quantile, summarize

ALIKE = 0.1  # lengths nearer than this count as one
MOST = 1000  # answers of a side: more do not make an interval noticeably narrower
QUARTILES = (0.25, 0.5, 0.75)
SLOWED = ("ttft_ms", "ttfo_ms", "e2e_latency_s", "e2e_output_tps")  # all the worse, the longer the prompt

Pair = tuple[Interval | None, Interval | None]


class Ranked(Protocol):
    """Of an entry in a ranking what it takes to tell it from others."""

    @property
    def cell(self) -> Cell: ...
    @property
    def interval(self) -> Interval | None: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """One side: its answers, what they answer, the quartiles of the prompts' lengths in tokens (none where no
    length is known), and the answers by class of length."""

    requests: Sequence[Request]
    questions: frozenset[str]
    quartiles: tuple[float, ...]
    classes: Mapping[int, Sequence[Request]]


def answers(requests: Sequence[Request]) -> Answers:
    """Of the answers that have the figure."""
    tokens = sorted(r.prompt_tokens for r in requests if r.prompt_tokens > 0)  # NaN is not above 0
    lengths = tuple(quantile(tokens, p) for p in QUARTILES) if tokens else ()
    return Answers(requests, frozenset(r.question for r in requests), lengths, _by_length(requests))


def unlike(a: Answers, b: Answers, metric: Metric) -> bool:
    """Whether the lengths of their prompts could be what tells them apart: the metric depends on them, the
    questions are not the same, and a quartile differs by more than ALIKE."""
    if metric.apart != "prompt" or a.questions == b.questions:
        return False
    return any(max(x, y) > (1 + ALIKE) * min(x, y) for x, y in zip(a.quartiles, b.quartiles, strict=False))


def of_like_length(a: Answers, b: Answers) -> tuple[list[Request], list[Request]]:
    """As many answers of each to prompts of each length: what both have in every class of lengths. What is
    left out is spread evenly over the order given."""
    both = a.classes.keys() & b.classes.keys()
    shared = {length: min(len(a.classes[length]), len(b.classes[length])) for length in sorted(both)}
    total = sum(shared.values())
    part = min(1.0, MOST / total) if total else 1.0
    left, right = (
        [r for length, n in shared.items() for r in _some(side.classes[length], math.ceil(n * part))]
        for side in (a, b)
    )
    return left, right


def in_spite(better: Answers, worse: Answers, metric: Metric) -> bool:
    """Whether the lengths speak against the better one: its prompts are the longer ones throughout, and
    longer prompts make this metric worse. Then they are no reason for its being better."""
    lengths = list(zip(better.quartiles, worse.quartiles, strict=False))
    return metric.name in SLOWED and bool(lengths) and all(own >= other for own, other in lengths)


def interval_of(requests: Sequence[Request], metric: Metric) -> Interval | None:
    """Of the median; None where too few are independent."""
    if len(requests) < LEAST_N:
        return None
    return summarize([r.value(metric.name) for r in requests], papers(requests)).interval


def papers(requests: Sequence[Request]) -> list[Hashable]:
    """What each is about: answers of one paper resemble each other."""
    return [r.paper or r.question for r in requests]


def apart(better: Interval | None, worse: Interval | None, direction: str) -> bool:
    """Whether the one lies wholly on the better side of the other."""
    if not (better and worse):
        return False
    return better.high < worse.low if direction == "lower" else better.low > worse.high


def clear(direction: str, one: Ranked, other: Ranked) -> bool:
    """Its interval lies wholly on the better side."""
    return apart(one.interval, other.interval, direction)


class Fair:
    """Who is better, where the answers of some are to longer prompts: by those to prompts of like length, and
    by all of them where the lengths speak against the better one."""

    def __init__(self, metric: Metric, requests: Mapping[Cell, Sequence[Request]]) -> None:
        self._metric = metric
        self._answers = {cell: answers(own) for cell, own in requests.items()}
        self._known: dict[tuple[Cell, Cell], Pair | None] = {}

    def __call__(self, one: Ranked, other: Ranked) -> bool:
        direction = self._metric.direction
        alike = self._alike(one.cell, other.cell)
        if alike is None:
            return clear(direction, one, other)
        if apart(*alike, direction):
            return True
        if apart(alike[1], alike[0], direction) or not clear(direction, one, other):
            return False
        return in_spite(self._answers[one.cell], self._answers[other.cell], self._metric)

    def _alike(self, one: Cell, other: Cell) -> Pair | None:
        """Both intervals; None where all their answers may be compared."""
        if (one, other) not in self._known:
            pair = self._answers[one], self._answers[other]
            made = None
            if unlike(*pair, self._metric):
                left, right = of_like_length(*pair)
                made = interval_of(left, self._metric), interval_of(right, self._metric)
            self._known[one, other] = made
            self._known[other, one] = made and (made[1], made[0])
        return self._known[one, other]


def _by_length(requests: Sequence[Request]) -> dict[int, list[Request]]:
    classes: dict[int, list[Request]] = defaultdict(list)
    for r in requests:
        if r.prompt_tokens > 0:
            classes[math.floor(math.log(r.prompt_tokens) / math.log(1 + ALIKE))].append(r)
    return classes


def _some(requests: Sequence[Request], n: int) -> list[Request]:
    return [requests[k * len(requests) // n] for k in range(n)]
