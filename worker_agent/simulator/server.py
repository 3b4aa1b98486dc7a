"""The simulator's HTTP server: `serve` blocks until told to stop, `running` serves beside the caller.

Every reply carries `X-LLMQ-Simulated: 1` and `X-LLMQ-Time-Scale`, whatever the wire. Routes of its own, in
every wire: GET /simulator (what this is), GET /simulator/calls (counters), GET /simulator/log (when each call
had which slot, and when its first token was due and left), POST /simulator/fault {"mode", "count", "rate"}.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from worker_agent.errors import ConfigError
from worker_agent.simulator.faults import Dropped
from worker_agent.simulator.line import ClientGone, Line
from worker_agent.simulator.machine import Ask, Machine
from worker_agent.simulator.profile import Profile
from worker_agent.simulator.wires import WIRES
from worker_agent.simulator.wires.base import Refused, Reply, Wire

SIMULATED_HEADER = "X-LLMQ-Simulated"
SCALE_HEADER = "X-LLMQ-Time-Scale"


def serve(
    profile: Profile,
    *,
    port: int,
    host: str = "127.0.0.1",
    seed: int,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` is called with the URL. Port 0 takes a free one.
    Raises ConfigError where the address cannot be had. Call it in the main thread."""
    with _listen(profile, host, port, seed) as server, _signals_stop(server):
        if on_ready:
            on_ready(server.url)
        server.serve_forever(poll_interval=0.25)


@contextmanager
def running(profile: Profile, *, port: int = 0, host: str = "127.0.0.1", seed: int = 0) -> Iterator[str]:
    """A simulator in threads of this process, for the time of the block; gives its URL."""
    with _listen(profile, host, port, seed) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingMixIn, TCPServer):
    """Not `http.server.HTTPServer`: that one asks the DNS for its own name when it starts."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], wire: Wire) -> None:
        self.wire = wire
        super().__init__(address, _Exchange)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is a fault of ours and stays loud."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Exchange(BaseHTTPRequestHandler):
    """One connection, one thread: reads requests, asks the wire, writes replies."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.wire = self.server.wire
        self.machine = self.wire.machine
        self.line = Line(self.connection)
        self.streaming = False

    def do_GET(self) -> None:
        """A page of the simulator or of its wire."""
        path = self.path.partition("?")[0]
        page = self._own_pages().get(path) or self.wire.pages().get(path)
        self._send(page() if page else self.wire.lost("GET", path))

    def do_POST(self) -> None:
        """Chat, or one of the other actions."""
        path = self.path.partition("?")[0]
        try:
            body, heard_at = self._read_body(), time.perf_counter()
            if path == self.wire.chat_path:
                self._chat(body, heard_at)
            elif path == "/simulator/fault":
                self._send(self._set_fault(body))
            elif action := self.wire.actions().get(path):
                self._send(action(body, self.line))
            else:
                self._send(self.wire.lost("POST", path))
        except Refused as refused:
            self._send(refused.reply)
        except (ClientGone, ConnectionError, Dropped):
            self.close_connection = True

    def _chat(self, body: dict[str, Any], heard_at: float) -> None:
        fault = self.machine.faults.take([body.get("model"), body.get("messages")])
        try:
            self._refuse_by(fault)
            ask = replace(self.wire.read(body), tag=self.headers.get("X-Request-Id", ""), heard_at=heard_at)
        except Refused:
            self.machine.slots.count_refused()
            raise
        self._stream(ask, fault) if ask.stream else self._answer_whole(ask, fault)

    def _stream(self, ask: Ask, fault: str) -> None:
        wire = self.wire
        served = self.machine.answer(
            ask,
            self.line,
            lambda: self._write(wire.opening(ask)),
            lambda text: self._write(wire.delta(ask, text)),
            fault,
        )
        self._write(wire.closing(ask, served))
        self.wfile.write(b"0\r\n\r\n")
        self.streaming = False

    def _answer_whole(self, ask: Ask, fault: str) -> None:
        said: list[str] = []
        served = self.machine.answer(ask, self.line, lambda: None, said.append, fault)
        self._send(self.wire.whole(ask, "".join(said), served))

    def _write(self, piece: bytes) -> None:
        """One HTTP chunk; the headers go before the first."""
        if not piece:
            return
        if not self.streaming:
            self.streaming = True
            self.send_response(200)
            self.send_header("Content-Type", self.wire.stream_type)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    def _refuse_by(self, fault: str) -> None:
        if fault == "500":
            raise Refused(self.wire.error(500, "simulated fault"))
        if fault == "html":
            raise Refused(Reply("<html><body>It works!</body></html>", 200, "text/html"))

    def _read_body(self) -> dict[str, Any]:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refused(self.wire.error(400, "the body is not a JSON object"))
        return body

    def _set_fault(self, body: dict[str, Any]) -> Reply:
        try:
            self.machine.faults.set(body["mode"], int(body.get("count") or 0), float(body.get("rate", 1)))
        except (KeyError, TypeError, ValueError) as error:
            return self.wire.error(400, str(error))
        return Reply({"mode": body["mode"]})

    def _own_pages(self) -> dict[str, Callable[[], Reply]]:
        own = {"": self._describe, "/calls": self._count_calls, "/log": self._log}
        return {f"/simulator{path}": page for path, page in own.items()}

    def _describe(self) -> Reply:
        profile = self.machine.profile
        about: dict[str, Any] = {"version": self.wire.version, "wire": profile.wire, "profile": profile.name}
        models = [{"name": name, "window": self.machine.window_of(name)} for name in profile.models]
        about |= {"seed": self.machine.seed, "speed": profile.speed, "time_scale": profile.time_scale}
        return Reply(about | {"models": models, "slots": profile.slots, "simulated": True})

    def _count_calls(self) -> Reply:
        return Reply(self.machine.slots.count_calls() | {"loads": self.machine.models.loads})

    def _log(self) -> Reply:
        return Reply([asdict(call) for call in self.machine.slots.log()])

    def _send(self, reply: Reply) -> None:
        content = reply.encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        """Here, because `http.server` writes some error pages by itself."""
        self.send_header(SIMULATED_HEADER, "1")
        self.send_header(SCALE_HEADER, f"{self.machine.profile.time_scale:g}")
        super().end_headers()

    def version_string(self) -> str:
        """The `Server` header."""
        return "llmq-simulator"

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: the counters tell what happened."""


def _listen(profile: Profile, host: str, port: int, seed: int) -> _Server:
    wire = WIRES[profile.wire](Machine(profile, seed))
    try:
        return _Server((host, port), wire)
    except OSError as error:
        raise ConfigError(f"the simulator cannot listen on {host}:{port}: {error.strerror}") from None


@contextmanager
def _signals_stop(server: _Server) -> Iterator[None]:
    """`shutdown` waits for the serving thread, which is the one that runs the signal's function."""

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
