"""The fleet and the job of distributed-llm-mac's README, through its own workers.json and `llmq run`.

    python benchmarks/seed_fleet.py [--factor 10]

Five simulated LM Studio machines (3, 2, 5, 3 and 2 requests at a time, 7.2 s each, all `--factor` times
faster here) answer 100 papers x 5 prompts. distributed-llm-mac itself, measured once with the same papers,
machines and its README's command: 150 of 500 answered in 73.5 s, the other 350 failed with "No available
workers". The makespan is compared with the ideal (all work over the fleet's rate); rates are those of the
machines at their real speed. Bound: nothing failed, 1.25 times the ideal.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import (
    LONGEST_RUN_S,
    MODEL,
    Figure,
    Machine,
    calls,
    engines,
    ideal_s,
    parser,
    pull_s,
    room,
    say,
    write_papers,
)
from worker_agent.config import Host

SERVICE_S = 7.2
SLOTS = {"imac-office": 3, "macbook-pro": 2, "mac-studio-lab": 5, "mac-mini-m1": 3, "macbook-air-m2": 2}
PAPERS, PROMPTS = 100, 5
MOST = 1.25
SEED_ANSWERED, SEED_S = 150, 73.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `llmq run` left: its summary, exit code, and the seconds of the whole command."""

    summary: dict[str, Any]
    exit_code: int
    command_s: float


def main() -> int:
    options = _parse()
    fleet = [Machine(name, SERVICE_S / options.factor, slots, "lm_studio") for name, slots in SLOTS.items()]
    with room() as folder, engines(fleet, folder) as hosts:
        write_papers(folder / "papers", PAPERS)
        outcome = _run(_workers_json(hosts, folder))
        started = sum(calls(hosts).values())
    title = f"the seed's fleet: {PAPERS} papers x {PROMPTS} prompts, {options.factor:g} times as fast"
    return say(title, _figures(fleet, outcome, started, options.factor), as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument(
        "--factor", type=float, default=10.0, help="how much faster than real (1: four minutes)"
    )
    return options.parse_args()


def _workers_json(hosts: Sequence[Host], folder: Path) -> Path:
    """The seed's own format, as in its README."""
    rows = [
        {
            "id": host.id,
            "host": "127.0.0.1",
            "port": urlsplit(host.url).port,
            "type": "lm_studio",
            "model": MODEL,
            "max_concurrent_requests": host.slots,
        }
        for host in hosts
    ]
    path = folder / "my_workers.json"
    path.write_text(json.dumps({"workers": rows}, indent=2))
    return path


def _run(workers_json: Path) -> Outcome:
    llmq = str(Path(sys.executable).with_name("llmq"))
    command = [llmq, "run", "papers", "--preset", "research", "--fleet", str(workers_json), "-o", "out.json"]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_RUN_S, check=False)
    if not Path("out.json").exists():
        raise SystemExit(f"llmq run failed: {done.stderr}")
    summary = json.loads(Path("out.json").read_text())
    return Outcome(summary, done.returncode, time.monotonic() - begun)


def _figures(fleet: list[Machine], outcome: Outcome, started: int, factor: float) -> list[Figure]:
    items, summary = PAPERS * PROMPTS, outcome.summary
    ideal, pull = ideal_s(fleet, items), pull_s(fleet, PAPERS, PROMPTS)
    makespan, answered = float(summary["total_time_seconds"]), int(summary["successful"])
    rate, capacity = answered / (makespan * factor), items / (ideal * factor)
    return [
        Figure("ideal: all work over the fleet's rate", ideal, "s"),
        Figure("slots that pull whole papers at no cost / ideal", pull / ideal),
        Figure("makespan", makespan, "s"),
        Figure("makespan / ideal", makespan / ideal, most=MOST),
        Figure("the whole command, workers' start and end included", outcome.command_s, "s"),
        Figure("items answered", answered, least=items),
        Figure("items answered by the seed tool", SEED_ANSWERED),
        Figure("items failed", summary["failed"], most=0),
        Figure("answers per second at real speed", rate, "1/s"),
        Figure("... / the fleet's capacity", rate / capacity),
        Figure("... of the seed tool / the fleet's capacity", SEED_ANSWERED / SEED_S / capacity),
        Figure("requests the engines saw, per item", started / items, most=1.0),
        Figure("exit code", outcome.exit_code, most=0),
    ]


if __name__ == "__main__":
    sys.exit(main())
