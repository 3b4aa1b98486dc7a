"""What a fleet that has nothing to do costs its Redis.

    python benchmarks/idle_fleet.py [--workers 200] [--seconds 20]

Every command that one real idle worker sends is recorded (MONITOR, by its connections; another worker leads
as steward, as one of many does), and replayed over as many connections for each of 200 workers at once, each
with a host id and an incarnation of its own, at the recorded pace, beginning anywhere in the record. Redis
itself says what CPU that took. What a worker sends once in a minute may lie outside the record. Bound: 10 %
of one core.
"""

import argparse
import asyncio
import codecs
import random
import re
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count as count_from
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from benchmarks.room import Figure, Machine, engines, parser, room, say, working
from tasks.broker import running_url
from tasks.fleet import workers
from tasks.hosts import live_hosts
from tasks.session import Session
from tasks.settings import read_settings
from worker_agent.config import Host

HOST = "idle-one"
LEADS = "a-leader"
SETTLE_S = 3.0  # after connecting; and for commands of the start
LATE_S = 10.0
REPEATS = 3
LINE = re.compile(rb"\+?(\d+\.\d+) \[\d+ ([^\]]+)\] (.*)")
WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that the worker sent: when, over which of its connections, and its words."""

    at_s: float
    port: int
    words: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What one worker sends in `seconds`; `listening`: the subscriptions it began with, by connection."""

    seconds: float
    sent: tuple[Sent, ...]
    listening: tuple[Sent, ...]
    own: tuple[bytes, ...]  # words that are another in every worker

    @property
    def ports(self) -> list[int]:
        return sorted({one.port for one in (*self.sent, *self.listening)})


def main() -> int:
    options = _parse()
    machines = [Machine(name, 0.0, 4) for name in (LEADS, HOST)]
    with ExitStack() as stack:
        folder = stack.enter_context(room())
        leads, idle = stack.enter_context(engines(machines, folder))
        work, _ = stack.enter_context(working([leads]))
        record = _record(work, idle, options.seconds)
        alone = _share(work, options.seconds)
        shares = asyncio.run(_replayed(work, record, options.workers, options.seconds))
    figures = [
        Figure("commands of one idle worker", len(record.sent) / record.seconds, "/s"),
        *(Figure(f"... {name}", count / record.seconds, "/s") for name, count in _kinds(record.sent)),
        Figure("... its connections", len(record.ports)),
        Figure("Redis with one worker, of one core", 100 * alone, "%"),
        Figure(f"Redis with {options.workers} more, of one core", 100 * median(shares), "%", most=10),
        Figure(f"... least of {len(shares)}", 100 * min(shares), "%"),
        Figure(f"... most of {len(shares)}", 100 * max(shares), "%"),
    ]
    return say(f"a fleet of {options.workers} idle workers", figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--workers", type=int, default=200)
    options.add_argument("--seconds", type=float, default=20, help="to record, and to replay each time")
    return options.parse_args()


def _kinds(sent: Sequence[Sent]) -> list[tuple[str, int]]:
    return Counter(one.words[0].decode().upper() for one in sent).most_common()


# -- recording --------------------------------------------------------------------------------


def _record(work: Session, idle: Host, seconds: float) -> Record:
    """All that its worker sends, from its start to `seconds` after it was ready."""
    settings = read_settings()
    log = settings.home / "logs" / f"worker-{idle.id}.log"
    with _monitor() as lines, workers([idle], work.client, settings) as fleet:
        fleet.wait_up(work.client)
        lines.read_until(lambda: log.exists() and " ready." in log.read_text(errors="replace"))
        lines.read_for(SETTLE_S)
        (own,) = (one for one in live_hosts(work.client) if one.id == idle.id)
        ready_at = lines.last_at_s
        ports = _ports(own.pid)
        lines.read_for(seconds)
        ports |= _ports(own.pid)
    sent = [one for one in lines.sent if one.port in ports]
    return Record(
        seconds,
        tuple(replace(one, at_s=one.at_s - ready_at) for one in sent if one.at_s > ready_at),
        tuple(one for one in sent if one.words[0].upper() in (b"SUBSCRIBE", b"PSUBSCRIBE")),
        (idle.id.encode(), own.incarnation.encode()),
    )


def _ports(pid: int) -> set[int]:
    return {one.laddr.port for one in psutil.Process(pid).net_connections("tcp")}


class Lines:
    """What MONITOR says, as commands."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._rest = sock, b""
        self.sent: list[Sent] = []
        self.last_at_s = 0.0

    def read_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.read_until(lambda: time.monotonic() >= until, seconds + LATE_S)

    def read_until(self, done: Callable[[], bool], most_s: float = 60.0) -> None:
        deadline = time.monotonic() + most_s
        while not done():
            if time.monotonic() > deadline:
                raise SystemExit("the worker does not become ready")
            with suppress(TimeoutError):
                self._take(self._sock.recv(1 << 20))

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if found := LINE.fullmatch(line):
                self.last_at_s = float(found[1])
                source = found[2].decode()
                if source != "lua":  # what a script does is done again where it runs
                    words = tuple(codecs.escape_decode(word)[0] for word in WORD.findall(found[3]))
                    self.sent.append(Sent(self.last_at_s, int(source.rpartition(":")[2]), words))


@contextmanager
def _monitor() -> Iterator[Lines]:
    where = urlsplit(running_url(read_settings()))
    with socket.create_connection((where.hostname, where.port)) as sock:
        sock.settimeout(0.1)
        sock.sendall(_login() + _packed([b"MONITOR"]))
        yield Lines(sock)


def _login() -> bytes:
    password = urlsplit(running_url(read_settings())).password
    return _packed([b"AUTH", unquote(password).encode()]) if password else b""


def _packed(words: Iterable[bytes]) -> bytes:
    words = list(words)
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


# -- replaying --------------------------------------------------------------------------------


async def _replayed(work: Session, record: Record, count: int, seconds: float) -> list[float]:
    """The share of a core that Redis took with so many more workers, some times."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    dice = random.Random(1)
    tasks = []
    for number in range(count):
        connections = await _connected(record, number)
        phase_s = dice.uniform(0, record.seconds)
        tasks.append(asyncio.create_task(_idle(record, number, phase_s, connections)))
    await asyncio.sleep(SETTLE_S)
    shares = [await asyncio.to_thread(_share, work, seconds) for _ in range(REPEATS)]
    for task in tasks:
        if task.done():
            raise SystemExit(f"a replayed worker ended: {task.exception()}")
        task.cancel()
    return shares


class Unread(asyncio.Protocol):
    """Replies are taken and not looked at."""

    lost = False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


Connections = dict[int, tuple[asyncio.Transport, Unread]]


async def _connected(record: Record, number: int) -> Connections:
    where = urlsplit(running_url(read_settings()))
    loop = asyncio.get_running_loop()
    made = {port: await loop.create_connection(Unread, where.hostname, where.port) for port in record.ports}
    for transport, _ in made.values():
        transport.write(_login())
    for one in record.listening:
        made[one.port][0].write(_packed(_as_own(record, one, number)))
    return made


async def _idle(record: Record, number: int, phase_s: float, connections: Connections) -> None:
    """One worker's commands, round and round, from `phase_s` on."""
    begun = time.monotonic() - phase_s
    written = [(one.at_s, one.port, _packed(_as_own(record, one, number))) for one in record.sent]
    for turn in count_from(0):
        for at_s, port, text in written:
            due = begun + turn * record.seconds + at_s
            if due < begun + phase_s:
                continue
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            transport, protocol = connections[port]
            if protocol.lost:
                raise RuntimeError("Redis closed a connection")
            transport.write(text)


def _as_own(record: Record, one: Sent, number: int) -> list[bytes]:
    """The words with a host and an incarnation of this worker's own, as long as those recorded."""
    host, incarnation = record.own
    own = {host: b"%s-%03d" % (host, number), incarnation: b"%012x" % number}
    words = list(one.words)
    for old, new in own.items():
        words = [word.replace(old, new) for word in words]
    return words


def _share(work: Session, seconds: float) -> float:
    """Of one core, what Redis takes in so many seconds."""
    used, begun = _redis_cpu_s(work), time.monotonic()
    time.sleep(seconds)
    return (_redis_cpu_s(work) - used) / (time.monotonic() - begun)


def _redis_cpu_s(work: Session) -> float:
    said = work.client.info("cpu")
    return float(said["used_cpu_user"] + said["used_cpu_sys"])


if __name__ == "__main__":
    sys.exit(main())
