"""How often a host with room for one model swaps it, when a run asks for several.

    python benchmarks/models.py [--papers 40] [--models 2] [--load-s 1] [--wire ollama]

One simulated machine of two slots holds one model in memory, and bringing in another takes a second. Every
paper is asked three prompts by every model. Loads are counted at the engine, from its start. The ideal is
every model loaded once and every slot busy in between. Bounds: as many loads as models, 1.3 times the ideal,
nothing failed.
"""

import argparse
import sys
from dataclasses import replace
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
    loads,
    parser,
    room,
    say,
    working,
    write_papers,
)
from worker_agent.config import ModelName

PRESET, PROMPTS = "summary", 3
SERVICE_S, SLOTS = 0.1, 2
MOST = 1.3


def main() -> int:
    options = _parse()
    names = tuple(f"sim-{n}b" for n in range(1, options.models + 1))
    machine = Machine("one", SERVICE_S, SLOTS, options.wire, names, resident=1, load_s=options.load_s)
    with room() as folder, engines([machine], folder) as plain:
        hosts = [replace(host, models=tuple(ModelName(name, name) for name in names)) for host in plain]
        papers = write_papers(folder / "papers", options.papers)
        with working(hosts) as (work, _):
            run = answer(work, papers, preset=PRESET, models=names)
        loaded, started = sum(loads(hosts).values()), sum(calls(hosts).values())
    title = f"models: {options.papers} papers x {PROMPTS} prompts x {len(names)} models, one in memory"
    figures = _figures(machine, run, options.papers * PROMPTS * len(names), loaded, started)
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--papers", type=int, default=40)
    options.add_argument("--models", type=int, default=2)
    options.add_argument("--load-s", type=float, default=1.0, help="what bringing in a model takes")
    options.add_argument("--wire", default="ollama", choices=["ollama", "lm_studio", "openai"])
    return options.parse_args()


def _figures(machine: Machine, run: Ended, items: int, loaded: int, started: int) -> list[Figure]:
    models = len(machine.models)
    ideal = ideal_s([machine], items) + models * machine.load_s
    return [
        Figure("ideal: every model loaded once, every slot busy", ideal, "s"),
        Figure("makespan", run.makespan_s, "s"),
        Figure("makespan / ideal", run.makespan_s / ideal, most=MOST),
        Figure("models", models),
        Figure("loads, counted at the engine", loaded, most=models),
        Figure("items without an answer", items - run.status.successful, most=0),
        Figure("requests the engine saw, per item", started / items, most=1.0),
    ]


if __name__ == "__main__":
    sys.exit(main())
