"""Do intervals of a cell's energy keep their word, although its requests share readings of one power?

    python benchmarks/energy_intervals.py

Drawn are closed loops of equal requests (times vary by 8 %) on a machine whose power wanders by 10 %, and has
forgotten that after some seconds; its counter is read once a second, and divided as a worker does it.
Measured: how often the 95 % interval holds the median of all such cells, how often it would if the requests
were taken for independent, and how often `compare` finds a difference between equals. No clock is read: the
figures are the same on every machine. Half a minute of CPU; no Redis, no network.
"""

import heapq
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Figure, parser, say
from tasks.report import stats
from tasks.report.compare import Side, compare
from tasks.report.gather import gather
from tasks.report.metric import METRICS
from tasks.report.rank import rankings
from tasks.report.sample import Sample
from worker_agent.meters.parts import Reading, Span, parts

CELLS = 200
CV, WANDERS = 0.08, 0.1
STEP_S = 0.02  # of the drawn power
ENERGY = METRICS["energy_j"]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kind:
    """Cells of one kind: `requests` of about `took_s`, so many at a time."""

    at_once: int
    took_s: float
    requests: int
    wanders_s: float
    least: float | None = 90
    most: float | None = 12

    @property
    def words(self) -> str:
        each = f"{self.requests} of {self.took_s:g} s, {self.at_once} at a time"
        return f"{each}, power wanders in {self.wanders_s:g} s"


KINDS = (
    Kind(1, 3.0, 30, 1.0),
    Kind(1, 0.2, 150, 0.3),
    Kind(1, 0.2, 150, 1.0),
    Kind(
        1, 0.2, 150, 3.0, None, None
    ),  # slower than a spell: neighbours are alike, which no rule of ours sees
    Kind(4, 4.0, 48, 3.0),
    Kind(16, 4.0, 192, 1.0),
    Kind(16, 4.0, 192, 3.0),
)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    rng = np.random.default_rng(chosen.seed)
    figures = [figure for kind in KINDS for figure in _of(kind, rng)]
    return say("intervals of a cell's energy", figures, as_json=chosen.as_json)


def _of(kind: Kind, rng: np.random.Generator) -> Iterator[Figure]:
    cells = [_cell(kind, rng) for _ in range(CELLS)]
    values = [[request.value("energy_j") for request in cell.requests] for cell in cells]
    true = median(value for own in values for value in own)
    ranked = [rankings([cell], ENERGY)[0].entries[0] for cell in cells]
    held = sum(_holds(entry.interval, true) for entry in ranked) / CELLS
    yield Figure(kind.words, 100 * held, "%", least=kind.least)
    plain = sum(_holds(stats.of_median(sorted(own)), true) for own in values) / CELLS
    yield Figure("(as if requests were independent)", 100 * plain, "%")
    sides = [Side(name, cell) for name, cell in zip("ab" * (CELLS // 2), cells, strict=True)]
    made = [compare(one, other, ENERGY)[0] for one, other in pairwise(sides)]
    false = sum(bool(one.difference and one.difference.found) for one in made) / len(made)
    yield Figure("... and compare finds a difference of equals", 100 * false, "%", most=kind.most)


def _holds(interval: stats.Interval | None, true: float) -> bool:
    return interval is not None and interval.low <= true <= interval.high


def _cell(kind: Kind, rng: np.random.Generator) -> Sample:
    spans = _closed_loop(kind, rng)
    told = parts(_readings(max(end for _, end in spans), kind.wanders_s, rng), dict(enumerate(spans)))
    rows = [
        {
            "success": True,
            "host": "a",
            "model": "m",
            "load_mode": "closed",
            "concurrency": kind.at_once,
            "prompt_sha256": "p",
            "started_at": (BEGIN + timedelta(seconds=spans[item][0])).isoformat(),
            "stream_end_s": spans[item][1] - spans[item][0],
            "energy_j": part.energy_j,
            "energy_source": part.source,
            "energy_every_s": part.every_s,
        }
        for item, part in told.items()
    ]
    return gather(("run", row) for row in rows).samples[0]


def _closed_loop(kind: Kind, rng: np.random.Generator) -> Sequence[Span]:
    free = [0.0] * kind.at_once
    spans = []
    for took_s in rng.normal(kind.took_s, CV * kind.took_s, kind.requests):
        begin = heapq.heappop(free)
        spans.append((begin, begin + took_s))
        heapq.heappush(free, begin + took_s)
    return spans


def _readings(end: float, wanders_s: float, rng: np.random.Generator) -> list[Reading]:
    """Of a counter, once a second and at the end; 100 W times e to a first-order autoregression."""
    kept = np.exp(-STEP_S / wanders_s)
    pushes = rng.normal(0, WANDERS * np.sqrt(1 - kept**2), int(end / STEP_S) + 2)
    level, used_j = rng.normal(0, WANDERS), [0.0]
    for push in pushes:
        level = kept * level + push
        used_j.append(used_j[-1] + 100 * np.exp(level) * STEP_S)
    instants = [*np.arange(0, end, 1.0), end]
    counted = np.interp(instants, STEP_S * np.arange(len(used_j)), used_j)
    return [
        Reading(float(at), "counter", counter_j=float(joules))
        for at, joules in zip(instants, counted, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
