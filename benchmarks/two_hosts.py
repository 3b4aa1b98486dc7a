"""What llmq adds between two requests, where it weighs most: a fast host and a slow one, one slot each.

    python benchmarks/two_hosts.py [--papers 300] [--runs 3]

One prompt about each of 300 papers, a host of 25 ms a request and one of 500 ms. The makespan runs from the
first request sent to the last result committed, the ideal is all the work over both rates, with no time
between two requests. The pauses are the engine's own: from the end of a call in its slot to the begin of the
next, by the simulator's log. `as computed` is what the run would take if nothing but that pause were lost.
Bounds: 1.10 times the ideal, nothing failed.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import (
    Ended,
    Figure,
    Machine,
    ask,
    ended,
    engines,
    ideal_s,
    parser,
    room,
    say,
    spread,
    working,
    write_papers,
)
from benchmarks.slot_time import Called, called, losses, pauses_ms, spent
from tasks.request import asked

FLEET = (Machine("fast", 0.025, 1), Machine("slow", 0.5, 1))
MOST = 1.10


def main() -> int:
    options = _parse()
    with room() as folder, engines(FLEET, folder) as hosts, working(hosts) as (work, _):
        papers = write_papers(folder / "papers", options.papers)
        runs, logs = [], []
        for _ in range(options.runs):
            wanted = asked([papers], prompts=["What is it about?"])
            runs.append(ended(work, ask(work, wanted), wanted.manifest.prompts))
            logs.append(called(hosts, f"{runs[-1].status.run_id}-"))
    title = f"two hosts, 25 and 500 ms: {options.papers} papers x 1 prompt, {options.runs} runs"
    return say(title, _figures(runs, logs, options.papers), as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__, runs=3)
    options.add_argument("--papers", type=int, default=300)
    return options.parse_args()


def _figures(runs: Sequence[Ended], logs: Sequence[list[Called]], items: int) -> list[Figure]:
    ideal = ideal_s(FLEET, items)
    pauses = [median(pauses_ms(calls, "fast")) for calls in logs]
    pause_s = median(pauses) / 1000
    paused = [replace(machine, service_s=machine.service_s + pause_s) for machine in FLEET]
    times = zip(runs, logs, strict=True)
    lost = [losses(FLEET, spent(FLEET, calls, run.begun_at, run.ended_at), items) for run, calls in times]
    return [
        Figure("ideal", ideal, "s"),
        *spread("makespan / ideal", [run.answering_s / ideal for run in runs], most=MOST),
        Figure("... from the start of the submit", median(run.makespan_s for run in runs) / ideal),
        *spread("fast host: pause between two requests, median", pauses, "ms"),
        Figure("... mean", mean(mean(pauses_ms(calls, "fast")) for calls in logs), "ms"),
        Figure("as computed: 25 ms and that pause / ideal", ideal_s(paused, items) / ideal),
        *(Figure(f"lost: {what}: of the ideal", mean(one[what] for one in lost), "%") for what in lost[0]),
        Figure("items failed", sum(run.status.failed for run in runs), most=0),
        Figure("requests the engines saw, per item", median(len(calls) / items for calls in logs)),
    ]


if __name__ == "__main__":
    sys.exit(main())
