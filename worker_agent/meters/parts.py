"""What each of many requests used, told when all of them are over. Pure.

Between two readings the mean power of that time holds, since both are known by now: nothing is guessed on, as
for a call that has to be told at its own end (worker_agent/meters/energy.py).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from worker_agent.meters.energy import GAP_S

MOST_IDLE = 0.1  # of the time that readings lump with a request's own; a part may be wrong by so much

Key = TypeVar("Key", bound=Hashable)
Span = tuple[float, float]  # two instants of one clock


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source of energy told at an instant: a counter, or the power of the moment."""

    at: float
    source: str
    counter_j: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time between two readings, and what the machine used in it."""

    begin: float
    end: float
    used_j: float
    source: str

    @property
    def length_s(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Part:
    """A request's own joules, and the mean power of its whole machine while it ran. `every_s`: the longest
    time between two readings that it was told by; in less than that, power may have been anything."""

    energy_j: float
    power_w: float
    source: str
    every_s: float


def stretches(readings: Sequence[Reading]) -> list[Stretch]:
    """Those of which it is known what was used: not where a counter fell, nor between powers that are too far
    apart for one line (GAP_S)."""
    found = []
    for one, other in pairwise(readings):
        used_j = _used_j(one, other)
        if used_j is not None and other.at > one.at:
            found.append(Stretch(one.at, other.at, used_j, other.source))
    return found


def parts(
    readings: Sequence[Reading], spans: Mapping[Key, Span], others: Iterable[Span] = ()
) -> dict[Key, Part]:
    """The parts of the requests that ran for these spans: at each moment the machine's power, divided equally
    among all that ran then, `others` (whose parts nobody asks for) included.

    Who is not in it is unknown: a part of its time was not read, or the readings are too far apart to tell
    it from idle time (MOST_IDLE), or the source saw nothing."""
    known = stretches(readings)
    curve = _Curve(known, [*spans.values(), *others])
    made = {key: _part(span, known, curve) for key, span in spans.items()}
    return {key: part for key, part in made.items() if part}


@dataclass(frozen=True, slots=True)
class _Sums:
    """Since the first instant."""

    share_j: float = 0.0  # of each one that ran
    machine_j: float = 0.0
    known_s: float = 0.0
    idle_s: float = 0.0  # each moment weighs as much as its stretch was idle


class _Curve:
    """The sums at every instant at which a request began or ended, or a source was read."""

    def __init__(self, known: Sequence[Stretch], running: Sequence[Span]) -> None:
        more: dict[float, int] = {}
        for begin, end in running:
            more[begin] = more.get(begin, 0) + 1
            more[end] = more.get(end, 0) - 1
        edges = {edge for one in known for edge in (one.begin, one.end)}
        self._steps = _steps(sorted(more.keys() | edges), more, known)
        self._sums = self._add_up(known)

    def between(self, span: Span) -> _Sums:
        begin, end = (self._sums.get(at, _Sums()) for at in span)
        return _Sums(
            end.share_j - begin.share_j,
            end.machine_j - begin.machine_j,
            end.known_s - begin.known_s,
            end.idle_s - begin.idle_s,
        )

    def _add_up(self, known: Sequence[Stretch]) -> dict[float, _Sums]:
        busy_s = [0.0] * len(known)
        for begin, end, running, place in self._steps:
            if place is not None and running:
                busy_s[place] += end - begin
        sums = _Sums()
        found = {self._steps[0][0]: sums} if self._steps else {}
        for begin, end, running, place in self._steps:
            if place is not None:
                stretch, length_s = known[place], end - begin
                used_j = stretch.used_j * length_s / stretch.length_s
                sums = _Sums(
                    sums.share_j + (used_j / running if running else 0.0),
                    sums.machine_j + used_j,
                    sums.known_s + length_s,
                    sums.idle_s + length_s * (1 - busy_s[place] / stretch.length_s),
                )
            found[end] = sums
        return found


def _steps(
    instants: Sequence[float], more: Mapping[float, int], known: Sequence[Stretch]
) -> list[tuple[float, float, int, int | None]]:
    """From each instant to the next: how many ran, and in which stretch that is."""
    found, running, place = [], 0, 0
    for begin, end in pairwise(instants):
        running += more.get(begin, 0)
        while place < len(known) and known[place].end <= begin:
            place += 1
        inside = place < len(known) and known[place].begin <= begin
        found.append((begin, end, running, place if inside else None))
    return found


def _part(span: Span, known: Sequence[Stretch], curve: _Curve) -> Part | None:
    took_s, sums = span[1] - span[0], curve.between(span)
    unread_s = took_s - sums.known_s
    if took_s <= 0 or sums.share_j <= 0 or unread_s > 1e-6 or sums.idle_s > MOST_IDLE * took_s:
        return None
    first = bisect_right(known, span[0], key=lambda one: one.end)
    touched = known[first : bisect_left(known, span[1], key=lambda one: one.begin)]
    return Part(
        sums.share_j,
        sums.machine_j / took_s,
        "+".join(sorted({one.source for one in touched})),
        max(one.length_s for one in touched),
    )


def _used_j(one: Reading, other: Reading) -> float | None:
    if one.counter_j is not None and other.counter_j is not None:
        return other.counter_j - one.counter_j if other.counter_j >= one.counter_j else None
    if one.power_w is not None and other.power_w is not None and other.at - one.at <= GAP_S:
        return (one.power_w + other.power_w) / 2 * (other.at - one.at)
    return None
