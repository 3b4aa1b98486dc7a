"""Connecting, cancelling and stamping, where no engine makes a difference."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.contract.engine_server import EngineServer, Reply, serving
from tests.nearest import nearest
from worker_agent.completion import Limits
from worker_agent.engines import transport
from worker_agent.engines.transport import Ask, Call, dial, send
from worker_agent.errors import CallCancelled, EngineTimeout, EngineUnavailable

PATIENT = Limits(connect_s=20, first_token_s=20, between_tokens_s=20)


def body_of(url: str) -> bytes:
    with send(Ask("GET", url, {}), Call()) as reply:
        return reply.body()


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port that takes no more connections and refuses none: its queue is full."""
    waiting = []
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        while True:
            waiting.append(socket.socket())
            waiting[-1].settimeout(0.1)
            try:
                waiting[-1].connect(full.getsockname())
            except TimeoutError:
                break
            if len(waiting) > 50:
                pytest.skip("this system queues connections without limit")
        yield full.getsockname()[1]
        for sock in waiting:
            sock.close()


def test_a_connection_in_the_making_can_be_cancelled(full_port: int) -> None:
    """At once, not after the connect limit."""
    call = Call(PATIENT)
    ended: list[type[BaseException]] = []

    def ask() -> None:
        try:
            send(Ask("GET", f"http://127.0.0.1:{full_port}/", {}), call)
        except BaseException as error:
            ended.append(type(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    while call._sock is None and thread.is_alive():
        time.sleep(0.001)
    call.cancel()
    thread.join(2)
    assert ended == [CallCancelled]


def test_an_address_that_swallows_packets_is_unavailable(full_port: int) -> None:
    """The connect limit ends it."""
    with pytest.raises(EngineUnavailable, match="no connection in time"):
        send(Ask("GET", f"http://127.0.0.1:{full_port}/", {}), Call(Limits(connect_s=0.2)))


def test_a_path_prefix_and_a_query_are_kept() -> None:
    """An engine may live behind a proxy's prefix."""
    with serving({"/lab/gpu/v1/models?all=1": Reply((b"here",))}) as server:
        assert body_of(f"{server.url}/lab/gpu/v1/models?all=1") == b"here"
        assert server.asked[0].headers["Host"] == server.url.removeprefix("http://")


def test_ipv6_addresses_work() -> None:
    """In brackets, as URLs have them."""
    with closing(socket.socket(socket.AF_INET6)) as server:
        try:
            server.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        server.listen()
        port = server.getsockname()[1]
        asked: list[bytes] = []

        def answer() -> None:
            with server.accept()[0] as connection:
                asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        threading.Thread(target=answer, daemon=True).start()
        assert body_of(f"http://[::1]:{port}/") == b"ok"
        assert f"Host: [::1]:{port}".encode() in asked[0]


def test_a_name_with_several_addresses_is_tried_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` may mean ::1 first while the engine listens on IPv4 only."""
    with serving({"/": Reply((b"here",))}) as server, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
            for port in (free.getsockname()[1], server.server_port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert body_of(f"http://lab-pc:{server.server_port}/") == b"here"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    pem = tmp_path_factory.mktemp("tls") / "both.pem"
    what = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(pem), "-out", f"{pem}.crt"]
    ask = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *what, *files]
    subprocess.run(ask, check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return pem


def _secured(server: EngineServer, certificate: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.url.replace("http:", "https:")


def test_https_works(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a certificate that the machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with EngineServer({"/": Reply((b"safe",))}) as server:
        url = _secured(server, certificate)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        assert body_of(url) == b"safe"
        server.shutdown()


def test_an_untrusted_certificate_is_unavailable(certificate: Path) -> None:
    """And the message says that it is the certificate."""
    with EngineServer({"/": Reply((b"safe",))}) as server:
        url = _secured(server, certificate)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(EngineUnavailable, match="certificate"):
            send(Ask("GET", url, {}), Call())
        server.shutdown()


def test_a_line_is_stamped_when_its_first_byte_arrives() -> None:
    """The rest of it may come much later."""

    def off_s(seen: tuple[list[float], list[float]]) -> float:
        return max(abs(ours - true) for ours, true in zip(*seen, strict=False))

    assert off_s(nearest(_torn_lines, off_s, 0.05)) <= 0.05


def _torn_lines() -> tuple[list[float], list[float]]:
    """When two lines came, by us, and when the server wrote their first bytes and the rest of the second."""
    wrote: list[float] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for piece in (b"on", b"e\ntw", b"o\n"):
                    time.sleep(0.1)
                    wrote.append(time.perf_counter())
                    connection.sendall(piece)

        threading.Thread(target=answer, daemon=True).start()
        with send(Ask("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", {}), Call()) as reply:
            lines = list(reply.lines())
    assert [line for line, _ in lines] == [b"one", b"two"]
    return [at for _, at in lines], wrote


class _Pushed(socket.socket):
    """A socket whose sender is pushed off its core once the bytes are out, as by the reader it woke."""

    off_s = 0.2

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        sent = super().send(data, flags)
        if data[-1:] == b"}":
            time.sleep(self.off_s)
        return sent


def test_a_request_is_stamped_before_the_call_that_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is at work by the time that call returns, and its time must not be missing in ours."""
    monkeypatch.setattr(transport, "dial", lambda parts, call: _Pushed(fileno=dial(parts, call).detach()))
    with (
        serving({"/": Reply((b"here",))}) as server,
        send(Ask("POST", server.url, {}, b"{}"), Call()) as reply,
    ):
        assert reply.sent.at <= server.asked[0].at
        assert reply.sent.headers_ms is not None
        assert reply.sent.headers_ms >= 1000 * _Pushed.off_s


def _reader(server: socket.socket, size: int, idle: threading.Event, begins: list[float]) -> None:
    with server.accept()[0] as connection:
        idle.wait(20)
        begins.append(time.perf_counter())
        while size > 0:
            size -= len(connection.recv(1 << 20))
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def test_a_request_that_is_read_late_is_stamped_late() -> None:
    """What does not fit into the buffers on the way is handed over when the engine reads."""
    paper = b"x" * (64 << 20)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        idle, begins = threading.Event(), list[float]()
        threading.Thread(target=_reader, args=(server, len(paper), idle, begins), daemon=True).start()
        threading.Timer(0.2, idle.set).start()
        with send(Ask("POST", f"http://127.0.0.1:{server.getsockname()[1]}/", {}, paper), Call()) as reply:
            assert reply.status == 200
    assert reply.sent.at > begins[0]


def test_a_request_that_is_never_read_times_out() -> None:
    """The limit is that of the first token, and the message says what the engine did not do."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(EngineTimeout, match=r"did not take the request within 0\.3 s"):
            send(Ask("POST", url, {}, b"x" * (64 << 20)), Call(Limits(first_token_s=0.3)))


def _saying(server: socket.socket, first: bytes, then: bytes, wrote: threading.Event) -> None:
    """Write `first` at once, and `then` every 10 ms for at least two seconds."""
    with server.accept()[0] as connection, suppress(OSError):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + first)
        wrote.set()
        for _ in range(200 * bool(then)):
            time.sleep(0.01)
            connection.sendall(then)


@contextmanager
def _found_late(first: bytes, then: bytes = b"") -> Iterator[transport.Reply]:
    """A reply that is not looked at before its time is up, as by a worker that others kept off its core."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        wrote = threading.Event()
        threading.Thread(target=_saying, args=(server, first, then, wrote), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with send(Ask("GET", url, {}), Call(Limits(first_token_s=0.2))) as reply:
            assert wrote.wait(20)
            time.sleep(0.3)
            yield reply


def test_a_token_that_came_in_time_is_read_late() -> None:
    """The engine was not silent: it is the worker that did not look."""
    with _found_late(b"token\n") as reply:
        assert [line for line, _ in reply.lines()] == [b"token"]


def test_late_keep_alives_are_silence() -> None:
    """Who looks late looks once: what comes after its time is up earns no patience."""
    with (
        _found_late(b": alive\n", b": alive\n") as reply,
        pytest.raises(EngineTimeout, match=r"no first token within 0\.2 s"),
    ):
        list(reply.lines())
