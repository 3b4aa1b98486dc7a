"""Streaming HTTP that keeps honest time: one fresh connection per request, every byte stamped on arrival.

Built on `http.client`, because reading through a buffered client moves a first token by up to the
whole answer. Knows no engine: it hands out lines and raises what the network did.
"""

import http.client
import io
import selectors
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import SplitResult, urlsplit

from worker_agent.corewait import Turns, turns
from worker_agent.engines.dial import Call, clock, dial, shut
from worker_agent.errors import (
    BadReply,
    CallCancelled,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    StreamDropped,
)
from worker_agent.wakeups import SLEEPER, Wakeups

__all__ = ["Ask", "Call", "Reply", "Sent", "send"]

RECV_BYTES = 64 * 1024
LINE_BYTES = 4 * 1024 * 1024
LOOK_S = 0.001


class _Wire(io.RawIOBase):
    """The receiving end of a socket: `at` is when the last bytes came, `until` when patience ends."""

    def __init__(self, sock: socket.socket, url: str) -> None:
        self._sock, self._url = sock, url
        self.at, self._looked = 0.0, False

    def wait(self, since: float, allowed_s: float, what: str) -> None:
        """From now on give up `allowed_s` after the moment `since`."""
        self._until, self._allowed_s, self._what = since + allowed_s, allowed_s, what
        self._looked = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What HTTPResponse asks of a socket."""
        return io.BufferedReader(self, RECV_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        left = self._until - clock()
        if left <= 0 and self._looked:
            raise self._silent()
        # One look when time is up: who was kept off the core may have an answer waiting, and once, because
        # keep-alives earn no patience.
        self._looked = left <= 0
        self._sock.settimeout(max(left, LOOK_S))
        try:
            size = self._sock.recv_into(buffer)
        except TimeoutError:
            raise self._silent() from None
        self.at = clock()
        return size

    def _silent(self) -> EngineTimeout:
        return EngineTimeout(f"{self._url}: no {self._what} within {self._allowed_s:g} s")


class _Sender(http.client.HTTPConnection):
    """The giving end of a socket. `at` is the instant before the call that took the last bytes: the engine
    may have read them, and answered, by the time a busy machine lets that call return."""

    at = 0.0

    def hand_over(self, sock: socket.socket, allowed_s: float) -> None:
        """From now on send over `sock`, and give up after `allowed_s`."""
        self.sock, self._until = sock, clock() + allowed_s

    def send(self, data: Any) -> None:
        view = memoryview(data)
        while view:
            self._room()
            self.at = clock()
            view = view[self.sock.send(view) :]

    def _room(self) -> None:
        """Wait until the socket takes bytes: an engine that is busy with others may be slow to read."""
        left = self._until - clock()
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_WRITE)
            if not selector.select(max(left, 0.0)):
                raise TimeoutError
        self.sock.settimeout(max(left, LOOK_S))


@dataclass(frozen=True, slots=True)
class Sent:
    """When a request was handed over. Instants are of `clock`, `started_at` is UTC, ISO 8601; `cpu_s` is
    what this process had used of CPU by then, `turns` what this thread had of cores, `wakeups` how late the
    process had woken."""

    at: float
    started_at: str
    connect_ms: float
    headers_ms: float | None = None
    cpu_s: float = 0.0
    turns: Turns | None = None
    wakeups: Wakeups | None = None


class Reply:
    """An open response. A context manager: leaving it closes the connection, which stops the engine."""

    def __init__(self, url: str, sock: socket.socket, call: Call, sent: Sent, awaited: str) -> None:
        self._url, self._sock, self._call = url, sock, call
        self._wire = _Wire(sock, url)
        self._wire.wait(sent.at, call.limits.first_token_s, awaited)
        call.heard(sent.at, call.limits.first_token_s)
        self._response = http.client.HTTPResponse(cast(socket.socket, self._wire))
        self._response.begin()
        self.sent = replace(sent, headers_ms=(self._wire.at - sent.at) * 1000)
        self.status = self._response.status
        self.headers = self._response.headers

    def token(self, at: float, characters: int) -> None:
        """A token arrived: only this, no keep-alive or progress, earns the engine more patience."""
        self._call.token(at, characters)
        self._wire.wait(at, self._call.limits.between_tokens_s, "further token")
        self._call.heard(at, self._call.limits.between_tokens_s)

    def lines(self) -> Iterator[tuple[bytes, float]]:
        """Each line without its end, with the instant at which its first byte arrived."""
        rest, began = b"", 0.0
        while piece := self._read():
            at = self._wire.at
            began = began if rest else at
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r"), began
                began = at
            if len(rest) > LINE_BYTES:
                raise BadReply(f"{self._url}: a line of more than {LINE_BYTES} bytes")
        if rest:
            yield rest, began

    def body(self) -> bytes:
        """Everything that is left to read."""
        pieces = []
        while piece := self._read():
            pieces.append(piece)
        return b"".join(pieces)

    def _read(self) -> bytes:
        try:
            return self._response.read1(RECV_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise StreamDropped(f"{self._url}: the connection broke: {_said(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(CallCancelled):
            self._call.hold(None)
        shut(self._sock)
        self._sock.close()
        if isinstance(error, EngineError) and self._call.cancelled:
            raise CallCancelled("cancelled") from error


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `awaited` is what a message says is missing when the engine stays silent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    awaited: str = "first token"


def send(ask: Ask, call: Call) -> Reply:
    """Send one request on a connection of its own and wait for the response headers.

    Raises EngineUnavailable when nothing was answered, EngineTimeout, BadReply when the answer is
    not HTTP, CallCancelled.
    """
    try:
        return _send(ask, call)
    except EngineTimeout:
        call.check()
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        call.check()
        raise _unanswered(ask.url, error) from error


def _send(ask: Ask, call: Call) -> Reply:
    parts = urlsplit(ask.url)
    begun = clock()
    sock = dial(parts, call)
    try:
        connected = clock()
        at = _write(sock, parts, ask, call.limits.first_token_s)
        wall = datetime.now(UTC) - timedelta(seconds=clock() - at)
        started_at = wall.isoformat(timespec="microseconds")
        connect_ms = (connected - begun) * 1000
        sent = Sent(at, started_at, connect_ms, None, time.process_time(), turns(), SLEEPER.wakeups)
        call.sent(at, started_at, sent.connect_ms)
        return Reply(ask.url, sock, call, sent, ask.awaited)
    except BaseException:
        sock.close()
        raise


def _unanswered(url: str, error: Exception) -> EngineError:
    if isinstance(error, http.client.HTTPException) and not isinstance(error, http.client.RemoteDisconnected):
        return BadReply(f"{url}: not HTTP: {error!s:.200}")
    reason = "no connection in time" if isinstance(error, TimeoutError) else _said(error)
    return EngineUnavailable(f"{url}: {reason}")


def _said(error: Exception) -> str:
    """In words, without the number that the system has for it."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__


def _write(sock: socket.socket, parts: SplitResult, ask: Ask, allowed_s: float) -> float:
    """The instant at which the last byte was handed over."""
    sender = _Sender(parts.hostname or "")
    sender.hand_over(sock, allowed_s)
    path = parts._replace(scheme="", netloc="").geturl() or "/"
    headers = {"Host": parts.netloc, "Connection": "close", **ask.headers}
    try:
        sender.request(ask.method, path, ask.body, headers)
    except TimeoutError:
        raise EngineTimeout(f"{ask.url}: did not take the request within {allowed_s:g} s") from None
    return sender.at
