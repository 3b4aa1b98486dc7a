"""`celery -A tasks worker` with one more engine, `null`, that answers in the worker's own process at once:
what is left is llmq's and Celery's. Only for benchmarks/own_cost.py, which starts it.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from worker_agent.completion import Completion, Counts, EngineState, ModelState, Request, Timing
from worker_agent.engines import ENGINES, Call, Engine
from worker_agent.engines.answer import Delta
from worker_agent.engines.base import Line

MODEL = "sim-8b"
ANSWER = " ".join(f"word{n}" for n in range(130))  # about 1 kB
STARTED_AT = "2026-01-01T00:00:00.000+00:00"


class Null(Engine):
    """An engine that is no server; it has read and written before it was asked."""

    name: ClassVar[str] = "null"
    default_port: ClassVar[int] = 1
    chat_path: ClassVar[str] = "/"

    def recognises(self, timeout_s: float) -> bool:
        return False

    def state(self, timeout_s: float = 2.0) -> EngineState:
        return EngineState(self.name, "1", (ModelState(MODEL, loaded=True, window=8192),), simulated=True)

    def complete(self, request: Request, call: Call) -> Completion:
        timing = Timing(STARTED_AT, 0.1, 0.1, 0.2, 0.2, 0.01, 0.002, 0.002)
        counts = Counts(len(request.prompt) // 4, 200, 0, 0, "server")
        return Completion(ANSWER, "", MODEL, "stop", timing, counts, simulated=True)

    def _chat(self, request: Request) -> dict[str, Any]:
        raise NotImplementedError

    def _deltas(self, lines: Iterable[Line]) -> Iterator[Delta]:
        raise NotImplementedError


if __name__ == "__main__":
    ENGINES[Null.name] = Null
    from celery.__main__ import main

    sys.argv = ["celery", "-A", "tasks", "worker", "--loglevel", "INFO"]
    sys.exit(main())
