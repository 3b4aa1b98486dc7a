"""The fleet of one `llmq run`: which hosts there are, a worker for each that has none, and whether they
are up."""

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread

import redis

from tasks.children import WorkerChild, end_workers, start_worker
from tasks.connection import Client
from tasks.errors import InputError
from tasks.hosts import HostRecord, live_hosts
from tasks.intake.stages import Stage
from tasks.report.wording import some
from tasks.settings import Settings
from worker_agent.config import Host, read_fleet
from worker_agent.detect import detect_local
from worker_agent.errors import ConfigError

UP_S = 30.0
POLL_S = 0.1
MEND_S = 1.0
RESTART_S = 5.0  # the first pause between two starts of a host's worker; it doubles
STEADY_S = 60.0  # who lived for so long starts again with the first pause


@dataclass(slots=True)
class Pause:
    """When a host may get a worker again. Instants are of any clock that only goes forward. Pure."""

    due_at: float = float("-inf")
    next_s: float = RESTART_S
    started_at: float = float("-inf")

    def started(self, now: float) -> None:
        self.started_at, self.due_at = now, now + self.next_s
        self.next_s *= 2

    def alive(self, now: float) -> None:
        """It was still alive."""
        if now - self.started_at >= STEADY_S:
            self.due_at, self.next_s = now, RESTART_S


@dataclass(slots=True)
class Fleet:
    """The hosts of a run. `down`: host id -> why it takes no work, as of `wait_up`."""

    hosts: tuple[Host, ...]
    start: Callable[[str], WorkerChild]
    workers: dict[str, WorkerChild] = field(default_factory=dict)
    records: tuple[HostRecord, ...] = ()
    down: dict[str, str] = field(default_factory=dict)
    _pauses: dict[str, Pause] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _closed: bool = False

    def mend(self, live: Iterable[HostRecord]) -> None:
        """A worker for each host that nobody serves: at the start, after a crash, and when the other
        command whose worker we shared has ended."""
        with self._lock:
            dead = {worker.child.pid for worker in self.workers.values() if worker.ended}
            served = {record.id for record in live if record.pid not in dead}
            for host in () if self._closed else self.hosts:
                self._mend(host.id, host.id in served, time.monotonic())

    def _mend(self, host_id: str, served: bool, now: float) -> None:
        ours, pause = self.workers.get(host_id), self._pauses.setdefault(host_id, Pause())
        if ours and not ours.ended:
            pause.alive(now)
        elif not served and now >= pause.due_at:
            self.workers[host_id] = self.start(host_id)
            pause.started(now)

    def close(self) -> None:
        """No more workers; ours give their work back and end."""
        with self._lock:
            self._closed = True
        end_workers(list(self.workers.values()))

    def wait_up(self, client: Client, say: Callable[[str], None] = lambda _: None) -> None:
        """Until every host is up or has failed to come up, at most 30 s. Raises ConfigError if none is."""
        deadline = time.monotonic() + UP_S
        while True:
            self._look(client)
            pending = self._pending()
            up = any(record.able for record in self.records)
            if (up and not pending) or self._hopeless() or time.monotonic() > deadline:
                break
            for host_id, why in self.down.items():
                say(f"{host_id} is down: {why}")
            if pending:
                say(f"waiting up to {UP_S:.0f} s for {', '.join(pending)}")
            elif not up:
                say(f"no host takes work yet: waiting up to {UP_S:.0f} s for {', '.join(self.down)}")
            time.sleep(POLL_S)
        self.down |= dict.fromkeys(pending, f"did not come up within {UP_S:.0f} s")
        if not any(record.able for record in self.records):
            urls = {host.id: host.url for host in self.hosts}
            reasons = "; ".join(f"{host_id}: {why} ({urls[host_id]})" for host_id, why in self.down.items())
            raise ConfigError(f"no host of the fleet takes work ({reasons}); `llmq doctor` looks closer")

    def check_models(self, models: Sequence[str]) -> None:
        """Raises InputError for a model that no host of the fleet serves, with what there is."""
        served = {model.name for record in self.records for model in record.models}
        served |= {name.fleet for host in self.hosts if host.id in self.down for name in host.models}
        unknown = dict.fromkeys(model for model in models if model not in served)
        if unknown:
            there = ", ".join(sorted(served)) or "no model"
            more = self._unloaded(unknown) or self._pinned(unknown)
            raise InputError(f"no host serves {', '.join(unknown)}; there is {there}{more}")

    def _unloaded(self, models: Iterable[str]) -> str:
        """What to do where an engine has one of them and has loaded others."""
        for model in models:
            if hosts := [record.id for record in self.records if model in record.unloaded]:
                who = f"{some(hosts)} {'have' if len(hosts) > 1 else 'has'}"
                return f" ({who} {model}, which is not loaded: name it in the fleet file, models = [...])"
        return ""

    def _pinned(self, models: Iterable[str]) -> str:
        """What to do where MODEL@HOST was meant."""
        ids = {host.id for host in self.hosts}
        named = [model for model in models if model.rpartition("@")[2] in ids and "@" in model]
        if not named:
            return ""
        model, _, host = named[0].rpartition("@")
        return (
            f" (MODEL@HOST is for chains and suites; for one host: --model {model}, in a bench --host {host})"
        )

    def check_stages(self, stages: Iterable[Stage], live: Iterable[HostRecord]) -> None:
        """Raises InputError for a model that no host serves, and for a host that there is not, or that is
        asked for a model it has not. `live`: hosts beside the fleet may be asked too."""
        stages = tuple(stages)
        self.check_models([stage.model for stage in stages if stage.model and not stage.host])
        records = {record.id: record for record in (*live, *self.records)}
        hosts = sorted({*records, *(host.id for host in self.hosts)})
        for stage in stages:
            if stage.host and stage.host not in hosts:
                raise InputError(
                    f"{stage.name}: there is no host {stage.host!r}; there is {', '.join(hosts)} (where the "
                    f"@ belongs to the model's name, write {stage.asks}@)"
                )
            if stage.host and (record := records.get(stage.host)):
                _check_serves(record, stage)

    def _look(self, client: Client) -> None:
        ids = {host.id for host in self.hosts}
        self.records = tuple(record for record in live_hosts(client) if record.id in ids)
        self.down = {record.id: record.why_not for record in self.records if not record.able}
        live = {record.id for record in self.records}
        for host_id, worker in list(self.workers.items()):
            if worker.ended and host_id not in live:
                self.down[host_id] = f"its worker ended: {worker.last_words()} (log: {worker.log})"

    def _hopeless(self) -> bool:
        """Every host is ours to bring up, and every worker has ended."""
        return all((ours := self.workers.get(host.id)) and ours.ended for host in self.hosts)

    def _pending(self) -> list[str]:
        seen = {record.id for record in self.records} | set(self.down)
        return [host.id for host in self.hosts if host.id not in seen]


def _check_serves(record: HostRecord, stage: Stage) -> None:
    names = [model.name for model in record.models]
    if names and stage.model and stage.model not in names:  # one that is down may not know its models
        raise InputError(f"{stage.name}: {record.id} does not serve {stage.model}; it has {', '.join(names)}")


def hosts_of(fleet_file: Path | None) -> tuple[Host, ...]:
    """The hosts of the fleet file, else the engines that answer on this machine."""
    if fleet_file:
        return read_fleet(fleet_file)
    return tuple(Host(found.engine.replace("_", "-"), found.engine, found.url) for found in detect_local())


@contextmanager
def workers(hosts: Sequence[Host], client: Client, settings: Settings) -> Iterator[Fleet]:
    """A worker for each host that has none, all through the block, however it goes on; ours give their work
    back and end with it."""
    with ExitStack() as stack:
        file = _fleet_file(hosts, stack)
        fleet = Fleet(tuple(hosts), lambda host_id: start_worker(host_id, file, settings))
        stack.callback(fleet.close)
        fleet.mend(live_hosts(client))
        done = Event()
        stack.callback(done.set)
        Thread(target=_keep_mending, args=(fleet, client, done), name="mend", daemon=True).start()
        yield fleet


def _keep_mending(fleet: Fleet, client: Client, done: Event) -> None:
    while not done.wait(MEND_S):
        with suppress(redis.RedisError, OSError):  # Redis is away, or no process can start: again soon
            fleet.mend(live_hosts(client))


def _fleet_file(hosts: Sequence[Host], stack: ExitStack) -> Path:
    """The hosts as a file that only this user can read (it may hold keys), gone with the stack."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmq-")))
    path = folder / "fleet.toml"
    path.touch(mode=0o600)
    path.write_text(as_toml(hosts), encoding="utf-8")
    return path


def as_toml(hosts: Sequence[Host]) -> str:
    """A fleet file with these hosts, their keys in clear."""
    return "\n".join(_host_as_toml(host) for host in hosts)


def _host_as_toml(host: Host) -> str:
    fields = {
        "id": host.id,
        "engine": host.engine,
        "url": host.url,
        "slots": host.slots,
        "context_length": host.context_length,
        "timeout_s": host.timeout_s,
        "api_key": host.api_key,
        "tags": list(host.tags) or None,
    }
    # JSON strings, numbers and lists of strings are TOML too.
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items() if value is not None]
    models = ", ".join(f"{{{json.dumps(name.fleet)} = {json.dumps(name.local)}}}" for name in host.models)
    return "\n".join(["[[host]]", *lines, *([f"models = [{models}]"] if models else [])]) + "\n"
