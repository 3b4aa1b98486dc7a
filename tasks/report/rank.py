"""Who is better at what, and who cannot be told apart. Pure: samples in, rankings out."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tasks.errors import InputError
from tasks.report.alike import ALIKE, Fair, asked, clear, papers, same_questions
from tasks.report.limits import limit_words
from tasks.report.metric import MEMORY, METRICS, Metric, find_metric
from tasks.report.rate import Limits, Rate, around, rate_of, some_untold
from tasks.report.sample import CACHED, FIRST, TRIED, Cell, Request, Sample, one_reading_each
from tasks.report.spells import spells
from tasks.report.stats import LEAST_N, Interval, Summary, quantile, summarize
from tasks.report.wording import several
from worker_agent.errors import ContextOverflow

MANY = 5  # equal ones share a rank in 95 of 100 rankings; of more in fewer (benchmarks/confidence.py)
SHOWN = ("ttft_ms", "itl_ms", "output_tps", "e2e_latency_s", "rps")


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell in a ranking. `value` is what it is ranked by: a median, or a rate. Without `rank`, `reason`
    says why. `questions`: paper and prompt of what it answered."""

    cell: Cell
    value: float | None
    interval: Interval | None
    n: int
    summary: Summary | None
    failed: Counter[str]
    error_rate: float | None
    cut: int
    aside: Counter[str]
    prompt_tokens: float | None
    questions: frozenset[str] = field(repr=False)
    rank: int | None = None
    reason: str | None = None

    @property
    def ranked(self) -> bool:
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Entries of one metric that may be ranked against each other, best first; `apart`, `terms`: what they
    have in common that others have not. `same_questions`: all of them answered the same."""

    metric: Metric
    apart: str | None
    terms: str
    entries: tuple[Entry, ...]
    same_questions: bool
    notes: tuple[str, ...]


def resolve(word: str, samples: Sequence[Sample]) -> Metric:
    """The metric a person means; `memory` is whichever is known of most answers. Raises InputError."""
    if word != "memory":
        return find_metric(word)
    known = {name: sum(not math.isnan(r.value(name)) for s in samples for r in s.requests) for name in MEMORY}
    return METRICS[max(known, key=lambda name: known[name])]


def rankings(samples: Sequence[Sample], metric: Metric, limits: Limits | None = None) -> list[Ranking]:
    """One ranking for each group that is kept apart, under each terms; none where nobody has the figure."""
    if metric.per_second == "good" and not limits:
        raise InputError("goodput counts answers within limits; say which: --slo ttft=500ms,e2e=10s")
    groups = sorted({r.apart(metric.apart) or "" for s in samples for r in s.requests}, key=_first_first)
    made = (
        _ranking(like, metric, group or None, limits or {}) for like in by_terms(samples) for group in groups
    )
    return [ranking for ranking in made if any(entry.n for entry in ranking.entries)]


def by_terms(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Those that were asked under like terms together, the lightest first."""
    found: dict[tuple[Any, ...], list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.cell.weight, []).append(sample)
    return [found[terms] for terms in sorted(found)]


Better = Callable[[Entry, Entry], bool]  # whether the first is better beyond doubt


def places(entries: Sequence[Entry], better: Better) -> list[int | None]:
    """The rank of each: 1 + how many are better beyond doubt (Chatbot Arena's rule); who cannot be told apart
    shares one."""
    known = [entry for entry in entries if entry.ranked and entry.interval]
    return [
        1 + sum(better(other, entry) for other in known if other is not entry)
        if entry.ranked and entry.interval
        else None
        for entry in entries
    ]


def in_order(entries: Iterable[Entry], metric: Metric, better: Better | None = None) -> tuple[Entry, ...]:
    """With their ranks, best first, those without a rank last. `better`: by their intervals if None."""
    listed = list(entries)
    sign = 1 if metric.direction == "lower" else -1
    plain = partial(clear, metric.direction)
    ranked = [
        replace(one, rank=rank) for one, rank in zip(listed, places(listed, better or plain), strict=True)
    ]
    return tuple(
        sorted(ranked, key=lambda one: (one.rank or math.inf, sign * (one.value or 0.0), one.cell.name))
    )


def _ranking(samples: Sequence[Sample], metric: Metric, group: str | None, limits: Limits) -> Ranking:
    kept = [(sample, [r for r in sample.requests if r.apart(metric.apart) == group]) for sample in samples]
    same = same_questions(asked(requests) for _, requests in kept)
    real = any(requests and not sample.cell.simulated for sample, requests in kept)
    made = [_entry(sample, requests, metric, limits, same=same, real=real) for sample, requests in kept]
    fair = None
    if metric.apart == "prompt" and not same:
        fair = Fair(metric, {sample.cell: usable_of(requests, metric) for sample, requests in kept})
    entries = in_order(made, metric, fair)
    notes = tuple(_notes(metric, group, entries, samples, same=same))
    if metric.per_second == "good":
        notes += (f"the limits: {limit_words(limits)}",)
    return Ranking(metric, group, samples[0].cell.terms, entries, same, notes)


def _entry(
    sample: Sample, requests: list[Request], metric: Metric, limits: Limits, *, same: bool, real: bool
) -> Entry:
    """Papers that differ between entries are part of chance, hence `groups`; the same for all are not."""
    summary = None
    if metric.per_second:
        apart = _one_after_the_other(sample.cell, requests)
        rate = Rate(len(requests)) if apart else rate_of(requests, metric, limits)
        n, value, interval = rate.n, rate.value, around(rate)
    else:
        usable = usable_of(requests, metric)
        if metric.name in MEMORY and sample.cell.load_mode:
            usable = one_reading_each(usable)
        groups = None if same else papers(usable)
        worth = _most_worth(requests, metric)
        summary = summarize([r.value(metric.name) for r in usable], groups, worth) if usable else None
        n, value = len(usable), summary.p50 if summary else None
        interval = summary.interval if summary else None
    tokens = sorted(r.prompt_tokens for r in requests if not math.isnan(r.prompt_tokens))
    return Entry(
        sample.cell,
        value,
        interval,
        n,
        summary,
        sample.failed,
        sample.error_rate,
        sample.cut,
        sample.aside,
        quantile(tokens, 0.5) if tokens else None,
        frozenset(r.question for r in requests),
        reason=_no_rank(sample, requests, metric, n, interval, real=real),
    )


def _most_worth(requests: Sequence[Request], metric: Metric) -> float:
    """Of requests that shared readings: as many as there were spells."""
    of = None if metric.per_second else spells(usable_of(requests, metric), metric)
    return math.inf if of is None else len(set(of))


def _one_after_the_other(cell: Cell, requests: Iterable[Request]) -> bool:
    """Whether the time between them is that of other cells."""
    return bool(cell.load_mode) and len({r.place for r in requests}) > 1


def usable_of(requests: Iterable[Request], metric: Metric) -> list[Request]:
    known = (r for r in requests if not math.isnan(r.value(metric.name)))
    return [r for r in known if r.counted or not metric.counted]


def _no_rank(
    sample: Sample, requests: list[Request], metric: Metric, n: int, interval: Interval | None, *, real: bool
) -> str | None:
    if not requests:
        unasked = sample.aside[ContextOverflow.kind]
        return "not measured, it does not fit the window" if unasked else "no answer"
    if n == 0 and metric.counted and not any(r.counted for r in requests):
        return "its tokens are not counted, at most estimated"
    if n == 0:
        return "the figure is not known"
    if metric.per_second == "tokens" and some_untold(requests):
        return "the tokens of some answers are not counted: they have no sum"
    if metric.per_second and _one_after_the_other(sample.cell, requests):
        return "its cells were measured one after the other: they have no rate together"
    if metric.name in MEMORY and sample.cell.load_mode and n < LEAST_N:
        return "a cell's memory is one reading, which has no interval"
    if n < LEAST_N:
        return f"{n} of the {LEAST_N} answers that a rank needs"
    if (worth := _most_worth(requests, metric)) < LEAST_N:
        return f"its energy was read in {worth} spells, of {LEAST_N} that a rank needs"
    if interval is None:
        about = several(len({*papers(requests)}), "paper" if requests[0].paper else "question")
        return f"its {n} answers are about {about}, too few for an interval"
    return "simulated, and others are not" if sample.cell.simulated and real else None


def _notes(
    metric: Metric, group: str | None, entries: Sequence[Entry], samples: Sequence[Sample], *, same: bool
) -> Iterable[str]:
    several = [entry for entry in entries if entry.n]
    if metric.apart == "prompt":
        yield {
            FIRST: "prompts read anew: of a paper the first on its host",
            CACHED: "prompts from the cache: their paper had been read; not comparable with those read anew",
        }[group or FIRST]
    elif metric.apart and group:
        yield f"as measured by {group}"
    if len(several) > 1:
        yield _what_was_asked(several, metric, same=same)
    if mixed := [s.cell.name for s in samples if (len(s.models) > 1 or len(s.hosts) > 1) and s.requests]:
        yield f"taken together although models or hosts differ: {', '.join(mixed)}"
    yield from _of_many(entries)
    if metric.per_second:
        yield "from each one's first request to its last answer; idle time in between counts"
        if low := [s.cell.name for s in samples if s.requests and any(s.aside[reason] for reason in TRIED)]:
            yield f"too low, since answers that are set aside took their time: {', '.join(low)}"


def _of_many(entries: Sequence[Entry]) -> Iterator[str]:
    """Where so many pairs are told apart by their intervals that chance will show in some."""
    ranks = [entry.rank for entry in entries if entry.rank]
    if len(ranks) > MANY and max(ranks) > 1:
        yield (
            f"among {len(ranks)}, chance alone may put equal ones at different ranks (of 20 equal ones some, "
            "in 2 of 5 rankings); hardly ever does it put one alone at the top"
        )


def _what_was_asked(entries: Sequence[Entry], metric: Metric, *, same: bool) -> str:
    if same:
        return f"all answered the same {several(len(entries[0].questions), 'question')}"
    shared = frozenset.intersection(*(entry.questions for entry in entries))
    every = frozenset.union(*(entry.questions for entry in entries))
    lengths = [entry.prompt_tokens for entry in entries if entry.prompt_tokens]
    said = f"they answered different papers ({len(shared)} of {len(every)} questions in common)"
    if shared == every:
        said = f"they answered the same {several(len(every), 'question')}, but not equally often"
    if lengths and max(lengths) > (1 + ALIKE) * min(lengths):
        said += f", and not of one length (median prompt {min(lengths):.0f} to {max(lengths):.0f} tokens)"
        if metric.apart == "prompt":
            return (
                f"{said}: the figures are of all answers, the ranks of those to prompts of like length; with "
                "too few of these, nobody goes ahead whose prompts were the shorter ones"
            )
        return f"{said}: part of a difference may be the papers'"
    return f"{said}; that papers differ is in the intervals"


def _first_first(group: str) -> tuple[bool, str]:
    return group != FIRST, group
