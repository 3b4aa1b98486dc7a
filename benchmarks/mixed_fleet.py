"""How busy llmq keeps machines of very different speed, to the end of a run.

    python benchmarks/mixed_fleet.py [--scale 3]

Five simulated machines (0.1, 0.2, 0.4, 0.7 and 1.0 s a request; 5, 3, 3, 2 and 2 slots; no prefix cache)
answer 100 papers x 5 prompts through real workers. The makespan runs from the start of the submit, when
all workers are ready, to the last result; it is compared with the ideal (all work over the fleet's rate,
6.46 s) and with slots that pull whole papers at no cost. Bound: 1.08 times the ideal, nothing failed, at most
1 % asked twice.
`--scale` makes every request that much slower, so that the cores which five workers and five simulators
share matter less.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import (
    Ended,
    Figure,
    Machine,
    answer,
    calls,
    engines,
    ideal_s,
    parser,
    pull_s,
    room,
    say,
    working,
    write_papers,
)

FLEET = (
    Machine("a", 0.1, 5),
    Machine("b", 0.2, 3),
    Machine("c", 0.4, 3),
    Machine("d", 0.7, 2),
    Machine("e", 1.0, 2),
)
PAPERS, PROMPTS = 100, 5
MOST = 1.08


def main() -> int:
    options = _parse()
    fleet = [Machine(one.id, one.service_s * options.scale, one.slots) for one in FLEET]
    with room() as folder, engines(fleet, folder) as hosts, working(hosts) as (work, up_s):
        papers = write_papers(folder / "papers", PAPERS)
        runs = [answer(work, papers) for _ in range(options.runs)]
        started = sum(calls(hosts).values())
    title = (
        f"mixed fleet: {PAPERS} papers x {PROMPTS} prompts, {options.runs} runs, time scale {options.scale:g}"
    )
    return say(title, _figures(fleet, runs, up_s, started), as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument(
        "--scale", type=float, default=1.0, help="every request takes this many times longer"
    )
    options.add_argument("--runs", type=int, default=3, help="the median of so many runs counts")
    return options.parse_args()


def _figures(fleet: list[Machine], runs: list[Ended], up_s: float, started: int) -> list[Figure]:
    items = PAPERS * PROMPTS
    ideal, pull = ideal_s(fleet, items), pull_s(fleet, PAPERS, PROMPTS)
    spans = [run.makespan_s for run in runs]
    median = min(runs, key=lambda run: abs(run.makespan_s - statistics.median(spans)))
    return [
        Figure("ideal: all work over the fleet's rate", ideal, "s"),
        Figure("slots that pull whole papers at no cost", pull, "s"),
        Figure("... / ideal", pull / ideal),
        Figure("workers ready after", up_s, "s"),
        Figure("makespan, median", statistics.median(spans), "s"),
        Figure("makespan, fastest", min(spans), "s"),
        Figure("makespan, slowest", max(spans), "s"),
        Figure("median makespan / ideal", statistics.median(spans) / ideal, most=MOST),
        Figure("median makespan / pull at no cost", statistics.median(spans) / pull),
        *(_busy(machine, median) for machine in fleet),
        Figure("items failed", sum(run.status.failed for run in runs), most=0),
        Figure("items without an answer", sum(items - run.status.successful for run in runs), most=0),
        Figure("requests the engines saw, per item", started / (items * len(runs)), most=1.01),
    ]


def _busy(machine: Machine, run: Ended) -> Figure:
    done = sum(result.host == machine.id for result in run.results)
    busy = done * machine.service_s / (machine.slots * run.makespan_s)
    return Figure(
        f"{machine.id} ({machine.slots} x {machine.service_s:g} s): share of its time at work", busy
    )


if __name__ == "__main__":
    sys.exit(main())
