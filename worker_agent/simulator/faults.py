"""Faults on demand, so that a test or a demonstration can make an engine misbehave."""

import math
import threading
from collections.abc import Iterator
from typing import get_args

from worker_agent.simulator.line import Line
from worker_agent.simulator.pace import Chunk
from worker_agent.simulator.profile import FaultMode

FAULT_MODES: tuple[str, ...] = get_args(FaultMode)


class Dropped(Exception):
    """The fault `drop`: close the connection in the middle of the answer."""


class Faults:
    """`500` and `html` answer so at once; `hang` never says a word; `stall` and `drop` fall silent or
    hang up half-way; `empty` ends in good order without text. All but the first two hold a slot."""

    def __init__(self, mode: str = "ok", count: int = 0) -> None:
        self._lock = threading.Lock()
        self.set(mode, count)

    def set(self, mode: str, count: int = 0) -> None:
        """From now on, for the next `count` chat requests; 0: until set again."""
        if mode not in FAULT_MODES:
            raise ValueError(f"mode: one of {', '.join(FAULT_MODES)}")
        with self._lock:
            self._mode = mode
            self._left = count or math.inf

    def take(self) -> str:
        """The fault of one chat request."""
        with self._lock:
            if self._left <= 0:
                return "ok"
            self._left -= 1
            return self._mode


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
