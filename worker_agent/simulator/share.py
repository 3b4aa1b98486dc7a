"""`SharedClock`: the time that the requests of a simulated engine see; it slows down when they are many."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from worker_agent.simulator.line import Line

LOOK_S = 0.05  # how soon a waiting request notices that the others left


class SharedClock:
    """Up to `knee` requests run at full speed; more share what that many get (None: never)."""

    def __init__(self, knee: int | None) -> None:
        self._knee = knee
        self._running = 0
        self._told_s, self._real_s = 0.0, time.perf_counter()
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """One more request, for the time of the block."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def now(self) -> float:
        """Seconds that a request would have got since the clock was made."""
        with self._lock:
            return self._advance()

    def wait_until(self, due_s: float, line: Line) -> None:
        """Returns when `now` says `due_s`. Raises ClientGone as soon as the client hangs up."""
        while (left_s := due_s - self.now()) > 0:
            longest_s = left_s if self._knee is None else LOOK_S
            line.wait_until(time.perf_counter() + min(left_s / self._speed, longest_s))

    def _count(self, more: int) -> None:
        with self._lock:
            self._advance()
            self._running += more

    def _advance(self) -> float:
        real_s = time.perf_counter()
        self._told_s += (real_s - self._real_s) * self._speed
        self._real_s = real_s
        return self._told_s

    @property
    def _speed(self) -> float:
        return 1.0 if self._knee is None else min(1.0, self._knee / max(1, self._running))
