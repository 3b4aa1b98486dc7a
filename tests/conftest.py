"""A real redis-server for the tests, and a home of their own: no test sees or touches the user's llmq."""

import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest
import redis

from tasks.embedded import find_server

PASSWORD = "only-for-tests"
START_S = 20.0
WORKERS = 16  # of pytest-xdist, beside each other

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # begun in the background: what we start would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)


class RedisServer:
    """A redis-server on a loopback port with an append-only file; it keeps port and data over restarts."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder, self.port = binary, folder, free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)
        self.server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": PASSWORD,
            "dir": str(self.folder),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        flags = [word for key, value in options.items() for word in (f"--{key}", value)]
        with (self.folder / "redis.log").open("ab") as log:
            self.server = subprocess.Popen([self.binary, *flags], stdout=log, stderr=log)
        self.wait()

    def wait(self) -> None:
        """Until it answers PING; fails with its log after START_S seconds."""
        deadline = time.monotonic() + START_S
        while not self.answers():
            if time.monotonic() > deadline or (self.server and self.server.poll() is not None):
                pytest.fail(f"redis-server did not start:\n{(self.folder / 'redis.log').read_text()}")
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """SIGKILL, as when the machine loses power."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: it saves and leaves."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self.server and self.server.poll() is None:
            self.server.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        self._send(signal.SIGCONT)
        self._send(number)
        if self.server:
            self.server.wait(timeout=START_S)


def free_port() -> int:
    """A loopback port that nobody has, and that nobody gets before it is used: systems hand out others (from
    32768), as do the tests beside this one."""
    for port in islice(_ports, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("a hundred ports are all taken")


def _own_ports() -> Iterator[int]:
    """Those of this process, of the workers of pytest-xdist."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(20_000 + worker % WORKERS, 32_000, WORKERS)
    return islice(cycle(own), random.randrange(len(own)), None)


_ports = _own_ports()


@pytest.fixture
def engine_ports() -> Iterator[None]:
    """The ports where an engine of this machine is looked for, for one test at a time: others that run beside
    it take one, or must find nobody there."""
    with (Path(tempfile.gettempdir()) / f"llmq-engine-ports-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No `LLMQ_*` from outside, and a data and configuration folder that belong to the test."""
    for name in [name for name in os.environ if name.startswith("LLMQ_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LLMQ_HOME", str(home / "llmq"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    return home


@pytest.fixture(scope="session")
def needs_redis() -> str:
    """The redis-server to test with. Without one the test is skipped, and fails in CI."""
    binary = find_server()
    if binary is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no redis-server on this machine")
    return str(binary)


@pytest.fixture(scope="session")
def shared_redis(needs_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that only use Redis."""
    server = RedisServer(needs_redis, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The address of an empty Redis, password included."""
    shared_redis.client.flushall()
    return shared_redis.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator["redis.Redis"]:
    """A client of the empty Redis at `redis_url` (answers are bytes)."""
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def redis_server(needs_redis: str, tmp_path: Path) -> Iterator[RedisServer]:
    """A running server of the test's own, to kill(), stop(), restart(), freeze() and thaw()."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(needs_redis, folder)
    server.start()
    yield server
    server.kill()
