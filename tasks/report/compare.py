"""Is A better than B, by how much, and if nothing is found: what would have been? Pure."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tasks.report.alike import Answers, answers, in_spite, of_like_length, papers, same_questions, unlike
from tasks.report.findings import titled
from tasks.report.metric import MEMORY, Metric
from tasks.report.rate import Limits, rate_of
from tasks.report.sample import FIRST, Request, Sample, one_reading_each
from tasks.report.spells import spells
from tasks.report.stats import LEAST_N, Difference, of_medians, of_pairs, of_rates

COMPARED = ("ttft_ms", "itl_ms", "output_tps", "e2e_latency_s")


@dataclass(frozen=True, slots=True)
class Side:
    """One of two things that are compared, under the name a person gave it. `in_turn`: it is several cells of
    which some ran after others; what one of them did a second, nobody did all the time. `kinds`: whether they
    are simulated, and at which pace, as Cell.kind says (a real one's is empty); none: as the sample's is.
    `of_bench`: its rows repeat what was measured once a cell."""

    name: str
    sample: Sample
    in_turn: bool = False
    kinds: frozenset[str] = frozenset()
    of_bench: bool = False

    @property
    def known_kinds(self) -> frozenset[str]:
        return self.kinds or frozenset({self.sample.cell.kind})


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a` and `b`: the medians (or rates) of `n_a` and `n_b` values; `pairs`: questions that both answered,
    where those were compared. Without `difference`, `reason` says why. `note`: what to bear in mind."""

    metric: Metric
    apart: str | None
    names: tuple[str, str]
    n_a: int
    n_b: int
    a: float | None
    b: float | None
    pairs: int | None = None
    difference: Difference | None = None
    reason: str | None = None
    note: str | None = None
    terms: str = ""  # under which both were asked

    def to_object(self) -> dict[str, Any]:
        """For JSON; `ratio` is a / b."""
        found = self.difference
        return {
            "metric": self.metric.name,
            "unit": self.metric.unit,
            "direction": self.metric.direction,
            "apart": self.apart,
            "terms": self.terms,
            "a": {"name": self.names[0], "n": self.n_a, "value": self.a},
            "b": {"name": self.names[1], "n": self.n_b, "value": self.b},
            "pairs": self.pairs,
            "found": found.found if found else None,
            "difference": asdict(found) if found else None,
            "sentence": self.sentence(),
            "note": self.note,
        }

    def sentence(self) -> str:
        """What a person wants to know, in one line."""
        first, second = self.names
        about = titled(self.metric, self.apart, self.terms)
        n = f"n = {self.n_a} and {self.n_b}"
        n += f", {self.pairs} pairs" if self.pairs else ""
        if self.difference is None:
            return f"{about}: {first} and {second} cannot be compared: {self.reason} ({n})"
        found = self.difference
        if not found.found:
            least = _percent(_gain(found.findable, self.metric))
            return (
                f"{about}: no difference found between {first} and {second}; with these n ({n}) one of "
                f"{least} would have been, in 8 of 10 cases"
            )
        if (found.ratio < 1) != (self.metric.direction == "lower"):
            first, second = second, first
            found = Difference(1 / found.ratio, 1 / found.high, 1 / found.low, found.method, found.findable)
        gains = [_gain(ratio, self.metric) for ratio in (found.ratio, found.low, found.high)]
        by = self.metric.better.format(by=_percent(gains[0]))
        low, high = sorted(gains[1:])
        return f"{about}: {first} {by} than {second} (95 %: {_bare(low)}-{_percent(high)}; {n})"


def compare(
    a: Side, b: Side, metric: Metric, limits: Limits | None = None, seed: int = 1
) -> list[Comparison]:
    """A comparison for each group of values that is kept apart and that one of them has."""
    requests = [*a.sample.requests, *b.sample.requests]
    groups = sorted(
        {r.apart(metric.apart) for r in requests}, key=lambda group: (group != FIRST, group or "")
    )
    made = [_compare(a, b, metric, group, limits or {}, seed) for group in groups]
    known = [one for one in made if one.n_a or one.n_b]
    return known or [
        Comparison(metric, None, (a.name, b.name), 0, 0, None, None, reason="nobody has the figure")
    ]


def _compare(a: Side, b: Side, metric: Metric, group: str | None, limits: Limits, seed: int) -> Comparison:
    names = (a.name, b.name)
    own = [[r for r in side.sample.requests if r.apart(metric.apart) == group] for side in (a, b)]
    if metric.per_second and (a.in_turn or b.in_turn):
        which = " and ".join(side.name for side in (a, b) if side.in_turn)
        n_a, n_b = map(len, own)
        reason = f"the cells of {which} ran one after the other, and have no rate in common"
        return Comparison(metric, None, names, n_a, n_b, None, None, reason=reason)
    if why_not := _unlike_machines(a, b):
        n_a, n_b = map(len, own)
        return Comparison(metric, group, names, n_a, n_b, None, None, reason=why_not)
    if metric.per_second:
        return _compare_rates(metric, names, own[0], own[1], limits)
    left, right = ([r for r in requests if _usable(r, metric)] for requests in own)
    single = metric.name in MEMORY and (a.of_bench or b.of_bench)
    if single:
        left, right = one_reading_each(left), one_reading_each(right)
    values = [[r.value(metric.name) for r in requests] for requests in (left, right)]
    n_a, n_b = len(left), len(right)
    middles = [median(one) if one else None for one in values]
    head = (metric, group, names, n_a, n_b, middles[0], middles[1])
    if min(n_a, n_b) < LEAST_N:
        needed = "a cell's memory is one reading, which has no interval" if single else None
        return Comparison(*head, reason=needed or f"each needs {LEAST_N} answers that have the figure")
    by_spell = spells(left, metric), spells(right, metric)
    if by_spell[0] and by_spell[1]:
        return _by_spell(head, values, (by_spell[0], by_spell[1]), seed)
    pairs = _pairs(left, right, metric)
    note = _note(left, right) + "; two runs over the same papers compare better"
    if len(pairs) >= LEAST_N:
        quotients = of_pairs(
            [one for one, _, _ in pairs],
            [two for _, two, _ in pairs],
            seed,
            _groups([p for _, _, p in pairs]),
        )
        return Comparison(*head, pairs=len(pairs), difference=quotients)
    sides = answers(left), answers(right)
    if same_questions(side.questions for side in sides):
        return Comparison(*head, difference=of_medians(values[0], values[1], seed))
    if unlike(*sides, metric):
        return _of_like_length(head, sides, seed)
    return _independent(head, left, right, seed, note)


def _unlike_machines(a: Side, b: Side) -> str:
    """Why figures of the two say nothing of each other; empty where they do."""
    kinds = a.known_kinds | b.known_kinds
    if len(kinds) < 2:
        return ""
    if "" not in kinds:
        return "they are simulated at different paces"
    mixed = [side.name for side in (a, b) if len(side.known_kinds) > 1]
    return f"answers of {' and '.join(mixed)} are partly simulated" if mixed else "one of them is simulated"


Head = tuple[Metric, str | None, tuple[str, str], int, int, float | None, float | None]


def _independent(
    head: Head, left: Sequence[Request], right: Sequence[Request], seed: int, note: str
) -> Comparison:
    metric = head[0]
    groups = papers(left), papers(right)
    fewest = min(len(set(one)) for one in groups)
    if fewest < LEAST_N:
        return Comparison(
            *head, reason=f"answers of {fewest} papers; where papers differ, {LEAST_N} are needed"
        )
    values = [[r.value(metric.name) for r in requests] for requests in (left, right)]
    repeated = any(len(set(one)) < len(one) for one in groups)
    difference = of_medians(values[0], values[1], seed, groups if repeated else None)
    return Comparison(*head, difference=difference, note=note)


def _by_spell(
    head: Head, values: Sequence[list[float]], of: tuple[list[Hashable], list[Hashable]], seed: int
) -> Comparison:
    """Requests of one spell shared readings: they are worth as many as there are spells."""
    worth = len(set(of[0])), len(set(of[1]))
    if (fewest := min(worth)) < LEAST_N:
        return Comparison(
            *head, reason=f"their energy was read in {fewest} spells, of {LEAST_N} that are needed"
        )
    return Comparison(*head, difference=of_medians(values[0], values[1], seed, worth=worth))


def _of_like_length(head: Head, sides: tuple[Answers, Answers], seed: int) -> Comparison:
    """By the answers to prompts of like length; with too few of them, by all, if the better one's prompts
    were the longer ones."""
    metric, left, right = head[0], sides[0].requests, sides[1].requests
    note = _note(left, right)
    pairs = of_like_length(*sides)
    said = f"{len(pairs)} answers of each are to prompts of like length"
    if len(pairs) >= LEAST_N:
        own = [list(side) for side in zip(*pairs, strict=True)]
        values = [[r.value(metric.name) for r in side] for side in own]
        about = min((papers(side) for side in own), key=lambda one: len(set(one)))
        n = len(pairs)
        like = (*head[:3], n, n, median(values[0]), median(values[1]), n)
        if len(set(about)) >= LEAST_N:
            groups = about if len(set(about)) < n else None
            difference = of_pairs(values[0], values[1], seed, groups)
            return Comparison(*like, difference=difference, note=f"{note}; {said}, and these are compared")
    plain = _independent(head, left, right, seed, f"{note}; the better one's prompts were the longer ones")
    if plain.difference and plain.difference.found:
        first = (plain.difference.ratio < 1) == (metric.direction == "lower")
        if in_spite(*(sides if first else sides[::-1]), metric):
            return plain
    return Comparison(*head, reason=f"{note}, and only {said}")


def _compare_rates(
    metric: Metric, names: tuple[str, str], left: Sequence[Request], right: Sequence[Request], limits: Limits
) -> Comparison:
    a, b = (rate_of(requests, metric, limits) for requests in (left, right))
    head = (metric, None, names, a.n, b.n, a.value, b.value)
    if min(a.n, b.n) < LEAST_N:
        return Comparison(*head, reason=f"each needs {LEAST_N} answers that have the figure")
    if a.value is None or b.value is None:
        return Comparison(*head, reason="the tokens of some answers are not counted, and have no sum")
    if not (a.value and b.value):
        return Comparison(*head, reason="a rate of 0 has no quotient")
    if min(len(a.blocks), len(b.blocks)) < 2:
        return Comparison(*head, reason="their runs are too short for the interval of a rate")
    return Comparison(*head, difference=of_rates(a.value / b.value, a.blocks, b.blocks))


def _usable(request: Request, metric: Metric) -> bool:
    value = request.value(metric.name)
    return value > 0 and (request.counted or not metric.counted)  # NaN is not above 0


def _pairs(left: list[Request], right: list[Request], metric: Metric) -> list[tuple[float, float, str]]:
    """(a, b, paper) of each question that both answered, if those are most of what they did; repeats as their
    median."""
    sides: list[dict[str, list[float]]] = [{}, {}]
    about: dict[str, str] = {}
    for side, requests in zip(sides, (left, right), strict=True):
        for r in requests:
            side.setdefault(r.question, []).append(r.value(metric.name))
            about[r.question] = r.paper or r.question
    shared = [question for question in sides[0] if question in sides[1]]
    if 2 * len(shared) < max(map(len, sides)):
        return []
    return [(median(sides[0][q]), median(sides[1][q]), about[q]) for q in shared]


def _groups(of_papers: list[str]) -> list[Hashable] | None:
    """Answers of one paper are drawn together, where there are enough papers and they repeat."""
    several = len(set(of_papers))
    return list(of_papers) if LEAST_N <= several < len(of_papers) else None


def _note(left: Sequence[Request], right: Sequence[Request]) -> str:
    lengths = [
        [r.prompt_tokens for r in requests if not math.isnan(r.prompt_tokens)] for requests in (left, right)
    ]
    said = "they answered different papers"
    if all(lengths):
        said += f" (median prompt {median(lengths[0]):.0f} and {median(lengths[1]):.0f} tokens)"
    return said


def _gain(ratio: float, metric: Metric) -> float:
    """How much better: a share of the worse one's value."""
    if metric.direction == "lower":
        return 1 - (1 / ratio if ratio > 1 else ratio)
    return (ratio if ratio > 1 else 1 / ratio) - 1


def _percent(share: float) -> str:
    return f"{_bare(share)} %"


def _bare(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f}" if abs(percent) >= 9.95 else f"{percent:.1f}"
