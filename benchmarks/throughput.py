"""What llmq itself costs an item that is answered: one worker against an engine that answers at once.

    python benchmarks/throughput.py [--papers 400] [--slots 4]

Short text papers x 5 prompts for one worker whose simulated engine takes no time. That engine shares the
cores of this machine, so the CPU seconds of each process are the steadier figure. Bounds: 100 items answered
per second, 10 ms of the worker's CPU an item, nothing failed. Submitting: benchmarks/submit.py.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from benchmarks.room import (
    Figure,
    Machine,
    answer,
    engines,
    parser,
    redis_cpu_s,
    room,
    say,
    worker_process,
    working,
    write_papers,
)
from tasks.session import Session

PROMPTS = 5


def main() -> int:
    options = _parse()
    with room() as folder, engines([Machine("null", 0.0, options.slots)], folder) as hosts:
        papers = write_papers(folder / "papers", options.papers)
        with working(hosts) as (work, _):
            figures = _answering(work, papers)
    title = f"throughput: {options.papers} papers x {PROMPTS} prompts, one worker of {options.slots} slots"
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--papers", type=int, default=400)
    options.add_argument("--slots", type=int, default=4)
    return options.parse_args()


def _answering(work: Session, papers: Path) -> list[Figure]:
    process = worker_process()
    worker_s, redis_s = _cpu_s(process), redis_cpu_s(work)
    run = answer(work, papers)
    worker_s, redis_s = _cpu_s(process) - worker_s, redis_cpu_s(work) - redis_s
    items = run.status.total
    return [
        Figure("answered", run.status.successful / run.makespan_s, "items/s", least=100),
        Figure("... CPU of the worker", 1000 * worker_s / items, "ms/item", most=10),
        Figure("... of one core, while it ran", worker_s / run.makespan_s),
        Figure("... CPU of Redis", 1000 * redis_s / items, "ms/item"),
        Figure("items failed", run.status.failed, most=0),
    ]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
