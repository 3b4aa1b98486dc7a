"""Sends the requests of a cell, each in a thread of its own, when they are due. Knows no Redis and no engine:
`ask` sends one request and gives its completion.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread

from worker_agent.completion import Completion, Limits
from worker_agent.engines.dial import Call, clock

Ask = Callable[[int, Call], Completion]
LOOK_S = 0.1
STOOD_STILL_S = 3.0  # longer between two looks, by either clock: asleep, frozen, or the clock was set


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what came of it. Instants are of `clock`; `due_at` None: it was not scheduled."""

    item: int
    due_at: float | None
    begun_at: float
    completion: Completion | None = None
    error: Exception | None = None


class Drive:
    """One go at a cell. `stop`, from any thread, ends all calls at once. `stood_still_s`: for how long nobody
    was awake to take times, which ends them too; 0: it never happened."""

    def __init__(self, ask: Ask, limits: Limits) -> None:
        self._ask, self._limits = ask, limits
        self.stood_still_s = 0.0
        self._over = Event()
        self._calls: set[Call] = set()
        self._asked: list[Asked] = []
        self._lock = Lock()

    @property
    def done(self) -> int:
        """How many requests have ended."""
        return len(self._asked)

    @property
    def failed(self) -> int:
        """How many of these without an answer."""
        return sum(one.error is not None for one in list(self._asked))

    @property
    def stopped(self) -> bool:
        return self._over.is_set()

    def too_silent_s(self) -> float:
        """How far the worst of the running calls is beyond what it may be silent."""
        with self._lock:
            return max((call.too_silent_s for call in self._calls), default=0.0)

    def stop(self) -> None:
        self._over.set()
        with self._lock:
            for call in self._calls:
                call.cancel()

    def run(
        self,
        items: Sequence[int],
        at_once: int,
        due: Sequence[float] | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> list[Asked]:
        """Ask all items, `at_once` at a time, in their order. With `due`, an instant each, nobody is asked
        before it is due, and later only where all threads are at work. `look` is called now and then."""
        instants: Sequence[float | None] = due or [None] * len(items)
        waiting = deque(zip(items, instants, strict=True))
        first = len(self._asked)
        threads = [
            Thread(target=self._work, args=(waiting,), name=f"request-{number}", daemon=True)
            for number in range(min(at_once, len(items)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                self._wait_for(thread)
                look()
        return self._asked[first:]

    def _wait_for(self, thread: Thread) -> None:
        """A little; a machine that sleeps stops one clock, a process that is frozen neither."""
        wall_s, at = time.time(), clock()
        thread.join(LOOK_S)
        took_s = max(abs(time.time() - wall_s), clock() - at)
        if took_s > STOOD_STILL_S:
            self.stood_still_s = took_s
            self.stop()

    def _work(self, waiting: "deque[tuple[int, float | None]]") -> None:
        while not self._over.is_set():
            try:
                item, due_at = waiting.popleft()
            except IndexError:
                return
            if due_at is not None and self._over.wait(max(0.0, due_at - clock())):
                return
            self._send(item, due_at)

    def _send(self, item: int, due_at: float | None) -> None:
        call = Call(self._limits)
        with self._lock:
            self._calls.add(call)
        if self._over.is_set():
            call.cancel()
        completion, error = None, None
        try:
            completion = self._ask(item, call)
        except Exception as failure:  # the cell tells which kind
            error = failure
        with self._lock:
            self._calls.discard(call)
            self._asked.append(Asked(item, due_at, call.begun_at, completion, error))
