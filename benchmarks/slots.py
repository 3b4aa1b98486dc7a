"""What `slots = "auto"` finds, and what finding it costs, on hosts that admit more than they are worth.

    python benchmarks/slots.py [--knees 1,3,8] [--papers 220]

Simulated machines admit sixteen requests and say so to nobody; up to their knee these run at full speed, more
of them share what the knee gives. Answers are short, of very different length, and some faster than others.
One machine at a time answers all papers x 3 prompts through a real worker: once with `slots = "auto"`, once
with the knee as its number. Bounds: the slots found within one of the knee; the run, search included, at 0.85
of the rate with the knee by hand; nothing failed.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import (
    Ended,
    Figure,
    Machine,
    answer,
    engines,
    parser,
    room,
    say,
    working,
    write_papers,
)
from tasks.hosts import HostRecord, live_hosts

ADMITTED = 16
PRESET, PROMPTS = "summary", 3
CAPACITY_S = 0.06  # of one answer, with all slots at work: every machine is as fast as the others, as a whole
LEAST = 0.85


def main() -> int:
    options = _parse()
    figures = []
    for knee in options.knees:
        figures += _measure(knee, options.papers)
    title = f"slots: {options.papers} papers x {PROMPTS} prompts on hosts that admit {ADMITTED}"
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument(
        "--knees", type=lambda text: [int(one) for one in text.split(",")], default=[1, 3, 8]
    )
    options.add_argument("--papers", type=int, default=220)
    return options.parse_args()


def _measure(knee: int, papers: int) -> list[Figure]:
    auto, record = _run(knee, papers, "auto")
    by_hand, _ = _run(knee, papers, knee)
    items = papers * PROMPTS
    answered = auto.status.successful + by_hand.status.successful
    return [
        Figure(f"knee {knee}: slots at the end", record.slots, record.slots_are),
        Figure(f"knee {knee}: off by", abs(record.slots - knee), most=1),
        Figure(f"knee {knee}: found, 1 or 0", record.slots_are == "found", least=1),
        Figure(f"knee {knee}: makespan, auto", auto.makespan_s, "s"),
        Figure(f"knee {knee}: makespan, by hand", by_hand.makespan_s, "s"),
        Figure(f"knee {knee}: rate / by hand", by_hand.makespan_s / auto.makespan_s, least=LEAST),
        Figure(f"knee {knee}: items without an answer", 2 * items - answered, most=0),
    ]


def _run(knee: int, papers: int, slots: int | Literal["auto"]) -> tuple[Ended, HostRecord]:
    """The run, and what the worker says of its host a moment later."""
    service_s = CAPACITY_S * knee
    machine = Machine("one", service_s, ADMITTED, knee=knee, output_spread=0.5, jitter=0.15)
    with room() as folder, engines([machine], folder) as plain:
        hosts = [replace(plain[0], slots=slots)]
        folder = write_papers(folder / "papers", papers)
        with working(hosts) as (work, _):
            ended = answer(work, folder, preset=PRESET)
            (record,) = live_hosts(work.client)
    return ended, record


if __name__ == "__main__":
    sys.exit(main())
