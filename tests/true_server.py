"""An OpenAI server that knows the truth about its times: it notes when the last byte of a request came and
when it wrote each piece, by the machine's monotonic clock, which other processes can compare with theirs.

The model that a request names is the scene it plays (SCENES). `GET /truth` tells what happened, by the
request's `x-request-id`. Also a program: `python tests/true_server.py` says its port and serves until its
standard input ends.
"""

import heapq
import json
import random
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

clock = time.perf_counter


@dataclass(frozen=True, slots=True)
class Scene:
    """How an answer goes out. `usage`: tokens that the server says it made; None: it says nothing."""

    ttft_s: float = 0.2
    gap_s: float = 0.02
    tokens: int = 64
    spread: float = 0.0  # of ttft and gap, by request
    per_chunk: int = 1
    role: bool = False  # a chunk without text, at once
    thinking: int = 0  # of the tokens, the first ones
    late_s: float = 0.0  # from the last token to the finish and usage chunks
    usage: float | None = 1.0  # times the truth
    chunked: bool = True
    torn_s: float = 0.0  # from the first half of each event to the second
    pause_s: float = 0.0  # in the middle


SCENES = {
    "plain": Scene(role=True, spread=0.2),
    "short": Scene(ttft_s=0.1, tokens=16),
    "role first": Scene(role=True),
    "4 tokens a chunk": Scene(per_chunk=4),
    "reasoning first": Scene(thinking=32),
    "late finish": Scene(late_s=0.5),
    "no usage": Scene(usage=None),
    "usage too low": Scene(usage=1 / 64),
    "usage doubled": Scene(usage=2.0),
    "not chunk-encoded": Scene(chunked=False),
    "torn events": Scene(gap_s=0.1, tokens=16, torn_s=0.06),
    "pause": Scene(pause_s=0.5),
}


@dataclass(slots=True)
class Truth:
    """Instants of one answer. `tokens` were made; `gap_s` is the longest between two chunks."""

    received: float
    tokens: int
    first: float = 0.0
    first_content: float = 0.0
    last: float = 0.0
    ended: float = 0.0
    gap_s: float = 0.0

    def wrote(self, at: float, kind: str) -> None:
        if kind == "end":
            self.ended = at
        if kind not in ("reasoning", "content"):
            return
        self.gap_s = max(self.gap_s, at - self.last if self.last else 0.0)
        self.first = self.first or at
        if kind == "content":
            self.first_content = self.first_content or at
        self.last = at


Piece = tuple[float, str, bytes]  # due after the request came, what it is, bytes of the body


def pieces(scene: Scene, seed: str, prompt_tokens: int) -> Iterator[Piece]:
    """The answer of a scene; the same seed, the same moments."""
    dice = random.Random(seed)
    slow = dice.uniform(1 - scene.spread, 1 + scene.spread)
    at = scene.ttft_s * dice.uniform(1 - scene.spread, 1 + scene.spread)
    if scene.role:
        yield 0.0, "role", _event([{"delta": {"role": "assistant", "content": ""}}])
    for made in range(0, scene.tokens, scene.per_chunk):
        kind, field = ("reasoning", "reasoning_content") if made < scene.thinking else ("content", "content")
        event = _event([{"delta": {field: "word " * min(scene.per_chunk, scene.tokens - made)}}])
        half = len(event) // 2 if scene.torn_s else len(event)
        yield at, kind, event[:half]
        if scene.torn_s:
            yield at + scene.torn_s, "rest", event[half:]
        at += scene.gap_s * slow * scene.per_chunk
        at += scene.pause_s if made == scene.tokens // 2 else 0.0
    at += scene.late_s + scene.torn_s - scene.gap_s * slow * scene.per_chunk
    yield at, "finish", _event([{"delta": {}, "finish_reason": "stop"}])
    if scene.usage is not None:
        counts = {"prompt_tokens": prompt_tokens, "completion_tokens": round(scene.tokens * scene.usage)}
        yield at, "usage", _event([], usage=counts)
    yield at, "end", b"data: [DONE]\n\n"


def _event(choices: list[Any], **more: Any) -> bytes:
    return b"data: " + json.dumps({"model": "truth", "choices": choices, **more}).encode() + b"\n\n"


class _Exchange:
    """One connection: its bytes so far, and then its answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.came = sock, b""

    def request(self) -> tuple[bytes, bytes] | None:
        """Head and body, once they are whole."""
        head, found, body = self.came.partition(b"\r\n\r\n")
        if not found or len(body) < int(_header(head, b"content-length") or 0):
            return None
        return head, body


def _header(head: bytes, name: bytes) -> str:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip().decode()
    return ""


class TrueServer:
    """One thread for all connections: what is due is written at once, whoever else is served."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._listening = socket.create_server((address, 0), backlog=512)
        self._listening.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._due: list[tuple[float, int, _Exchange, Truth, str, bytes]] = []
        self._order = count()
        self.truths: dict[str, Truth] = {}
        self.over = False

    @property
    def url(self) -> str:
        address, port = self._listening.getsockname()
        return f"http://{address}:{port}"

    def serve(self) -> None:
        """Until `over`."""
        while not self.over:
            self._write_due()
            wait_s = min(self._due[0][0] - clock(), 0.2) if self._due else 0.2
            for key, _ in self._selector.select(max(0.0, wait_s)):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
                self._write_due()

    def _accept(self) -> None:
        sock, _ = self._listening.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, _Exchange(sock))

    def _read(self, exchange: _Exchange) -> None:
        try:
            came = exchange.sock.recv(262144)
        except ConnectionError:
            came = b""
        received = clock()
        exchange.came += came
        if not came:
            self._close(exchange)
        elif asked := exchange.request():
            self._answer(exchange, *asked, received)

    def _answer(self, exchange: _Exchange, head: bytes, body: bytes, received: float) -> None:
        if head.startswith(b"GET"):
            return self._show(exchange, head.split(b" ")[1].decode())
        name = _header(head, b"x-request-id")
        scene = SCENES[json.loads(body)["model"]]
        truth = self.truths[name] = Truth(received, scene.tokens)
        encoding = b"Transfer-Encoding: chunked\r\n" if scene.chunked else b""
        exchange.sock.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + encoding + b"\r\n")
        for after_s, kind, piece in pieces(scene, name, len(body) // 3):
            wire = b"%x\r\n%b\r\n" % (len(piece), piece) if scene.chunked else piece
            heapq.heappush(self._due, (received + after_s, next(self._order), exchange, truth, kind, wire))

    def _show(self, exchange: _Exchange, path: str) -> None:
        pages: dict[str, Any] = {
            "/truth": {name: asdict(truth) for name, truth in self.truths.items()},
            "/v1/models": {"data": [{"id": name} for name in SCENES]},
        }
        status = b"200 OK" if path in pages else b"404 Not Found"
        page = json.dumps(pages.get(path, {})).encode()
        exchange.sock.setblocking(True)
        exchange.sock.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(page), page))
        self._close(exchange)

    def _write_due(self) -> None:
        while self._due and self._due[0][0] <= clock():
            _, _, exchange, truth, kind, wire = heapq.heappop(self._due)
            truth.wrote(clock(), kind)
            try:
                exchange.sock.send(wire)
            except OSError:  # it hung up
                continue
            if kind == "end":
                exchange.sock.send(b"0\r\n\r\n" if wire[:1] != b"d" else b"")
                self._close(exchange)

    def _close(self, exchange: _Exchange) -> None:
        if exchange.sock.fileno() >= 0:
            self._selector.unregister(exchange.sock)
            exchange.sock.close()


@contextmanager
def true_server(address: str = "127.0.0.1") -> Iterator[TrueServer]:
    """In a thread of this process, for the time of the block."""
    server = TrueServer(address)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.over = True
    thread.join()


if __name__ == "__main__":
    alone = TrueServer()
    print(alone.url, flush=True)
    threading.Thread(target=alone.serve, daemon=True).start()
    sys.stdin.read()
