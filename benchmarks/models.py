"""How often a host with room for one model swaps it, when a run asks for several.

    python benchmarks/models.py [--papers 40] [--models 2] [--hosts 1] [--load-s 1] [--read-s 0.4]

A simulated machine of two slots holds one model in memory, and bringing in another takes a second. Every
paper is asked three prompts by every model. First all papers are there before the work begins; then they come
one by one, as large PDFs do, a little slower than they are answered. Loads are counted at the engine. The
ideal is every model loaded once and every slot busy in between, or as long as reading takes. Bounds: as many
loads as models on every host; 1.3 times the ideal; nothing failed. Where papers come one by one a single host
cannot hold both: with one load each, the second model begins after the last paper, at 1.44 times the ideal.
"""

import argparse
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import (
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
from tasks.intake.extract import Paper, extract_all
from tasks.intake.papers import PaperFile
from worker_agent.config import ModelName

PRESET, PROMPTS = "summary", 3
SERVICE_S, SLOTS = 0.1, 2
MOST = 1.3


def main() -> int:
    options = _parse()
    names = tuple(f"sim-{n}b" for n in range(1, options.models + 1))
    fleet = [
        Machine(f"m{n}", SERVICE_S, SLOTS, options.wire, models=names, resident=1, load_s=options.load_s)
        for n in range(options.hosts)
    ]
    figures = []
    for read_s in (0.0, options.read_s):
        figures += _measure(fleet, options.papers, read_s)
    title = f"models: {options.papers} papers x {PROMPTS} prompts x {len(names)} models, {len(fleet)} hosts"
    return say(title, figures, as_json=options.as_json)


def _measure(fleet: list[Machine], count: int, read_s: float) -> list[Figure]:
    models = fleet[0].models
    with room() as folder, engines(fleet, folder) as plain:
        hosts = [replace(host, models=tuple(ModelName(name, name) for name in models)) for host in plain]
        papers = write_papers(folder / "papers", count)
        with working(hosts) as (work, _), _reading(read_s):
            run = answer(work, papers, preset=PRESET, models=models)
        loaded, started = sum(loads(hosts).values()), sum(calls(hosts).values())
    items = count * PROMPTS * len(models)
    ideal = max(ideal_s(fleet, items) + len(models) * fleet[0].load_s / len(fleet), read_s * count)
    when = f"a paper every {read_s:g} s" if read_s else "all papers there"
    return [
        Figure(f"{when}: ideal", ideal, "s"),
        Figure(f"{when}: makespan", run.makespan_s, "s"),
        Figure(f"{when}: makespan / ideal", run.makespan_s / ideal, most=MOST),
        Figure(f"{when}: loads", loaded, most=len(models) * len(fleet)),
        Figure(f"{when}: items without an answer", items - run.status.successful, most=0),
        Figure(f"{when}: requests the engines saw, per item", started / items, most=1.0),
    ]


@contextmanager
def _reading(read_s: float) -> Iterator[None]:
    """Every paper takes so long to read."""

    def slowly(files: Iterable[PaperFile]) -> Generator[Paper, None, None]:
        for paper in extract_all(files):
            time.sleep(read_s)
            yield paper

    with patch("tasks.submit.extract_all", slowly):
        yield


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--papers", type=int, default=40)
    options.add_argument("--models", type=int, default=2)
    options.add_argument("--hosts", type=int, default=1)
    options.add_argument("--read-s", type=float, default=0.4, help="what reading a paper takes")
    options.add_argument("--load-s", type=float, default=1.0, help="what bringing in a model takes")
    options.add_argument("--wire", default="ollama", choices=["ollama", "lm_studio", "openai"])
    return options.parse_args()


if __name__ == "__main__":
    sys.exit(main())
