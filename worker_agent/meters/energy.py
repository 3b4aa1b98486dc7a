"""Joules over time from what is seen now and then, and who gets which of them. Pure.

Between two readings, and after the last, the power is held that was known last; the next reading puts that
right. Whoever is running then has the difference.
"""

from collections.abc import Hashable

HELD_S = 5.5  # how long a power is believed without another reading
GAP_S = 15.0  # between two powers that are one line; the slowest source is read every 5 s


class Joules:
    """A sum that starts at zero with the first reading. Give it powers or a counter, not both."""

    def __init__(self) -> None:
        self._sum_j, self._watts = 0.0, 0.0
        self._read_at: float | None = None
        self._counter_j: float | None = None

    def power(self, at: float, watts: float) -> None:
        """The power of the moment `at`, by the trapezoid rule."""
        if self._read_at is not None and at - self._read_at <= GAP_S:
            self._sum_j += (self._watts + watts) / 2 * (at - self._read_at)
        self._read_at, self._watts = at, watts

    def counter(self, at: float, joules: float) -> None:
        """A counter's value at the moment `at`; where it fell, it began again."""
        if self._read_at is not None and self._counter_j is not None and at > self._read_at:
            more_j = max(0.0, joules - self._counter_j)
            self._sum_j += more_j
            self._watts = more_j / (at - self._read_at)
        self._read_at, self._counter_j = at, joules

    def at(self, now: float) -> float | None:
        """The sum at `now`, which is after the last reading; None before the first."""
        if self._read_at is None:
            return None
        return self._sum_j + self._watts * min(max(now - self._read_at, 0.0), HELD_S)

    @property
    def read_j(self) -> float:
        """The sum at the last reading."""
        return self._sum_j

    def rest(self) -> None:
        """Nobody looks for a while: what is used meanwhile is nobody's."""
        self._read_at = self._counter_j = None
        self._watts = 0.0


class Shares:
    """A growing sum, divided equally among those that run while it grows: their parts add up to it."""

    def __init__(self) -> None:
        self._settled_j: float | None = None
        self._parts_j: dict[Hashable, float] = {}

    def settle(self, sum_j: float | None) -> None:
        """Divide what came since the last time."""
        if sum_j is not None and self._settled_j is not None and self._parts_j:
            part_j = (sum_j - self._settled_j) / len(self._parts_j)
            for key in self._parts_j:
                self._parts_j[key] += part_j
        self._settled_j = sum_j

    def begin(self, key: Hashable, sum_j: float | None) -> None:
        self.settle(sum_j)
        self._parts_j[key] = 0.0

    def end(self, key: Hashable, sum_j: float | None) -> float:
        """Its part."""
        self.settle(sum_j)
        return self._parts_j.pop(key)
