"""A TCP proxy on loopback that behaves like a bad network between one worker and its Redis."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

PIECE_BYTES = 65536
# `cut`: connections stay open, and what is sent on them is lost for good, as where a router forgot them;
# `hold`: bytes wait until the network is back, as TCP does; `refuse`: every connection is reset.
Mode = Literal["pass", "cut", "hold", "refuse"]


@dataclass(slots=True, eq=False)
class Link:
    """One connection through the proxy. `dead`: nothing goes through it any more, and nobody is told."""

    writers: tuple[asyncio.StreamWriter, ...]
    dead: bool = False


class Proxy:
    """Forwards `port` to `target_port`, `delay_s` late each way; a change holds for open connections too."""

    def __init__(self, target_port: int) -> None:
        self.delay_s = 0.0
        self._target_port = target_port
        self._mode: Mode = "pass"
        self._links: list[Link] = []
        self._waiting: list[tuple[Link, asyncio.StreamWriter, bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._connect, "127.0.0.1", 0)).result(5)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def set(self, mode: Mode) -> None:
        """From now on the network is like that. A connection that was cut stays dead."""
        self._do(self._set(mode)).result(5)

    def close(self) -> None:
        self._do(self._end()).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _do(self, step: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(step, self._loop)

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        for link in self._links:
            link.dead = link.dead or mode == "cut"
            if mode == "refuse":
                self._reset(link)
        if mode == "pass":
            waiting, self._waiting = self._waiting, []
            for piece in waiting:
                self._deliver(*piece)

    async def _end(self) -> None:
        self._server.close()
        for link in self._links:
            self._reset(link)
        pumps = asyncio.all_tasks() - {asyncio.current_task()}
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    def _reset(self, link: Link) -> None:
        link.dead = True
        for writer in link.writers:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "refuse":
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # the target is down: so it looks through the proxy
            writer.transport.abort()
            return
        link = Link((writer, far_writer), dead=self._mode == "cut")
        self._links.append(link)
        with suppress(asyncio.CancelledError):  # `close`
            await asyncio.gather(self._pump(link, reader, far_writer), self._pump(link, far_reader, writer))

    async def _pump(self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Until `source` ends; the end of a connection travels like its bytes."""
        try:
            while piece := await source.read(PIECE_BYTES):
                self._loop.call_later(self.delay_s, self._deliver, link, sink, piece)
        except OSError:
            pass
        self._loop.call_later(self.delay_s, self._deliver, link, sink, b"")

    def _deliver(self, link: Link, sink: asyncio.StreamWriter, piece: bytes) -> None:
        if link.dead:
            return
        if self._mode == "hold":
            self._waiting.append((link, sink, piece))
        elif piece:
            sink.write(piece)
        else:
            sink.close()
