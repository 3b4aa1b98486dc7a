"""A real HTTP server on loopback that does, step by step, what a test scripted."""

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Pause:
    """Wait this long before the next step."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """Say nothing more, or only `murmur` every 50 ms, until the client hangs up."""

    murmur: bytes = b""


@dataclass(frozen=True)
class Drop:
    """Break the connection: a reset, as from a process that was killed."""


@dataclass(frozen=True)
class Told:
    """Bytes that are made when they are due, of the instants so far: the request's, and each step's."""

    make: Callable[[float, list[float]], bytes]


Step = bytes | Pause | Hang | Drop | Told


@dataclass(frozen=True)
class Reply:
    """What the server answers. With `chunked` off the end is the end of the connection."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = True
    before: tuple[Step, ...] = ()  # steps before the status line


@dataclass(frozen=True)
class Asked:
    """A request as it came in, and when."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float


def page(body: Any, status: int = 200, **headers: str) -> Reply:
    """A whole JSON page."""
    return Reply((json.dumps(body).encode(),), status, headers=headers)


class EngineServer(ThreadingHTTPServer):
    """`replies` by path; a list is used up one by one, its last entry stays."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, replies: dict[str, Reply | list[Reply]]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.replies = replies
        self.asked: list[Asked] = []
        self.wrote: list[float] = []  # when each bytes step of a 200 reply went out
        self.hanging, self.hung_up, self.over = threading.Event(), threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""

    def requests_to(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: EngineServer

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        asked = Asked(self.command, self.path, dict(self.headers), body, time.perf_counter())
        self.server.asked.append(asked)
        self._answer(self._reply())

    do_POST = do_GET

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def _reply(self) -> Reply:
        reply = self.server.replies.get(self.path, page({"error": {"message": "File Not Found"}}, 404))
        if isinstance(reply, list):
            return reply.pop(0) if len(reply) > 1 else reply[0]
        return reply

    def _answer(self, reply: Reply) -> None:
        self.close_connection = True
        if not all(self._do(step, chunked=False) for step in reply.before):
            return
        self.send_response_only(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header(*(("Transfer-Encoding", "chunked") if reply.chunked else ("Connection", "close")))
        self.end_headers()
        if all(self._do(step, reply.chunked) for step in reply.steps) and reply.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _do(self, step: Step, chunked: bool) -> bool:
        """False when the connection is over."""
        match step:
            case bytes():
                self.server.wrote.append(time.perf_counter())
                self.wfile.write(b"%x\r\n%s\r\n" % (len(step), step) if chunked else step)
            case Told(make):
                return self._do(make(self.server.asked[-1].at, self.server.wrote), chunked)
            case Pause(seconds):
                time.sleep(seconds)
            case Hang(murmur):
                return self._hang(murmur, chunked)
            case Drop():
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                return False
        return True

    def _hang(self, murmur: bytes, chunked: bool) -> bool:
        self.server.hanging.set()
        while not self.server.over.is_set():
            if select.select([self.connection], [], [], 0.05)[0]:
                self.server.hung_up.set()
                return False
            if murmur:
                self._do(murmur, chunked)
        return False


@contextmanager
def serving(replies: dict[str, Reply | list[Reply]]) -> Iterator[EngineServer]:
    """The server, until the block ends."""
    with EngineServer(replies) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()
