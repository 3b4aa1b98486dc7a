"""Where the time of a fleet's slots goes in a run, by the simulators' own logs. Pure but for reading them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from benchmarks.room import Machine, read
from worker_agent.config import Host

PAUSE_S = 0.15  # a longer one is no pause between two requests: its slot asked for work and got none
WORK, SLOWER, VAIN = "at work", "requests longer than told", "work in vain"
START, INSIDE, BETWEEN = "before its first request", "pauses in a paper", "pauses between papers"
REFUSED, TAIL = "idle while something was due", "idle when all was begun"
WHAT = (WORK, SLOWER, VAIN, START, INSIDE, BETWEEN, REFUSED, TAIL)


@dataclass(frozen=True, slots=True)
class Called:
    """One engine call: the item it was for, the machine and its slot, from when to when (seconds since
    1970). `paper`: what the items of one paper have in common."""

    item: str
    machine: str
    slot: int
    begun_at: float
    ended_at: float
    outcome: str = "finished"

    @property
    def paper(self) -> str:
        return self.item.rpartition("-")[0]

    @property
    def took_s(self) -> float:
        return self.ended_at - self.begun_at


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one slot, and what for."""

    machine: str
    what: str
    seconds: float


def called(hosts: Iterable[Host], prefix: str) -> list[Called]:
    """The calls for items whose id begins so, by the simulators' logs, in the order they began."""
    made = [
        Called(one["tag"], host.id, one["slot"], one["begun_at"], one["ended_at"], one["outcome"])
        for host in hosts
        for one in json.loads(read(f"{host.url}/simulator/log"))
        if one["tag"].startswith(prefix)
    ]
    return sorted(made, key=attrgetter("begun_at"))


def spent(
    fleet: Sequence[Machine], calls: Sequence[Called], begun_at: float, ended_at: float
) -> Iterator[Spent]:
    """Every second of every slot between the two moments. An item's first whole answer is work, any other
    call for it in vain."""
    useful = set(_first_answers(calls).values())
    firsts: dict[str, float] = {}
    for call in calls:
        firsts.setdefault(call.item, call.begun_at)
    dry_at = max(firsts.values())
    for machine in fleet:
        for slot in range(machine.slots):
            own = [call for call in calls if (call.machine, call.slot) == (machine.id, slot)]
            for what, seconds in _of_slot(own, machine.service_s, useful, dry_at, begun_at, ended_at):
                yield Spent(machine.id, what, seconds)


def _first_answers(calls: Iterable[Called]) -> Mapping[str, Called]:
    first: dict[str, Called] = {}
    for call in sorted(calls, key=attrgetter("ended_at")):
        if call.outcome == "finished":
            first.setdefault(call.item, call)
    return first


def _of_slot(
    own: Sequence[Called], service_s: float, useful: set[Called], dry_at: float, begun: float, ended: float
) -> Iterator[tuple[str, float]]:
    for call in own:
        if call in useful:
            yield WORK, min(call.took_s, service_s)
            yield SLOWER, max(0.0, call.took_s - service_s)
        else:
            yield VAIN, max(0.0, min(call.ended_at, ended) - call.begun_at)
    if not own:
        yield from _idle(begun, ended, dry_at, REFUSED)
        return
    yield from _idle(begun, own[0].begun_at, dry_at, START)
    for one, other in pairwise(own):
        pause_s = other.begun_at - one.ended_at
        short = INSIDE if one.paper == other.paper else BETWEEN
        yield from _idle(one.ended_at, other.begun_at, dry_at, short if pause_s < PAUSE_S else REFUSED)
    yield from _idle(own[-1].ended_at, ended, dry_at, REFUSED)


def _idle(since: float, until: float, dry_at: float, what: str) -> Iterator[tuple[str, float]]:
    """Idle time, apart before and after the moment when nothing was left to begin."""
    if what in (INSIDE, BETWEEN):
        yield what, max(0.0, until - since)
        return
    yield what, max(0.0, min(until, dry_at) - since)
    yield TAIL, max(0.0, until - max(since, dry_at))


def shares(parts: Iterable[Spent]) -> dict[str, float]:
    """Of all slot seconds, in percent."""
    sums = _sums(parts, dict[str, float]())
    whole = sum(sums.values())
    return {what: 100 * seconds / whole for what, seconds in sums.items()}


def losses(fleet: Sequence[Machine], parts: Iterable[Spent], items: int) -> dict[str, float]:
    """What each costs, in percent of the ideal: a second of a fast slot is worth more than one of a slow
    slot. All together they are the makespan over the ideal, less one."""
    rates = {machine.id: 1 / machine.service_s for machine in fleet}
    sums = _sums(parts, rates)
    return {what: 100 * sums[what] / items for what in WHAT if what != WORK}


def _sums(parts: Iterable[Spent], weight: Mapping[str, float]) -> dict[str, float]:
    sums = dict.fromkeys(WHAT, 0.0)
    for part in parts:
        sums[part.what] += part.seconds * weight.get(part.machine, 1.0)
    return sums


def pauses_ms(calls: Sequence[Called], machine: str, slot: int = 0) -> list[float]:
    """Milliseconds between two calls in a slot, from the end of one to the begin of the next."""
    own = [call for call in calls if (call.machine, call.slot) == (machine, slot)]
    return [1000 * (other.begun_at - one.ended_at) for one, other in pairwise(own)]
