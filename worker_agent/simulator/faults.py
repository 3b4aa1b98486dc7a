"""Faults on demand, so that a test or a demonstration can make an engine misbehave."""

import hashlib
import json
import math
import threading
from collections import Counter
from collections.abc import Iterator
from typing import get_args

from worker_agent.simulator.answer import dice_for
from worker_agent.simulator.line import Line
from worker_agent.simulator.pace import Chunk
from worker_agent.simulator.profile import FaultMode

FAULT_MODES: tuple[str, ...] = get_args(FaultMode)


class Dropped(Exception):
    """The fault `drop`: close the connection in the middle of the answer."""


class Faults:
    """`500` and `html` answer so at once; `hang` never says a word; `stall` and `drop` fall silent or
    hang up half-way; `empty` ends in good order without text. All but the first two hold a slot."""

    def __init__(self, mode: str = "ok", count: int = 0, rate: float = 1.0, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._asked: Counter[bytes] = Counter()
        self.set(mode, count, rate)

    def set(self, mode: str, count: int = 0, rate: float = 1.0) -> None:
        """From now on, for the next `count` chat requests (0: until set again), a share of `rate` of them."""
        if mode not in FAULT_MODES:
            raise ValueError(f"mode: one of {', '.join(FAULT_MODES)}")
        if not 0 <= rate <= 1:
            raise ValueError("rate: from 0 to 1")
        with self._lock:
            self._mode, self._rate = mode, rate
            self._left = count or math.inf

    def take(self, request: object = None) -> str:
        """The fault of one chat request. With a rate, it is drawn for each time that `request` (plain values)
        is asked: with the same seed the same ones fail, and one that failed may succeed the next time."""
        with self._lock:
            if self._left <= 0 or self._mode == "ok":
                return "ok"
            self._left -= 1
            return self._mode if self._rate >= 1 or self._drawn(request) < self._rate else "ok"

    def _drawn(self, request: object) -> float:
        digest = hashlib.sha256(json.dumps(request).encode()).digest()
        self._asked[digest] += 1
        return dice_for(self._seed, "fault", digest.hex(), self._asked[digest]).random()


def hang(mode: str, line: Line) -> None:
    """The fault `hang`: not even headers, until the client hangs up. Raises ClientGone."""
    if mode == "hang":
        line.wait_until(math.inf)


def bend(mode: str, chunks: list[Chunk], line: Line) -> Iterator[Chunk]:
    """The chunks as the fault leaves them. Raises Dropped."""
    if mode == "empty":
        return
    if mode not in ("stall", "drop"):
        yield from chunks
        return
    yield from chunks[: max(1, len(chunks) // 2)]
    if mode == "drop":
        raise Dropped
    line.wait_until(math.inf)
