"""Opening a connection that another thread can cut: while it is made, while it waits, at any moment."""

import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import SplitResult

from worker_agent.completion import BrokenOff, Limits
from worker_agent.errors import CallCancelled

clock: Callable[[], float] = time.perf_counter  # monotonic, and finer than time.monotonic on Windows
POLL_S = 0.05


class Call:
    """One call to an engine and the hand that can end it, from any thread and at any moment. `begun_at` and
    `first_token_at` are instants of `clock`; `characters` of answer and reasoning have come, in `tokens`
    events, the last at `last_token_at`. What was `sent` is for the transport to say."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.begun_at = clock()
        self.first_token_at: float | None = None
        self.last_token_at: float | None = None
        self.tokens = 0
        self.characters = 0
        self._sent: tuple[float, str, float] | None = None
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self.heard(self.begun_at, self.limits.connect_s + self.limits.first_token_s)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the call: the thread in `Engine.complete` raises CallCancelled."""
        with self._lock:
            self._cancelled.set()
            if self._sock:
                shut(self._sock)

    def check(self) -> None:
        """Raises CallCancelled if somebody cancelled."""
        if self.cancelled:
            raise CallCancelled("cancelled")

    def heard(self, at: float, allowed_s: float) -> None:
        """The call got on at the instant `at`, and may now be silent for `allowed_s`."""
        self._heard_at, self._allowed_s = at, allowed_s

    @property
    def silent_s(self) -> float:
        """Since when it has not got on."""
        return clock() - self._heard_at

    @property
    def too_silent_s(self) -> float:
        """For how long it has been silent beyond what it may: above a moment only if its thread is stuck."""
        return self.silent_s - self._allowed_s

    def sent(self, at: float, started_at: str, connect_ms: float) -> None:
        """The request was handed over at the instant `at`, on a connection that took so long to open."""
        self._sent = at, started_at, connect_ms

    def token(self, at: float, characters: int) -> None:
        """An event with text came at the instant `at`."""
        if self.first_token_at is None:
            self.first_token_at = at
        self.last_token_at = at
        self.tokens += 1
        self.characters += characters

    def broken_off(self) -> BrokenOff | None:
        """What is known of the call if it ends now and is no answer; None: nothing was sent."""
        if self._sent is None:
            return None
        sent_at, started_at, connect_ms = self._sent
        first_s, last_s = (
            None if at is None else at - sent_at for at in (self.first_token_at, self.last_token_at)
        )
        return BrokenOff(started_at, connect_ms, clock() - sent_at, first_s, last_s, self.tokens)

    def hold(self, sock: socket.socket | None) -> None:
        """Remember the socket that `cancel` has to shut down."""
        with self._lock:
            self._sock = sock
        self.check()


def shut(sock: socket.socket) -> None:
    # Closing would not wake a blocked read, and SSLSocket.shutdown pulls the TLS state from under it.
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def dial(parts: SplitResult, call: Call) -> socket.socket:
    """A connected socket, TLS included, that `call.cancel()` can shut."""
    call.check()
    until = clock() + call.limits.connect_s
    secure = parts.scheme == "https"
    found = socket.getaddrinfo(parts.hostname, parts.port or (443 if secure else 80), type=socket.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        # An address that swallows packets must leave time for the next one.
        share_s = (until - clock()) / (len(found) - tried)
        sock = socket.socket(family, kind, protocol)
        try:
            call.hold(sock)
            _reach(sock, address, call, clock() + share_s)
            return _secure(sock, parts.hostname or "", call, until) if secure else sock
        except OSError as error:
            sock.close()
            failure = error
        except CallCancelled:
            sock.close()
            raise
    raise failure


def _reach(sock: socket.socket, address: object, call: Call, until: float) -> None:
    """Connect without blocking, so that a cancel is noticed on every platform."""
    sock.setblocking(False)
    with suppress(BlockingIOError):
        sock.connect(address)  # type: ignore[arg-type]
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while not selector.select(POLL_S):
            call.check()
            if clock() > until:
                raise TimeoutError
    call.check()
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _secure(sock: socket.socket, hostname: str, call: Call, until: float) -> socket.socket:
    context = ssl.create_default_context()
    sock.settimeout(max(until - clock(), POLL_S))
    wrapped = context.wrap_socket(sock, server_hostname=hostname, do_handshake_on_connect=False)
    try:
        call.hold(wrapped)
        wrapped.do_handshake()
    except BaseException:
        wrapped.close()
        raise
    return wrapped
