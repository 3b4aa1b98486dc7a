"""What the benchmarks share: a room of their own (folder, Redis, settings), simulated machines in it, one
run from submit to its last result, and the table of figures they end with."""

import argparse
import contextlib
import heapq
import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest.mock import patch

import psutil

from tasks.children import simulated
from tasks.fleet import workers
from tasks.intake.prompts import Prompt
from tasks.ledger import keys
from tasks.request import asked
from tasks.runs import Status
from tasks.session import Session, session
from tasks.settings import Settings, read_settings
from tasks.submit import submit
from tasks.work import Params, Result
from worker_agent.config import Host

ROOT = Path(__file__).parents[1]
LONGEST_RUN_S = 300.0
POLL_S = 0.1
MODEL = "sim-8b"


@dataclass(frozen=True, slots=True)
class Machine:
    """A simulated machine: every request takes `service_s`, `slots` at a time. The rest as in
    worker_agent/simulator/profile.py."""

    id: str
    service_s: float
    slots: int
    wire: str = "openai"
    output_tokens: int | None = None
    models: tuple[str, ...] = (MODEL,)
    knee: int | None = None
    resident: int | None = None
    load_s: float = 0.0
    output_spread: float = 0.3
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, with all its results. `submit_s`: until everything was enqueued."""

    status: Status
    results: tuple[Result, ...]
    prompts: tuple[Prompt, ...]
    submit_s: float

    @property
    def makespan_s(self) -> float:
        """From the start of the submit, all workers ready, to the last result; by the clock of Redis."""
        return ((self.status.ended_ms or self.status.now_ms) - self.status.created_ms) / 1000


@contextmanager
def room() -> Iterator[Path]:
    """A working folder with settings and, on demand, a Redis of its own; the user's llmq is not touched."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLMQ_", "LOG_LEVEL"))}
    with tempfile.TemporaryDirectory(prefix="llmq-bench-") as name, contextlib.chdir(name):
        own = {"LLMQ_HOME": f"{name}/home", "XDG_CONFIG_HOME": f"{name}/config"}
        with patch.dict(os.environ, kept | own, clear=True):
            yield Path(name)


@contextmanager
def engines(machines: Sequence[Machine], folder: Path) -> Iterator[tuple[Host, ...]]:
    """The machines as hosts on loopback, each simulator in a process of its own."""
    with simulated(profiles=[_profile(machine, folder) for machine in machines]) as hosts:
        yield tuple(
            replace(host, id=machine.id, slots=machine.slots)
            for host, machine in zip(hosts, machines, strict=True)
        )


def _profile(machine: Machine, folder: Path) -> str:
    fields = {name: value for name, value in asdict(machine).items() if name != "id" and value is not None}
    fields |= {"prefix_cache": False}
    if machine.output_tokens:
        fields |= {"output_spread": 0.0}
    path = folder / f"{machine.id}.toml"
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items()))
    return str(path)


@contextmanager
def working(hosts: Sequence[Host]) -> Iterator[tuple[Session, float]]:
    """A worker for each host, all ready, and the seconds until they were."""
    settings = read_settings()
    logs = [settings.home / "logs" / f"worker-{host.id}.log" for host in hosts]
    for log in logs:
        log.unlink(missing_ok=True)  # an earlier worker's is appended to
    with session(settings, patient=True) as work:
        begun = time.monotonic()
        with workers(hosts, work.client, settings) as fleet:
            fleet.wait_up(work.client)
            if fleet.down:
                raise SystemExit(f"the fleet is not complete: {fleet.down}")
            _wait_consuming(logs)
            yield work, time.monotonic() - begun


def _wait_consuming(logs: Sequence[Path]) -> None:
    """A worker's host record comes before Celery takes its first message."""
    deadline = time.monotonic() + 60
    while not all(" ready." in log.read_text(errors="replace") for log in logs):
        if time.monotonic() > deadline:
            raise SystemExit("a worker does not become ready")
        time.sleep(POLL_S)


def write_papers(folder: Path, count: int, words: int = 300) -> Path:
    """Papers that differ from their first line on."""
    folder.mkdir(exist_ok=True)
    for n in range(count):
        text = " ".join(f"word{n}x{word}" for word in range(words))
        (folder / f"paper-{n:04}.txt").write_text(f"Paper {n}. {text}")
    return folder


def answer(
    work: Session,
    papers: Path,
    *,
    preset: str = "research",
    models: Sequence[str] = (),
    max_tokens: int = 1024,
) -> Ended:
    """A new run of all the papers, to its end; at most five minutes."""
    ask = asked([papers], presets=[preset], models=models, params=Params(max_tokens=max_tokens))
    begun = time.monotonic()
    run_id = submit(work.ledger, work.texts, ask.manifest, ask.files, fresh=True).run_id
    submit_s = time.monotonic() - begun
    status = wait_ended(work, run_id)
    return Ended(status, _results(work, run_id), ask.manifest.prompts, submit_s)


def wait_ended(work: Session, run_id: str) -> Status:
    """How a run ended; at most five minutes."""
    deadline = time.monotonic() + LONGEST_RUN_S
    while not (status := work.runs.status(run_id)).ended:
        if time.monotonic() > deadline:
            raise SystemExit(f"no end within {LONGEST_RUN_S:.0f} s: {status}\n{_last_words(work.settings)}")
        time.sleep(POLL_S)
    return status


def _last_words(settings: Settings) -> str:
    """The ends of the workers' logs, which go with the room."""
    logs = sorted((settings.home / "logs").glob("*.log"))
    return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in logs)


def _results(work: Session, run_id: str) -> tuple[Result, ...]:
    pairs = [
        (number, item) for number, bundle in work.runs.bundles(run_id) for item in range(len(bundle.prompts))
    ]
    return tuple(result for result in work.runs.results(run_id, pairs) if result)


def worker_process() -> psutil.Process:
    """The worker, where there is one: the child of this process that is no engine."""
    (found,) = (
        child
        for child in psutil.Process().children()
        if any("tasks.worker" in word for word in child.cmdline())
    )
    return found


def used_bytes(work: Session) -> int:
    """What Redis holds."""
    return int(work.client.info("memory")["used_memory"])


def text_bytes(work: Session) -> float:
    """Of that all texts, from a sample of them."""
    texts = list(work.client.scan_iter(keys.text("*"), count=1000))
    sample = texts[:: max(1, len(texts) // 200)]
    return len(texts) * sum(work.client.memory_usage(key) for key in sample) / len(sample)


def redis_cpu_s(work: Session) -> float:
    said = work.client.info("cpu")
    return float(said["used_cpu_user"] + said["used_cpu_sys"])


def calls(hosts: Sequence[Host]) -> dict[str, int]:
    """Requests that the simulated engines themselves counted as started, by host."""
    return _counted(hosts, "started")


def loads(hosts: Sequence[Host]) -> dict[str, int]:
    """Models that the simulated engines brought into memory since they started, by host."""
    return _counted(hosts, "loads")


def _counted(hosts: Sequence[Host], what: str) -> dict[str, int]:
    return {host.id: int(json.loads(read(f"{host.url}/simulator/calls"))[what]) for host in hosts}


def read(url: str) -> str:
    """A page from this machine, past any proxy."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=10) as page:
        return str(page.read().decode())


def ideal_s(machines: Sequence[Machine], items: int) -> float:
    """All the work over the fleet's rate: every slot busy to the same last moment."""
    return items / sum(machine.slots / machine.service_s for machine in machines)


def pull_s(machines: Sequence[Machine], bundles: int, items: int) -> float:
    """Slots that pull whole bundles with no cost at all: what is left over the ideal is the tail."""
    slots = [(0.0, machine.service_s) for machine in machines for _ in range(machine.slots)]
    heapq.heapify(slots)
    for _ in range(bundles):
        free_at, service_s = heapq.heappop(slots)
        heapq.heappush(slots, (free_at + items * service_s, service_s))
    return max(free_at for free_at, _ in slots)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, with the most or the least that is allowed."""

    what: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def held(self) -> bool:
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )

    def line(self) -> str:
        limit = f"<= {self.most:g}" if self.most is not None else ""
        limit = f">= {self.least:g}" if self.least is not None else limit
        verdict = "" if not limit else "ok" if self.held else "MISSED"
        value = f"{self.value:,.0f}" if self.value >= 1000 else f"{self.value:.4g}"
        return f"  {self.what:<52} {value:>10} {self.unit:<9} {limit:<9} {verdict}".rstrip()


def say(title: str, figures: Sequence[Figure], *, as_json: bool) -> int:
    """Print the figures; the exit code is 1 where a bound is missed."""
    missed = [figure.what for figure in figures if not figure.held]
    if as_json:
        print(
            json.dumps({"title": title, "figures": [asdict(figure) for figure in figures], "missed": missed})
        )
    else:
        print("\n".join([title, *(figure.line() for figure in figures)]))
    return 1 if missed else 0


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", dest="as_json", help="print JSON for programs")
    return made
