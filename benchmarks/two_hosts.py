"""What llmq adds between two requests, where it weighs most: a fast host and a slow one, one slot each.

    python benchmarks/two_hosts.py [--papers 300] [--runs 3]

One prompt about each of 300 papers, a host of 25 ms a request and one of 500 ms. The makespan runs from the
first request sent to the last result committed, the ideal is all the work over both rates, with no time
between two requests. The pauses are the engine's own: from the end of a call in its slot to the begin of
the next, by the simulator's log; of them the worker's own part, from the end of a stream to the next
connection, by its stamps. `as computed` is what the run would take if nothing but that pause were lost.
After each run the same requests are made by benchmarks/pull_client.py. Bounds: 1.10 times the ideal,
nothing failed.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.pull_client import Seen, side_by_side
from benchmarks.room import (
    Figure,
    Machine,
    engines,
    ideal_s,
    parser,
    room,
    say,
    spread,
    working,
    write_papers,
)
from benchmarks.slot_time import losses, pauses_ms, spent

FLEET = (Machine("fast", 0.025, 1), Machine("slow", 0.5, 1))
MOST = 1.10


def main() -> int:
    options = _parse()
    with room() as folder, engines(FLEET, folder) as hosts, working(hosts) as (work, _):
        papers = write_papers(folder / "papers", options.papers)
        prompts = ["What is it about?"]
        seen = [side_by_side(work, hosts, papers, prompts) for _ in range(options.runs)]
    title = f"two hosts, 25 and 500 ms: {options.papers} papers x 1 prompt, {options.runs} runs"
    return say(title, _figures(seen, options.papers), as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__, runs=3)
    options.add_argument("--papers", type=int, default=300)
    return options.parse_args()


def _figures(seen: Sequence[Seen], items: int) -> list[Figure]:
    ideal = ideal_s(FLEET, items)
    pauses = [median(pauses_ms(one.calls, "fast")) for one in seen]
    own = [median(_own_ms(one)) for one in seen]
    pause_s = median(pauses) / 1000
    paused = [replace(machine, service_s=machine.service_s + pause_s) for machine in FLEET]
    lost = [losses(FLEET, spent(FLEET, one.calls, one.run.begun_at, one.run.ended_at), items) for one in seen]
    return [
        Figure("ideal", ideal, "s"),
        *spread("makespan / ideal", [one.run.answering_s / ideal for one in seen], most=MOST),
        Figure("start of the submit to the first request", median(one.run.starting_s for one in seen), "s"),
        *spread("fast host: pause between two requests, median", pauses, "ms"),
        *spread("... of that the worker's own", own, "ms"),
        Figure("as computed: 25 ms and that pause / ideal", ideal_s(paused, items) / ideal),
        *(Figure(f"lost: {what}: of the ideal", mean(one[what] for one in lost), "%") for what in lost[0]),
        *spread("plain pull client: makespan / ideal", [one.pulled.makespan_s / ideal for one in seen]),
        Figure("items failed", sum(one.run.status.failed for one in seen), most=0),
        Figure("requests the engines saw, per item", median(len(one.calls) / items for one in seen)),
    ]


def _own_ms(seen: Seen) -> list[float]:
    """Milliseconds from the end of each stream in the fast host's slot until the next connection is begun."""
    stamps = {
        result.item_id: result.metrics for result in seen.run.results if result.metrics.get("started_at")
    }
    own = [stamps[call.item] for call in seen.calls if call.machine == "fast" and call.item in stamps]
    return [
        1000 * (_sent_at(other) - _sent_at(one) - one["stream_end_s"]) - other["connect_ms"]
        for one, other in pairwise(own)
    ]


def _sent_at(stamps: dict[str, Any]) -> float:
    return datetime.fromisoformat(stamps["started_at"]).timestamp()


if __name__ == "__main__":
    sys.exit(main())
