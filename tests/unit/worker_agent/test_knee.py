"""The number of slots that a host is worth, found from the answers it gives anyway."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from worker_agent.knee import CAP, Knee

KNEES = (1, 2, 3, 6, 8, 16)
SEEDS = 40
TICK_S = 0.5


@dataclass
class Office:
    """A synthetic host, always with work. `curve` says how many answers' worth of speed it has with so many
    at once. Answer lengths are heavy-tailed, and every answer is faster or slower than others by 15 %; the
    first of every five reads a paper before its first character."""

    curve: Callable[[int], float]
    knee: Knee
    seed: int = 0
    reading: float = 0.0  # characters' worth of time before the first one of a paper
    speed: float = 100.0
    now_s: float = 0.0
    ended: int = 0
    done: float = 0.0
    changes: list[tuple[float, int]] = field(default_factory=list)
    dice: random.Random = field(init=False)
    running: dict[int, list[float]] = field(default_factory=dict)  # -> length, written (negative: reads)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.begun = 0
        self.changes.append((0.0, self.knee.slots))

    def work(self, until: Callable[[], bool], most: int = 20_000) -> "Office":
        while not until() and self.ended < most:
            self._begin()
            self._pass(min(TICK_S, self._next_end_s()))
            self._end()
        return self

    def _begin(self) -> None:
        while len(self.running) < self.knee.slots:
            self._tell()
            length = 300 * self.dice.lognormvariate(0, 0.9)
            reads = self.reading if self.begun % 5 == 0 else 0.0
            self.running[self.begun] = [length, -reads, self.dice.lognormvariate(0, 0.15)]
            self.begun += 1
            self._tell()

    def _rates(self) -> dict[int, float]:
        share = self.speed * self.curve(len(self.running)) / len(self.running)
        return {key: share * one[2] for key, one in self.running.items()}

    def _next_end_s(self) -> float:
        rates = self._rates()
        return min((one[0] - one[1]) / rates[key] for key, one in self.running.items())

    def _pass(self, seconds: float) -> None:
        for key, rate in self._rates().items():
            self.running[key][1] += rate * seconds
            self.done += rate * seconds
        self.now_s += seconds
        self._tell()

    def _end(self) -> None:
        for key in [key for key, one in self.running.items() if one[1] >= one[0] - 1e-6]:
            self._tell()
            del self.running[key]
            self.ended += 1
            self._tell(busy=len(self.running) + 1)

    def _tell(self, busy: int | None = None) -> None:
        counts = {key: int(max(0, one[1])) for key, one in self.running.items()}
        self.knee.saw(self.now_s, len(self.running) if busy is None else busy, counts)
        if self.changes[-1][1] != self.knee.slots:
            self.changes.append((self.now_s, self.knee.slots))


def sharp(knee: int) -> Callable[[int], float]:
    """Full speed up to the knee, nothing more beyond it."""
    return lambda slots: float(min(slots, knee))


def search(knee: int, seed: int, **more: float) -> Office:
    office = Office(sharp(knee), Knee(CAP), seed, **more)
    return office.work(lambda: office.knee.found)


@pytest.mark.parametrize("reading", [0.0, 600.0])
@pytest.mark.parametrize("knee", KNEES)
def test_the_knee_is_found_within_one(knee: int, reading: float) -> None:
    """In at least 95 of 100 runs, whether answers differ only in length or papers have to be read, too."""
    found = [search(knee, seed, reading=reading).knee.slots for seed in range(SEEDS)]
    near = [slots for slots in found if abs(slots - knee) <= 1]
    assert len(near) >= 0.95 * SEEDS, sorted(found)
