"""What each further host adds: items a second of one, three, five and ten equal hosts.

    python benchmarks/linear.py [--hosts 1 3 5 10] [--runs 3]

Simulated machines of four slots and 1.2 s a request, slow enough for two cores to carry ten of them and their
ten workers, answer eight papers x 5 prompts a host. A rate is items over the time from the first request sent
to the last result committed; it is compared with slots / seconds a request, and with that many times the rate
of one host in the same command. Then 35 hosts against one in virtual time (benchmarks/schedule_sim.py), where
papers differ in length. Bounds: each 0.9 of linear, nothing failed.
"""

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from benchmarks import schedule_sim
from benchmarks.room import (
    Ended,
    Figure,
    Machine,
    answer,
    engines,
    parser,
    room,
    say,
    spread,
    working,
    write_papers,
)

SERVICE_S, SLOTS = 1.2, 4
PAPERS, PROMPTS = 8, 5  # of a host
WORDS, SENTENCE = 300, 20  # short answers: what streams is CPU of this machine
SEEDS = 5
LEAST = 0.9


def main() -> int:
    options = _parse()
    rates: dict[int, float] = {}
    figures = []
    for count in options.hosts:
        psutil.cpu_percent()
        runs = _runs(count, options.runs)
        busy = psutil.cpu_percent()
        items = count * PAPERS * PROMPTS
        each = [items / run.answering_s for run in runs]
        rates[count] = median(each)
        ideal = count * SLOTS / SERVICE_S
        figures += spread(
            f"{count} hosts: of slots / seconds a request", [one / ideal for one in each], least=LEAST
        )
        if rates.get(1) and count > 1:
            of_one = rates[count] / rates[1] / count
            figures.append(Figure(f"{count} hosts: of {count} times one host", of_one, least=LEAST))
        failed = sum(items - run.status.successful for run in runs)
        figures.append(Figure(f"{count} hosts: items without an answer", failed, most=0))
        figures.append(Figure(f"{count} hosts: both cores busy meanwhile", busy, "%"))
    figures += schedule_sim.linear(SEEDS)
    title = f"equal hosts, {SLOTS} slots of {SERVICE_S:g} s, {options.runs} runs; 35 in virtual time"
    return say(title, figures, as_json=options.as_json)


def _runs(count: int, runs: int) -> list[Ended]:
    fleet = [Machine(f"m{n}", SERVICE_S, SLOTS, output_tokens=SENTENCE) for n in range(count)]
    with room() as folder, engines(fleet, folder) as hosts, working(hosts) as (work, _):
        papers = write_papers(folder / "papers", count * PAPERS, WORDS, SENTENCE)
        return [answer(work, papers) for _ in range(runs)]


def _parse() -> argparse.Namespace:
    options = parser(__doc__, runs=3)
    options.add_argument("--hosts", type=int, nargs="+", default=[1, 3, 5, 10], help="so many in turn")
    return options.parse_args()


if __name__ == "__main__":
    sys.exit(main())
