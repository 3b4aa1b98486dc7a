"""So many a second: answers, good answers or tokens, from a run's first request to its last answer. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.report.metric import Metric
from tasks.report.sample import Request
from tasks.report.stats import LEAST_N, Interval, of_mean

BLOCKS = 10  # that a run is cut into, for the interval of a rate
LEAST_IN_BLOCK = 3  # answers, where they are counted
CLOSE_S = 0.001  # that stamps of one moment may differ by

UNTOLD_SHARE = 0.01  # of the answers may have no token count; of more, the sum would be too low

Limits = Mapping[str, float]  # metric -> the most it may be, in its unit


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of `n` answers (or their tokens) a second; `blocks`: the same in parts of each run."""

    n: int
    value: float | None = None
    blocks: tuple[float, ...] = ()


def rate_of(requests: Sequence[Request], metric: Metric, limits: Limits) -> Rate:
    """From a run's first request to its last answer; several runs one after the other. Of tokens there is no
    value where those of some answers are not known: their time would count, and they would not."""
    timed = [r for r in requests if not math.isnan(r.finished_s)]
    if metric.per_second == "tokens":
        if some_untold(timed):
            return Rate(sum(map(_told, timed)))
        timed = [r for r in timed if _told(r)]
    blocks: list[float] = []
    total = span_s = 0.0
    for run in sorted({r.run for r in timed}):
        own = [r for r in timed if r.run == run]
        start_s = min(r.started_s for r in own)
        length_s = max(r.finished_s for r in own) - start_s
        if length_s <= 0:
            continue
        weighed = sorted((r.finished_s - start_s, _weight(r, metric, limits)) for r in own)
        blocks += _of_like_count(weighed) if _one_by_one(own) else _of_like_length(weighed, length_s)
        total, span_s = total + sum(weight for _, weight in weighed), span_s + length_s
    return Rate(len(timed), total / span_s, tuple(blocks)) if span_s else Rate(0)


def some_untold(requests: Sequence[Request]) -> bool:
    """Whether more than UNTOLD_SHARE of the answers have no token count."""
    return sum(not _told(r) for r in requests) > UNTOLD_SHARE * len(requests)


def _told(request: Request) -> bool:
    return request.counted and not math.isnan(request.tokens)


def _one_by_one(requests: Sequence[Request]) -> bool:
    """Whether each was sent when the one before it had ended."""
    in_turn = sorted(requests, key=lambda r: r.started_s)
    return all(later.started_s > one.finished_s - CLOSE_S for one, later in pairwise(in_turn))


def _of_like_count(weighed: Sequence[tuple[float, float]]) -> list[float]:
    """Rates of parts with as many answers in each, of (end, weight): to count what falls into like spans of
    time would add one answer more or less to each."""
    many = min(BLOCKS, len(weighed) // LEAST_IN_BLOCK)
    edges = [round(n * len(weighed) / many) for n in range(many + 1)] if many > 1 else []
    ends = [0.0, *(end_s for end_s, _ in weighed)]
    return [
        sum(weight for _, weight in weighed[first:last]) / (ends[last] - ends[first])
        for first, last in pairwise(edges)
        if ends[last] > ends[first]
    ]


def _of_like_length(weighed: Sequence[tuple[float, float]], length_s: float) -> list[float]:
    """Rates of spans of like length: of many at a time answers come in bursts."""
    parts = [0.0] * BLOCKS
    for end_s, weight in weighed:
        parts[min(int(end_s / length_s * BLOCKS), BLOCKS - 1)] += weight
    return [part * BLOCKS / length_s for part in parts]


def around(rate: Rate) -> Interval | None:
    """By batch means: Student's t over the blocks, around the rate of the whole; none of too few answers."""
    t = of_mean(rate.blocks, "rate, batch means, t") if rate.n >= LEAST_N else None
    if t is None or rate.value is None:
        return None
    half = (t.high - t.low) / 2
    return Interval(max(rate.value - half, 0.0), rate.value + half, t.method)


def _weight(request: Request, metric: Metric, limits: Limits) -> float:
    if metric.per_second == "tokens":
        return request.tokens
    if metric.per_second == "good":  # an unknown figure keeps no limit
        return float(all(request.for_limit(name) <= most for name, most in limits.items()))
    return 1.0
