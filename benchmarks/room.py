"""What the benchmarks share: a room of their own (folder, Redis, settings), simulated machines in it, one
run from submit to its last result, and the table of figures they end with."""

import argparse
import contextlib
import heapq
import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import psutil

from tasks.children import simulated
from tasks.fleet import Fleet, workers
from tasks.intake.prompts import Prompt
from tasks.ledger import keys
from tasks.request import Asked, asked
from tasks.result import Result
from tasks.runs import Status
from tasks.session import Session, session
from tasks.settings import Settings, read_settings
from tasks.submit import submit
from tasks.work import Params
from worker_agent.config import Host

ROOT = Path(__file__).parents[1]
LONGEST_RUN_S = 300.0
POLL_S = 0.1
MODEL = "sim-8b"


@dataclass(frozen=True, slots=True)
class Machine:
    """A simulated machine: every request takes `service_s`, `slots` at a time; with `prefill_tps` and
    `decode_tps` as long as these say, with a prefix cache, and `service_s` is an answer without its prompt.
    The rest as in worker_agent/simulator/profile.py."""

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
    prefill_tps: float | None = None
    decode_tps: float | None = None
    window: int = 8192


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, with all its results."""

    status: Status
    results: tuple[Result, ...]
    prompts: tuple[Prompt, ...]

    @property
    def makespan_s(self) -> float:
        """From the start of the submit, all workers ready, to the last result; by the clock of Redis."""
        return self.ended_at - self.status.created_ms / 1000

    @property
    def begun_at(self) -> float:
        """When the first request was sent to an engine, in seconds since 1970."""
        times = (result.metrics.get("started_at") for result in self.results)
        return min(datetime.fromisoformat(time).timestamp() for time in times if time)

    @property
    def ended_at(self) -> float:
        """When the last result was committed."""
        return (self.status.ended_ms or self.status.now_ms) / 1000

    @property
    def starting_s(self) -> float:
        """From the start of the submit, all workers ready, to the first request."""
        return self.begun_at - self.status.created_ms / 1000

    @property
    def answering_s(self) -> float:
        """From the first request to the last result committed."""
        return self.ended_at - self.begun_at


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
    fields |= {"prefix_cache": machine.prefill_tps is not None}
    if machine.prefill_tps:
        del fields["service_s"]
    if machine.output_tokens:
        fields |= {"output_spread": 0.0}
    path = folder / f"{machine.id}.toml"
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items()))
    return str(path)


@contextmanager
def working(hosts: Sequence[Host]) -> Iterator[tuple[Session, float]]:
    """A worker for each host, all ready, and the seconds until they were."""
    with session(read_settings(), patient=True) as work:
        begun = time.monotonic()
        with serving(work, hosts):
            yield work, time.monotonic() - begun


@contextmanager
def serving(work: Session, hosts: Sequence[Host]) -> Iterator[Fleet]:
    """A worker for each of these hosts too, all ready."""
    logs = [work.settings.home / "logs" / f"worker-{host.id}.log" for host in hosts]
    for log in logs:
        log.unlink(missing_ok=True)  # an earlier worker's is appended to
    with workers(hosts, work.client, work.settings) as fleet:
        fleet.wait_up(work.client)
        if fleet.down:
            raise SystemExit(f"the fleet is not complete: {fleet.down}")
        _wait_consuming(logs)
        yield fleet


def _wait_consuming(logs: Sequence[Path]) -> None:
    """A worker's host record comes before Celery takes its first message."""
    deadline = time.monotonic() + 60
    while not all(" ready." in log.read_text(errors="replace") for log in logs):
        if time.monotonic() > deadline:
            raise SystemExit("a worker does not become ready")
        time.sleep(POLL_S)


def write_papers(folder: Path, count: int, words: int = 300, sentence: int | None = None) -> Path:
    """Papers that differ from their first line on. `sentence`: words of one, else the paper is one; simulated
    engines answer in whole ones."""
    folder.mkdir(exist_ok=True)
    for n in range(count):
        said = [f"word{n}x{word}" for word in range(words)]
        ends = range(0, words, sentence or words)
        text = ". ".join(" ".join(said[start : start + (sentence or words)]) for start in ends)
        (folder / f"paper-{n:04}.txt").write_text(f"Paper {n}. {text}")
    return folder


def answer(
    work: Session,
    papers: Path,
    *,
    preset: str = "research",
    prompts: Sequence[str] = (),
    models: Sequence[str] = (),
    max_tokens: int = 1024,
) -> Ended:
    """A new run of all the papers, to its end; at most five minutes. `prompts` instead of the preset's."""
    presets = [] if prompts else [preset]
    params = Params(max_tokens=max_tokens)
    wanted = asked([papers], prompts=prompts, presets=presets, models=models, params=params)
    return ended(work, ask(work, wanted), wanted.manifest.prompts)


def ask(work: Session, wanted: Asked) -> str:
    """Submit a new run; returns its id."""
    return submit(work.ledger, work.texts, wanted.manifest, wanted.files, fresh=True).run_id


def ended(work: Session, run_id: str, prompts: Sequence[Prompt]) -> Ended:
    """The run, once it is over; at most five minutes."""
    status = wait_ended(work, run_id)
    return Ended(status, _results(work, run_id), tuple(prompts))


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


def spread(
    what: str,
    values: Sequence[float],
    unit: str = "",
    *,
    most: float | None = None,
    least: float | None = None,
) -> list[Figure]:
    """The median, and what it lies between where there are several."""
    made = [Figure(what, statistics.median(values), unit, most=most, least=least)]
    if len(values) > 1:
        made.append(Figure(f"... least of {len(values)}", min(values), unit))
        made.append(Figure(f"... most of {len(values)}", max(values), unit))
    return made


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


def parser(doc: str | None, runs: int | None = None) -> argparse.ArgumentParser:
    """The options that all benchmarks have. `runs`: so many are made unless asked otherwise."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", dest="as_json", help="print JSON for programs")
    if runs:
        made.add_argument("--runs", type=int, default=runs, help="the median of so many counts")
    return made
