"""The slots of a simulated engine: a silent queue in arrival order, what each slot still holds, counters."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from worker_agent.simulator.line import ClientGone, Line

SIMILAR = 0.10  # share of the prompt a slot must hold to be preferred, as in llama.cpp
MOST_LOGGED = 20_000  # calls


@dataclass(slots=True, eq=False)
class Slot:
    """`held` is the prompt whose keys and values it still has. Of the call that has it: when its first token
    was `due_s`, and when it left, `first_s`, both after the slot was granted."""

    number: int
    held: str = ""
    due_s: float | None = None
    first_s: float | None = None


@dataclass(slots=True)
class Calls:
    """Chat requests as the engine saw them. The `started` got a slot and are running, finished (answered
    in full) or failed (by a fault); the `cancelled` hung up, in their slot (together for `cancelled_s`
    seconds) or in the queue; the `refused` never queued: an unknown model, too long a prompt, the faults
    `500` and `html`."""

    started: int = 0
    finished: int = 0
    cancelled: int = 0
    cancelled_s: float = 0.0
    failed: int = 0
    refused: int = 0
    running: int = 0
    waiting: int = 0
    max_running: int = 0


@dataclass(frozen=True, slots=True)
class Logged:
    """One call that is over: what the client named it, where it was, from when to when (seconds since 1970),
    and how it ended, in the words of `Calls`. `queued_s`: from the end of its request to its slot; from there
    on its first token was due after `due_s`, and left after `first_s` (None: it never did)."""

    tag: str
    slot: int
    begun_at: float
    ended_at: float
    outcome: str
    queued_s: float
    due_s: float | None
    first_s: float | None


@dataclass(slots=True, eq=False)
class _Waiter:
    prompt: str
    tag: str
    granted: threading.Event = field(default_factory=threading.Event)
    slot: Slot | None = None
    joined_at: float = field(default_factory=time.perf_counter)
    granted_at: float = 0.0


class Slots:
    """Hands out `count` slots: first come, first served; the slot that holds most of the prompt first."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._idle = [Slot(number) for number in range(count)]  # least recently used first
        self._queue: deque[_Waiter] = deque()
        self._calls = Calls()
        self._log: deque[Logged] = deque(maxlen=MOST_LOGGED)

    @contextmanager
    def take(self, prompt: str, line: Line, tag: str = "", heard_at: float | None = None) -> Iterator[Slot]:
        """A slot for the time of the block. `heard_at`: when the request had been read, by
        `time.perf_counter`. Raises ClientGone if the client leaves the queue."""
        waiter = _Waiter(prompt, tag) if heard_at is None else _Waiter(prompt, tag, joined_at=heard_at)
        outcome = "failed"
        try:
            self._join(waiter)
            line.wait_for(waiter.granted.wait)
            assert waiter.slot is not None
            yield waiter.slot
            outcome = "finished"
        except (ClientGone, ConnectionError):
            outcome = "cancelled"
            raise
        finally:
            self._leave(waiter, outcome)

    def forget(self) -> None:
        """Empty the idle slots' caches, as a reloaded model does."""
        with self._lock:
            for slot in self._idle:
                slot.held = ""

    def count_refused(self) -> None:
        """One more chat request that was turned away."""
        with self._lock:
            self._calls.refused += 1

    def count_calls(self) -> dict[str, float]:
        """The counters now."""
        with self._lock:
            self._calls.waiting = len(self._queue)
            return asdict(self._calls)

    def log(self) -> list[Logged]:
        """The latest calls that had a slot and are over."""
        with self._lock:
            return list(self._log)

    def _join(self, waiter: _Waiter) -> None:
        with self._lock:
            self._queue.append(waiter)
            self._grant()

    def _leave(self, waiter: _Waiter, outcome: str) -> None:
        with self._lock:
            calls = self._calls
            setattr(calls, outcome, getattr(calls, outcome) + 1)
            if waiter.slot is None:
                self._queue.remove(waiter)
                return
            calls.running -= 1
            took_s, now = time.perf_counter() - waiter.granted_at, time.time()
            self._log.append(_logged(waiter, waiter.slot, now - took_s, now, outcome))
            if outcome == "cancelled":
                calls.cancelled_s += took_s
            self._idle.append(waiter.slot)
            self._grant()

    def _grant(self) -> None:
        while self._idle and self._queue:
            waiter = self._queue.popleft()
            waiter.slot = max(self._idle, key=lambda slot: _likeness(slot.held, waiter.prompt))
            self._idle.remove(waiter.slot)
            waiter.slot.due_s = waiter.slot.first_s = None
            waiter.granted_at = time.perf_counter()
            self._calls.started += 1
            self._calls.running += 1
            self._calls.max_running = max(self._calls.max_running, self._calls.running)
            waiter.granted.set()


def _logged(waiter: _Waiter, slot: Slot, begun_at: float, ended_at: float, outcome: str) -> Logged:
    queued_s = waiter.granted_at - waiter.joined_at
    return Logged(waiter.tag, slot.number, begun_at, ended_at, outcome, queued_s, slot.due_s, slot.first_s)


def common_prefix(a: str, b: str) -> str:
    """What both begin with, by halving: papers are long and Python loops slow."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return a[:low]


def _likeness(held: str, prompt: str) -> float:
    share = len(common_prefix(held, prompt)) / max(1, len(prompt))
    return share if share >= SIMILAR else 0.0
