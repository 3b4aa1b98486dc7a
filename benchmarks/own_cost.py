"""What llmq itself costs an item on its way through one worker (`celery -A tasks worker`, a real Redis).

    python benchmarks/own_cost.py [--papers 600] [--slots 8] [--repeats 3]

Papers x 5 prompts, one bundle a paper, whose engine answers in the worker's process at once with about 1 kB
(benchmarks/null_worker.py): no HTTP, so what is measured is Celery, kombu, the ledger and llmq. Then the same
worker against a simulated engine that answers at once over HTTP, and shares this machine's cores. Last, hosts
as they are: answers of 200 tokens streamed in 5 s; the worker's CPU beside its engine's busy seconds.
Each a median of the repeats, with the least and the most. Bounds: 1200 items/s, 1 % of an engine second.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from benchmarks.room import (
    ROOT,
    Figure,
    Machine,
    engines,
    parser,
    redis_cpu_s,
    room,
    say,
    spread,
    wait_ended,
    worker_process,
    working,
    write_papers,
)
from tasks.hosts import live_hosts
from tasks.pause import holding, pause, resume
from tasks.request import asked
from tasks.session import Session, session
from tasks.settings import read_settings
from tasks.submit import submit

PROMPTS = 5
UP_S = 30.0
REAL_SLOTS, REAL_SERVICE_S, REAL_TOKENS = 4, 5.0, 200


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: items/s, and CPU seconds of the worker and of Redis. `failed` items."""

    items: int
    failed: int
    makespan_s: float
    worker_s: float
    redis_s: float

    @property
    def rate(self) -> float:
        return self.items / self.makespan_s


def main() -> int:
    options = _parse()
    with room() as folder:
        papers = write_papers(folder / "papers", options.papers)
        with null_worker(folder, options.slots) as (work, worker):
            _cost(work, worker, write_papers(folder / "first", 20))  # every module and script loaded
            alone = [_cost(work, worker, papers) for _ in range(options.repeats)]
        some = write_papers(folder / "some", options.papers // 4)
        with engines([Machine("null", 0.0, options.slots)], folder) as hosts, working(hosts) as (work, _):
            http = [_cost(work, worker_process(), some) for _ in range(options.repeats)]
        real = [] if options.skip_real else _real(folder, options.repeats)
    figures = _null_figures(alone) + _http_figures(http, alone) + _real_figures(real)
    title = f"own cost: {options.papers} papers x {PROMPTS} prompts, one worker of {options.slots} slots"
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--papers", type=int, default=600)
    options.add_argument("--slots", type=int, default=8)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--skip-real", action="store_true", help="leave out the hosts as they are")
    return options.parse_args()


@contextmanager
def null_worker(folder: Path, slots: int) -> Iterator[tuple[Session, psutil.Process]]:
    """The worker of benchmarks/null_worker.py, ready, in the room's Redis."""
    fleet = folder / "null.toml"
    fleet.write_text(f'[[host]]\nid = "null"\nengine = "null"\nurl = "http://127.0.0.1:1"\nslots = {slots}\n')
    environ = os.environ | {"LLMQ_FLEET": str(fleet), "LLMQ_HOST": "null", "LLMQ_GRACE_S": "0"}
    log = folder / "null.log"
    with session(read_settings(), patient=True) as work, log.open("wb") as out:
        command = [sys.executable, str(ROOT / "benchmarks" / "null_worker.py")]
        child = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=out, stderr=out)
        try:
            _wait(lambda: " ready." in log.read_text(errors="replace"), log)
            yield work, psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(UP_S)


def _wait(condition: Callable[[], bool], log: Path | None = None) -> None:
    deadline = time.monotonic() + UP_S
    while not condition():
        if time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log else ""
            raise SystemExit(f"the worker does not become ready:\n{said}")
        time.sleep(0.05)


def _cost(work: Session, process: psutil.Process, papers: Path) -> Cost:
    """A run of the papers, from the moment when all is submitted: until then its host is paused."""
    ask = asked([papers], presets=["research"])
    (host,) = live_hosts(work.client)
    pause(work.client, host.id)
    _wait(lambda: holding(work.client, host.id).heard)
    run_id = submit(work.ledger, work.texts, ask.manifest, ask.files, fresh=True).run_id
    worker_s, redis_s, begun = _cpu_s(process), redis_cpu_s(work), work.client.time()
    resume(work.client, host.id)
    status = wait_ended(work, run_id)
    worker_s, redis_s = _cpu_s(process) - worker_s, redis_cpu_s(work) - redis_s
    makespan_s = (status.ended_ms or 0) / 1000 - begun[0] - begun[1] / 1e6
    return Cost(status.total, status.failed, makespan_s, worker_s, redis_s)


def _real(folder: Path, repeats: int) -> list[Cost]:
    """Five papers' worth of answers at the pace of a real host; nothing is scaled."""
    machine = Machine("real", REAL_SERVICE_S, REAL_SLOTS, output_tokens=REAL_TOKENS)
    papers = write_papers(folder / "few", REAL_SLOTS)
    with engines([machine], folder) as hosts, working(hosts) as (work, _):
        return [_cost(work, worker_process(), papers) for _ in range(repeats)]


def _null_figures(costs: Sequence[Cost]) -> list[Figure]:
    cpu = _median(costs, lambda one: one.worker_s / one.items)
    return [
        *spread("items through a worker", [one.rate for one in costs], "items/s", least=1200),
        Figure("... CPU of the worker", 1000 * cpu, "ms/item"),
        Figure("... of one core, while it ran", _median(costs, lambda one: one.worker_s / one.makespan_s)),
        Figure("... CPU of Redis", 1000 * _median(costs, lambda one: one.redis_s / one.items), "ms/item"),
        Figure("... items failed", sum(one.failed for one in costs), most=0),
    ]


def _http_figures(costs: Sequence[Cost], alone: Sequence[Cost]) -> list[Figure]:
    cpu = _median(costs, lambda one: one.worker_s / one.items)
    own = _median(alone, lambda one: one.worker_s / one.items)
    return [
        *spread("the same over HTTP, its server on the same cores", [one.rate for one in costs], "items/s"),
        Figure("... CPU of the worker", 1000 * cpu, "ms/item"),
        Figure("... of that HTTP and streaming", 100 * (1 - own / cpu), "%"),
    ]


def _real_figures(costs: Sequence[Cost]) -> list[Figure]:
    if not costs:
        return []
    shares = [100 * one.worker_s / (one.items * REAL_SERVICE_S) for one in costs]
    ideal_s = costs[0].items * REAL_SERVICE_S / REAL_SLOTS
    return [
        *spread("worker's CPU beside its engine's busy seconds", shares, "%", most=1),
        Figure("... makespan / ideal", _median(costs, lambda one: one.makespan_s) / ideal_s),
    ]


def _median(costs: Sequence[Cost], read: Callable[[Cost], float]) -> float:
    return median(map(read, costs))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
