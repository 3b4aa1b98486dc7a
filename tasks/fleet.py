"""The fleet on this command's behalf: which hosts there are, simulated engines, one worker process
per host, and their end. For `llmq run`."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tasks.connection import Client
from tasks.errors import InputError
from tasks.hosts import HostRecord, live_hosts
from tasks.settings import Settings
from worker_agent.config import Host, read_fleet
from worker_agent.detect import detect_local
from worker_agent.errors import ConfigError
from worker_agent.simulator.profile import load_profile

DEMO_PROFILES = ("demo-gpu", "demo-studio", "demo-laptop")
UP_S = 30.0
DOWN_S = 10.0
POLL_S = 0.1
# -P: a stranger's `tasks` or `celery` in the working folder is not ours.
PYTHON = (sys.executable, "-P", "-c")
SIMULATE = """
import sys
from worker_agent.machine import end_with_parent
end_with_parent()
from worker_agent.simulator.profile import load_profile
from worker_agent.simulator.server import serve
serve(load_profile(sys.argv[1]), port=0, seed=int(sys.argv[2]), on_ready=lambda url: print(url, flush=True))
"""
WORK = """
import sys
from worker_agent.machine import end_with_parent
end_with_parent()
from tasks.celery import app
app.worker_main(sys.argv[1:])
"""


@dataclass(slots=True)
class Worker:
    """A worker process of ours, for one host."""

    host_id: str
    log: Path
    child: "subprocess.Popen[bytes]"

    def last_words(self) -> str:
        """The last line it wrote."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@dataclass(slots=True)
class Fleet:
    """The hosts of a run. `down`: host id -> why it takes no work, as of `wait_up`."""

    hosts: tuple[Host, ...]
    workers: list[Worker] = field(default_factory=list)
    records: tuple[HostRecord, ...] = ()
    down: dict[str, str] = field(default_factory=dict)

    def wait_up(self, client: Client, say: Callable[[str], None] = lambda _: None) -> None:
        """Until every host is up or has failed to come up, at most 30 s. Raises ConfigError if none is."""
        deadline = time.monotonic() + UP_S
        while True:
            self._look(client)
            pending = self._pending()
            up = any(record.able for record in self.records)
            if (up and not pending) or self._hopeless() or time.monotonic() > deadline:
                break
            say(f"waiting for {', '.join(pending or self.down)}")
            time.sleep(POLL_S)
        self.down |= dict.fromkeys(pending, f"did not come up within {UP_S:.0f} s")
        if not any(record.able for record in self.records):
            reasons = "; ".join(f"{host_id}: {why}" for host_id, why in self.down.items())
            raise ConfigError(f"no host of the fleet takes work ({reasons}); `llmq doctor` looks closer")

    def check_models(self, models: Sequence[str]) -> None:
        """Raises InputError for a model that no host of the fleet serves, with what there is."""
        served = {model.name for record in self.records for model in record.models}
        served |= {name.fleet for host in self.hosts if host.id in self.down for name in host.models}
        unknown = [model for model in models if model not in served]
        if unknown:
            raise InputError(
                f"no host serves {', '.join(unknown)}; there is {', '.join(sorted(served)) or 'no model'}"
            )

    def _look(self, client: Client) -> None:
        ids = {host.id for host in self.hosts}
        self.records = tuple(record for record in live_hosts(client) if record.id in ids)
        self.down = {record.id: record.trouble for record in self.records if not record.able}
        for worker in self.workers:
            if worker.child.poll() is not None:
                self.down[worker.host_id] = f"its worker ended: {worker.last_words()} (log: {worker.log})"

    def _hopeless(self) -> bool:
        """Every host is ours to bring up, and every worker has ended."""
        ended = {worker.host_id for worker in self.workers if worker.child.poll() is not None}
        return ended == {host.id for host in self.hosts}

    def _pending(self) -> list[str]:
        seen = {record.id for record in self.records} | set(self.down)
        return [host.id for host in self.hosts if host.id not in seen]


def hosts_of(fleet_file: Path | None) -> tuple[Host, ...]:
    """The hosts of the fleet file, else the engines that answer on this machine."""
    if fleet_file:
        return read_fleet(fleet_file)
    return tuple(Host(found.engine.replace("_", "-"), found.engine, found.url) for found in detect_local())


@contextmanager
def simulated(seed: int = 1, profiles: Sequence[str] = DEMO_PROFILES) -> Iterator[tuple[Host, ...]]:
    """Simulated engines on this machine, for as long as the block runs."""
    with ExitStack() as stack:
        commands = [[*PYTHON, SIMULATE, name, str(seed + n)] for n, name in enumerate(profiles)]
        children = [_start(command, subprocess.PIPE) for command in commands]
        for child in children:
            stack.callback(_end, child)
        yield tuple(
            Host(name.replace("demo-", "simulated-"), load_profile(name).wire, _first_line(child, name))
            for name, child in zip(profiles, children, strict=True)
        )


@contextmanager
def workers(hosts: Sequence[Host], client: Client, settings: Settings) -> Iterator[Fleet]:
    """A worker for each host that has none yet; ours give their work back and end with the block."""
    fleet = Fleet(tuple(hosts))
    served = {record.id for record in live_hosts(client)}
    with ExitStack() as stack:
        file = _fleet_file(hosts, stack)
        for host in hosts:
            if host.id not in served:
                fleet.workers.append(_worker(host, file, settings))
        stack.callback(_end_all, fleet.workers)
        yield fleet


def _worker(host: Host, fleet_file: Path, settings: Settings) -> Worker:
    log = settings.home / "logs" / f"worker-{host.id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environ = os.environ | {"LLMQ_FLEET": str(fleet_file), "LLMQ_HOST": host.id, "LLMQ_GRACE_S": "0"}
    with log.open("wb") as out:
        command = [*PYTHON, WORK, "worker", "--loglevel", settings.log_level]
        return Worker(host.id, log, _start(command, out, environ))


def _fleet_file(hosts: Sequence[Host], stack: ExitStack) -> Path:
    """The hosts as a file that only this user can read (it may hold keys), gone with the stack."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmq-")))
    path = folder / "fleet.toml"
    path.touch(mode=0o600)
    path.write_text("\n".join(_as_toml(host) for host in hosts), encoding="utf-8")
    return path


def _as_toml(host: Host) -> str:
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


def _start(
    command: list[str], out: IO[bytes] | int, environ: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    # A session of its own: the terminal's Ctrl-C reaches the command alone. The pipe tells of our end.
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.STDOUT,
        env=environ,
        start_new_session=True,
    )


def _first_line(child: "subprocess.Popen[bytes]", name: str) -> str:
    line = child.stdout.readline().decode().strip() if child.stdout else ""
    if not line.startswith("http"):
        raise ConfigError(f"the simulated engine {name} did not start: {line}")
    return line


def _end_all(ours: Sequence[Worker]) -> None:
    for worker in ours:
        if worker.child.poll() is None:
            worker.child.send_signal(signal.SIGTERM)
    for worker in ours:
        _end(worker.child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(DOWN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
