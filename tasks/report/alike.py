"""Answers to prompts of like length, of two that were asked different papers. Pure.

A slow host is given the short papers: its times are then those of short prompts, and plain medians would
put it first. So two are compared where both have answers to prompts of one length; where they have too few,
only what holds in spite of the lengths is said."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.report.metric import Metric
from tasks.report.sample import Cell, Request
from tasks.report.stats import LEAST_N, Interval, effective_n, of_median, quantile

ALIKE = 0.1  # lengths nearer than this count as one
MOST = 400  # pairs, about: more cost time where many hosts are ranked, and gain little
QUARTILES = (0.25, 0.5, 0.75)
SLOWED = ("ttft_ms", "ttfo_ms", "e2e_latency_s", "e2e_output_tps")  # all the worse, the longer the prompt


class Ranked(Protocol):
    """Of an entry in a ranking what it takes to tell it from others."""

    @property
    def cell(self) -> Cell: ...
    @property
    def interval(self) -> Interval | None: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """One side: its answers, how many to each question, the quartiles of the prompts' lengths in
    tokens (none where no length is known), and the answers by class of length."""

    requests: Sequence[Request]
    questions: Mapping[str, int]
    quartiles: tuple[float, ...]
    classes: Mapping[int, Sequence[Request]]


def answers(requests: Sequence[Request]) -> Answers:
    """Of the answers that have the figure."""
    tokens = sorted(r.prompt_tokens for r in requests if r.prompt_tokens > 0)  # NaN is not above 0
    lengths = tuple(quantile(tokens, p) for p in QUARTILES) if tokens else ()
    return Answers(requests, asked(requests), lengths, _by_length(requests))


def asked(requests: Iterable[Request]) -> Counter[str]:
    """How many of them answer each question."""
    return Counter(r.question for r in requests)


def same_questions(sides: Iterable[Mapping[str, int]]) -> bool:
    """Whether all answered the same questions, each as large a part of the time: of repeats one host may get
    those of the short paper, another those of the long one. Parts may differ by ALIKE in all."""
    first, *others = [side for side in sides if side] or [{}]
    return all(_parts_apart(first, other) <= ALIKE for other in others)


def _parts_apart(a: Mapping[str, int], b: Mapping[str, int]) -> float:
    """The share of its answers by which one had other questions than the other; 1 where a question is one's
    alone."""
    if a.keys() != b.keys():
        return 1.0
    n_a, n_b = sum(a.values()), sum(b.values())
    return math.fsum(abs(a[question] / n_a - b[question] / n_b) for question in a) / 2


def unlike(a: Answers, b: Answers, metric: Metric) -> bool:
    """Whether the lengths of their prompts could be what tells them apart: the metric depends on them, the
    questions are not the same, and a quartile differs by more than ALIKE."""
    if metric.apart != "prompt" or same_questions((a.questions, b.questions)):
        return False
    return any(max(x, y) > (1 + ALIKE) * min(x, y) for x, y in zip(a.quartiles, b.quartiles, strict=False))


def of_like_length(a: Answers, b: Answers) -> list[tuple[Request, Request]]:
    """Pairs of an answer of each to prompts of like length: in every class of lengths as many as both have,
    the shorter of one with the shorter of the other. What is left out is spread evenly."""
    both = sorted(a.classes.keys() & b.classes.keys())
    shared = {length: min(len(a.classes[length]), len(b.classes[length])) for length in both}
    total = sum(shared.values())
    part = min(1.0, MOST / total) if total else 1.0
    pairs: list[tuple[Request, Request]] = []
    for length, most in shared.items():
        n = math.ceil(most * part)
        pairs += zip(_some(a.classes[length], n), _some(b.classes[length], n), strict=True)
    return pairs


def quotient(pairs: Sequence[tuple[Request, Request]], metric: Metric) -> Interval | None:
    """Of the figures of the first and second of each pair, the median's interval; None where too few are
    independent. Widened by the root of two: whoever it tells apart, two intervals that do not touch would."""
    known = [(a, b) for a, b in pairs if a.value(metric.name) > 0 and b.value(metric.name) > 0]
    if len(known) < LEAST_N:
        return None
    logs = [math.log(a.value(metric.name) / b.value(metric.name)) for a, b in known]
    worth = math.floor(min(effective_n(logs, papers(side)) for side in zip(*known, strict=True)))
    interval, middle = of_median(sorted(logs), worth), quantile(sorted(logs), 0.5)
    if interval is None:
        return None
    low, high = (math.exp(middle + math.sqrt(2) * (end - middle)) for end in (interval.low, interval.high))
    return Interval(low, high, "median of quotients, order statistics")


def in_spite(better: Answers, worse: Answers, metric: Metric) -> bool:
    """Whether the lengths speak against the better one: its prompts are the longer ones throughout, and
    longer prompts make this metric worse. Then they are no reason for its being better."""
    lengths = list(zip(better.quartiles, worse.quartiles, strict=False))
    return metric.name in SLOWED and bool(lengths) and all(own >= other for own, other in lengths)


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
    """Who is better, where the answers of some are to longer prompts: by pairs of like length, and by all
    of them where the lengths speak against the better one."""

    def __init__(self, metric: Metric, requests: Mapping[Cell, Sequence[Request]]) -> None:
        self._metric = metric
        self._answers = {cell: answers(own) for cell, own in requests.items()}
        self._known: dict[tuple[Cell, Cell], Interval | None] = {}

    def __call__(self, one: Ranked, other: Ranked) -> bool:
        direction = self._metric.direction
        pair = self._answers[one.cell], self._answers[other.cell]
        if not unlike(*pair, self._metric):
            return clear(direction, one, other)
        of_both = self._quotient(one.cell, other.cell)
        if of_both and not of_both.low <= 1 <= of_both.high:
            return (of_both.high < 1) == (direction == "lower")
        return clear(direction, one, other) and in_spite(*pair, self._metric)

    def _quotient(self, one: Cell, other: Cell) -> Interval | None:
        if (one, other) not in self._known:
            pairs = of_like_length(self._answers[one], self._answers[other])
            found = quotient(pairs, self._metric)
            turned = found and Interval(1 / found.high, 1 / found.low, found.method)
            self._known[one, other], self._known[other, one] = found, turned
        return self._known[one, other]


def _by_length(requests: Sequence[Request]) -> dict[int, list[Request]]:
    classes: dict[int, list[Request]] = defaultdict(list)
    for r in requests:
        if r.prompt_tokens > 0:
            classes[math.floor(math.log(r.prompt_tokens) / math.log(1 + ALIKE))].append(r)
    return {length: sorted(own, key=lambda r: r.prompt_tokens) for length, own in classes.items()}


def _some(requests: Sequence[Request], n: int) -> list[Request]:
    return [requests[k * len(requests) // n] for k in range(n)]
