"""What a host puts out, told to its `Knee`; and the knee's answer, told to the host's slots.

Characters are counted as they come: an engine's own count of tokens comes with the end of an answer, and
a busy engine may send several tokens at once.
"""

import logging
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock

from tasks.livehost import LiveHost
from tasks.slots import Slots
from worker_agent.engines import Call

log = logging.getLogger(__name__)


class Gauge:
    """Shared by all threads of a worker; does nothing where slots are not to be found out."""

    def __init__(self, live: LiveHost, slots: Slots) -> None:
        self._live, self._slots = live, slots
        self._calls: dict[int, Call] = {}
        self._lock = Lock()

    @contextmanager
    def calling(self, call: Call) -> Iterator[None]:
        """Within, the engine works on this call."""
        with self._lock:
            self._look()
            self._calls[id(call)] = call
            self._look()
        try:
            yield
        finally:
            with self._lock:
                self._look()
                del self._calls[id(call)]
                self._look()

    def look(self) -> None:
        """Count what has come."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        knee = self._live.knee
        if not knee:
            return
        before = knee.slots, knee.found
        knee.limit = self._live.most_slots
        counts: dict[Hashable, int] = {key: call.characters for key, call in self._calls.items()}
        knee.saw(time.monotonic(), self._slots.sitting, counts)
        if before != (knee.slots, knee.found):
            self._tell(before[0])

    def _tell(self, before: int) -> None:
        knee = self._live.knee
        assert knee
        if knee.found:
            log.info("%d slots found: about %.0f characters a second", knee.slots, knee.rate)
        else:
            log.info("finding out how many slots: %d after %d", knee.slots, before)
        self._slots.slots = knee.slots
        self._slots.wake()
