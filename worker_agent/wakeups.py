"""How late a thread of this process runs again after it was to wake: it waits for a core, then for Python's
lock, as every thread does that stamps a token. Told by one thread that sleeps a little at a time while calls
run, on every system; while none runs it rests."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

PAUSE_S = 0.05  # a wake-up costs some 0.1 ms of a core that was idle
# By so much XNU lets a timer be late to save power (an eighth, at most 1 ms), however idle the process.
_LEEWAY_S = 0.001 if sys.platform == "darwin" else 0.0


class Wakeups(NamedTuple):
    """Of this process, so far."""

    late_s: float
    number: int


class Sleeper:
    """The thread, begun with the first call that is watched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._so_far = Wakeups(0.0, 0)

    @property
    def wakeups(self) -> Wakeups:
        return self._so_far

    @contextmanager
    def watching(self) -> Iterator[None]:
        """It sleeps and wakes for the time of the block, and of all others that overlap it."""
        with self._lock:
            self._calls += 1
            self._wanted.set()
            if self._thread is None or not self._thread.is_alive():  # a forked child has none
                self._thread = threading.Thread(target=self._sleep, name="wakeups", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._wanted.clear()

    def _sleep(self) -> None:
        while self._wanted.wait():
            due = time.perf_counter() + PAUSE_S + _LEEWAY_S
            time.sleep(PAUSE_S)
            late_s, number = self._so_far
            self._so_far = Wakeups(late_s + max(0.0, time.perf_counter() - due), number + 1)


SLEEPER = Sleeper()


def mean_late_ms(since: Wakeups | None) -> float | None:
    """Of the wake-ups after `since`; None where there was none."""
    now = SLEEPER.wakeups
    if since is None or now.number <= since.number:
        return None
    return 1000 * (now.late_s - since.late_s) / (now.number - since.number)
