"""Processes that a command starts and that end with it, however it ends: simulated engines and workers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from tasks.settings import Settings
from worker_agent.config import Host
from worker_agent.errors import ConfigError
from worker_agent.simulator.fleet import Simulated
from worker_agent.simulator.profile import Profile, load_profile

DEMO_PROFILES = ("demo-gpu", "demo-studio", "demo-laptop")
DOWN_S = 10.0
# -P: a stranger's `tasks` or `celery` in the working folder is not ours.
PYTHON = (sys.executable, "-P", "-c")
SIMULATE = """
import json, sys
from worker_agent.machine import end_with_parent
end_with_parent()
from worker_agent.simulator.profile import make_profile
from worker_agent.simulator.server import serve
profile, seed, host, port = json.loads(sys.argv[1])
say = lambda url: print(url, flush=True)
serve(make_profile(profile), seed=seed, host=host, port=port, on_ready=say)
"""
WORK = """
import sys
from worker_agent.machine import end_with_parent
end_with_parent()
from tasks.worker import work
sys.exit(work(loglevel=sys.argv[1]))
"""


@dataclass(slots=True)
class WorkerChild:
    """A worker process of ours, for one host."""

    host_id: str
    log: Path
    child: "subprocess.Popen[bytes]"

    @property
    def ended(self) -> bool:
        return self.child.poll() is not None

    def last_words(self) -> str:
        """The last line it wrote."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@dataclass(slots=True)
class SimulatorChild:
    """A simulated engine of ours, as a host."""

    host: Host
    child: "subprocess.Popen[bytes]"

    @property
    def ended(self) -> bool:
        return self.child.poll() is not None

    def how(self) -> str:
        """How it ended: its last line, or the signal."""
        code = self.child.wait()
        lines = self.child.stdout.read().decode(errors="replace").split("\n") if self.child.stdout else []
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        by = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"{by}: {said}" if said else by


@contextmanager
def simulated(
    seed: int = 1, profiles: Sequence[str] = DEMO_PROFILES, models: Sequence[str] = ()
) -> Iterator[tuple[Host, ...]]:
    """Simulated engines on this machine, for as long as the block runs. `models`: what each of them serves,
    instead of what its profile says."""
    machines = [
        Simulated(name.replace("demo-", "simulated-"), _serving(load_profile(name), models), seed + n)
        for n, name in enumerate(profiles)
    ]
    with simulators(machines) as engines:
        yield tuple(one.host for one in engines)


def _serving(profile: Profile, models: Sequence[str]) -> Profile:
    return replace(profile, models=tuple(dict.fromkeys(models))) if models else profile


@contextmanager
def simulators(
    machines: Sequence[Simulated], *, bind: str = "127.0.0.1", port: int = 0
) -> Iterator[tuple[SimulatorChild, ...]]:
    """Each in a process of its own, the first at `port` and the others behind it (0: at free ones), for as
    long as the block runs. Raises ConfigError where one does not start."""
    with ExitStack() as stack:
        children: list[subprocess.Popen[bytes]] = []
        for n, one in enumerate(machines):
            asked = [asdict(one.profile), one.seed, bind, port + n if port else 0]
            children.append(_start([*PYTHON, SIMULATE, json.dumps(asked)], subprocess.PIPE))
            stack.callback(_end, children[-1])
        stack.callback(_terminate, children)  # all at once, before each is waited for
        yield tuple(
            SimulatorChild(Host(one.id, one.profile.wire, _first_line(child, one.id)), child)
            for one, child in zip(machines, children, strict=True)
        )


def start_worker(host_id: str, fleet_file: Path, settings: Settings) -> WorkerChild:
    """A worker for one host of a fleet file; its log lies in the data folder."""
    log = settings.home / "logs" / f"worker-{host_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environ = os.environ | {"LLMQ_FLEET": str(fleet_file), "LLMQ_HOST": host_id, "LLMQ_GRACE_S": "0"}
    with log.open("ab") as out:
        command = [*PYTHON, WORK, settings.log_level]
        return WorkerChild(host_id, log, _start(command, out, environ))


def end_workers(ours: Sequence[WorkerChild]) -> None:
    """All at once: they give their work back and sign off."""
    for worker in ours:
        if not worker.ended:
            worker.child.send_signal(signal.SIGTERM)
    for worker in ours:
        _end(worker.child)


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


def _terminate(children: "Sequence[subprocess.Popen[bytes]]") -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(DOWN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
