"""When each host was at work: requests in lanes, as its slots would have had them, and how busy it was.
Pure."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.report.account import FAILED, Account, Seen

DRAWN = 2000  # requests; of more, every so many-th
BINS = 96  # of a utilisation over time


@dataclass(frozen=True, slots=True)
class Bar:
    """A request that is drawn: from 0 to 1 of the time in `lane`. A failed one has no beginning."""

    begin: float
    end: float
    lane: int
    outcome: int


@dataclass(frozen=True, slots=True)
class Track:
    """A host over time. `busy`: of each bin, the share of its `slots` at work; `counted`: the slots are those
    seen at work at a time, since nobody told."""

    host: str
    bars: tuple[Bar, ...]
    lanes: int
    busy: tuple[float, ...]
    slots: int
    counted: bool

    @property
    def utilisation(self) -> float:
        return sum(self.busy) / len(self.busy) if self.busy else 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """From `start_s` on, `length_s` long. One of `every` requests is drawn."""

    start_s: float
    length_s: float
    tracks: tuple[Track, ...]
    requests: int
    every: int


def timeline(account: Account, slots: dict[str, int]) -> Timeline | None:
    """Of all requests whose times are known; None where there are none. `slots`: as hosts said."""
    timed = {name: seen for name, seen in sorted(account.hosts.items()) if len(seen.end_s)}
    if not timed:
        return None
    start_s = min(min(seen.begin_s) for seen in timed.values())
    end_s = max(max(seen.end_s) for seen in timed.values())
    length_s = max(end_s - start_s, 1e-3)
    requests = sum(len(seen.end_s) for seen in timed.values())
    every = math.ceil(requests / DRAWN)
    tracks = tuple(
        _track(name, seen, start_s, length_s, every, slots.get(name)) for name, seen in timed.items()
    )
    return Timeline(start_s, length_s, tracks, requests, every)


def _track(host: str, seen: Seen, start_s: float, length_s: float, every: int, told: int | None) -> Track:
    order = sorted(range(len(seen.end_s)), key=seen.begin_s.__getitem__)
    bars = []
    lanes = 1
    for number, (index, lane) in enumerate(_laned(seen, order)):
        lanes = max(lanes, lane + 1)
        if number % every == 0:
            begin, end = ((at - start_s) / length_s for at in (seen.begin_s[index], seen.end_s[index]))
            bars.append(Bar(begin, end, lane, seen.outcome[index]))
    slots = max(told or lanes, seen.at_once, 1)  # a benchmark may ask more at a time than llmq would
    work_s = _work_s(seen, start_s, length_s)
    bin_s = length_s / BINS * slots
    return Track(
        host,
        tuple(bars),
        lanes,
        tuple(min(one / bin_s, 1.0) for one in work_s),
        slots,
        told is None,
    )


def _laned(seen: Seen, order: list[int]) -> Iterator[tuple[int, int]]:
    """Each request with the lowest lane that is free as it begins; failures stand in the first."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = 0
    for index in order:
        if seen.outcome[index] == FAILED and seen.begin_s[index] == seen.end_s[index]:
            yield index, 0
            continue
        while busy and busy[0][0] <= seen.begin_s[index] + 1e-3:  # stamps are in milliseconds
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, lanes)
            lanes += 1
        lane = heapq.heappop(free)
        heapq.heappush(busy, (seen.end_s[index], lane))
        yield index, lane


def _work_s(seen: Seen, start_s: float, length_s: float) -> list[float]:
    """Seconds of work in each bin, all requests together."""
    bin_s = length_s / BINS
    work_s = [0.0] * BINS
    for begin_s, end_s in zip(seen.begin_s, seen.end_s, strict=True):
        first = min(int((begin_s - start_s) / bin_s), BINS - 1)
        last = min(int((end_s - start_s) / bin_s), BINS - 1)
        for at in range(first, last + 1):
            left = start_s + at * bin_s
            work_s[at] += max(0.0, min(end_s, left + bin_s) - max(begin_s, left))
    return work_s
