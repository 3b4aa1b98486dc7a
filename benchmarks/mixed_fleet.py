"""How busy llmq keeps machines of very different speed, to the end of a run; beside it a plain pull client.

    python benchmarks/mixed_fleet.py [--only uncached] [--scale 3] [--runs 3]

Five simulated machines (0.1, 0.2, 0.4, 0.7 and 1.0 s a request; 5, 3, 3, 2 and 2 slots) answer 100 papers x
5 prompts: first without a prefix cache, then with one (`prefix`), where those times are the answers' alone
and reading a paper takes 70 % of its first request. The makespan runs from the first request sent to the
last result committed; the ratio from the start of the submit, all workers ready, stands beside it. The
ideal is all the work over the fleet's rate: 6.46 s; with a prefix cache, what one slot computes that is
asked everything in order. After each run of llmq the same requests go to the same machines by
benchmarks/pull_client.py, first request sent to last answer stored. Then, from the simulators' logs, where
the time went. Bounds: 1.08 times the ideal (`prefix`: 1.12), nothing failed, at most 1 % asked twice.
`--scale` makes every request that much slower, so that the cores which five workers and five simulators
share matter less.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.pull_client import Seen, requests_of, side_by_side
from benchmarks.room import (
    Figure,
    Machine,
    engines,
    ideal_s,
    parser,
    pull_s,
    room,
    say,
    spread,
    working,
    write_papers,
)
from benchmarks.slot_time import WORK, losses, shares, spent
from tasks.request import asked
from worker_agent.simulator.answer import count_tokens
from worker_agent.simulator.slots import common_prefix

FLEET = (
    Machine("a", 0.1, 5),
    Machine("b", 0.2, 3),
    Machine("c", 0.4, 3),
    Machine("d", 0.7, 2),
    Machine("e", 1.0, 2),
)
PAPERS, PROMPTS = 100, 5
MOST = {"uncached": 1.08, "prefix": 1.12}
READING = 7 / 3  # of an answer's time: 70 % of a first request
LONG_WORDS, SENTENCE = 2000, 50  # where papers are read: 5,000 tokens, and answers of one sentence


def main() -> int:
    options = _parse()
    figures = []
    for variant in options.only or MOST:
        figures += _measure(variant, options)
    title = (
        f"mixed fleet: {options.papers} papers x {PROMPTS} prompts, {options.runs} runs, "
        f"time scale {options.scale:g}"
    )
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__, runs=3)
    options.add_argument("--only", action="append", choices=[*MOST], help="this variant (repeatable)")
    options.add_argument(
        "--scale", type=float, default=1.0, help="every request takes this many times longer"
    )
    options.add_argument("--papers", type=int, default=PAPERS)
    return options.parse_args()


def _measure(variant: str, options: argparse.Namespace) -> list[Figure]:
    fleet = [replace(one, service_s=one.service_s * options.scale) for one in FLEET]
    with room() as folder:
        size = (LONG_WORDS, SENTENCE) if variant == "prefix" else (300, None)
        papers = write_papers(folder / "papers", options.papers, *size)
        bodies = requests_of(papers, asked([papers]).manifest.prompts)
        ideal = ideal_s(fleet, len(bodies))
        if variant == "prefix":
            first_tokens = count_tokens(_text(bodies[0]))
            fleet = [_reading(machine, first_tokens) for machine in fleet]
            ideal *= 1 + READING * _tokens_once(bodies) / first_tokens / len(bodies)
        with engines(fleet, folder) as hosts, working(hosts) as (work, up_s):
            seen = [side_by_side(work, hosts, papers) for _ in range(options.runs)]
    figures = [Figure("ideal", ideal, "s"), Figure("workers ready after", up_s, "s")]
    figures += _figures(seen, ideal, len(bodies), MOST[variant])
    if variant == "uncached":
        pull = pull_s(fleet, options.papers, PROMPTS)
        figures.append(Figure("slots that pull whole papers at no cost / ideal", pull / ideal))
        figures += _where(fleet, seen, len(bodies))
    return [replace(figure, what=f"{variant}: {figure.what}") for figure in figures]


def _text(body: dict[str, Any]) -> str:
    """A request as the simulator counts it."""
    return "\n".join(message["content"] for message in body["messages"])


def _tokens_once(bodies: Sequence[dict[str, Any]]) -> float:
    """Prompt tokens that one slot computes which is asked everything in order."""
    held, tokens = "", 0
    for text in map(_text, bodies):
        tokens += count_tokens(text) - len(common_prefix(held, text).encode()) // 4
        held = text
    return tokens


def _reading(machine: Machine, first_tokens: int) -> Machine:
    prefill_tps = first_tokens / (READING * machine.service_s)
    return replace(
        machine,
        prefill_tps=prefill_tps,
        decode_tps=SENTENCE / machine.service_s,
        output_tokens=SENTENCE,
        window=16384,
    )


def _figures(seen: Sequence[Seen], ideal: float, items: int, most: float) -> list[Figure]:
    llmq = [one.run.answering_s for one in seen]
    return [
        *spread("makespan / ideal", [one / ideal for one in llmq], most=most),
        Figure("... from the start of the submit", median(one.run.makespan_s for one in seen) / ideal),
        Figure("start of the submit to the first request", median(one.run.starting_s for one in seen), "s"),
        *spread("plain pull client: makespan / ideal", [one.pulled.makespan_s / ideal for one in seen]),
        Figure("llmq / plain pull client", median(llmq) / median(one.pulled.makespan_s for one in seen)),
        Figure("items failed", sum(one.run.status.failed for one in seen), most=0),
        Figure("items without an answer", sum(items - one.run.status.successful for one in seen), most=0),
        Figure(
            "requests the engines saw, per item", median(len(one.calls) / items for one in seen), most=1.01
        ),
    ]


def _where(fleet: Sequence[Machine], seen: Sequence[Seen], items: int) -> list[Figure]:
    """Means over the runs."""
    parts = [list(spent(fleet, one.calls, one.run.begun_at, one.run.ended_at)) for one in seen]
    of_time, of_ideal = [shares(one) for one in parts], [losses(fleet, one, items) for one in parts]
    return [
        Figure("slot seconds at work", mean(one[WORK] for one in of_time), "%"),
        *(
            Figure(f"lost: {what}: of slot seconds", mean(one[what] for one in of_time), "%")
            for what in of_ideal[0]
        ),
        *(
            Figure(f"lost: {what}: of the ideal", mean(one[what] for one in of_ideal), "%")
            for what in of_ideal[0]
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
