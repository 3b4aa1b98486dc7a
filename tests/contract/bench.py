"""An engine under test: a scripted server and the adapter that talks to it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.contract.engine_server import EngineServer, Reply
from tests.contract.wires import MODEL, SSEWire
from tests.nearest import nearest
from worker_agent.completion import Completion, Limits, Request
from worker_agent.engines import Call, Engine

LIMITS = Limits(connect_s=5, first_token_s=5, between_tokens_s=5)


@dataclass(frozen=True)
class Seen:
    """An answer beside the server's own instants: when the request was in, and when it wrote each step."""

    done: Completion
    asked_at: float
    wrote: tuple[float, ...]


@dataclass
class Bench:
    """An engine under test: how it writes, the server that writes so, and our adapter."""

    wire: SSEWire
    server: EngineServer
    engine: Engine

    def complete(self, reply: Reply | None = None, limits: Limits = LIMITS, **asked: object) -> Completion:
        """What the adapter makes of `reply`."""
        if reply is not None:
            self.server.replies[self.wire.chat_path] = reply
        request = Request(**{"model": MODEL, "prompt": "Why?", "window": 2048} | asked)  # type: ignore[arg-type]
        return self.engine.complete(request, Call(limits))

    def nearest(self, reply: Reply, off: Callable[[Seen], float], enough: float = 0.0) -> Seen:
        """As `complete`, where times are asserted: the attempt that this machine disturbed least."""

        def attempt() -> Seen:
            self.server.wrote.clear()
            done = self.complete(reply)
            return Seen(done, self.server.asked[-1].at, tuple(self.server.wrote))

        return nearest(attempt, off, enough)

    def begin(self, reply: Reply, call: Call) -> Callable[[], BaseException | Completion]:
        """Ask in another thread; the returned function waits for how it ended."""
        self.server.replies[self.wire.chat_path] = reply
        ended: list[BaseException | Completion] = []

        def ask() -> None:
            try:
                ended.append(self.engine.complete(Request(MODEL, "Why?", window=2048), call))
            except BaseException as error:
                ended.append(error)

        def end() -> BaseException | Completion:
            thread.join(5)
            return ended[0]

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        return end
