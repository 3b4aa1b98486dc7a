"""Many requests under one meter, as those of a benchmark's cell: what was read meanwhile, and who ran when.

What each of them used is told when all are over, so none of them waits for a look. Pure.
"""

from dataclasses import dataclass, field
from typing import Any

from worker_agent.meters.parts import Reading, Span, parts
from worker_agent.meters.source import Seen


@dataclass(slots=True, eq=False)
class Recording:
    """Filled by a Meter while it is open. `spans` of its requests, and of the `others` that the same worker
    asked meanwhile, in instants of the meter's clock."""

    readings: list[Reading] = field(default_factory=list)
    spans: dict[int, Span] = field(default_factory=dict)
    others: list[Span] = field(default_factory=list)

    def saw(self, at: float, seen: Seen) -> None:
        """What a source told at that instant, if it told of energy."""
        if seen.counter_j is not None or seen.power_w is not None:
            self.readings.append(Reading(at, seen.energy, seen.counter_j, seen.power_w))

    def figures(self, running: list[Span]) -> dict[int, dict[str, Any]]:
        """Of each request of which they are known, by the names of the columns. `running`: others that go
        on."""
        found = parts(self.readings, self.spans, [*self.others, *running])
        told = {
            item: {
                "energy_j": round(part.energy_j, 3),
                "power_w_mean": round(part.power_w, 3),
                "energy_source": part.source or None,
                "energy_every_s": round(part.every_s, 3),
            }
            for item, part in found.items()
        }
        return {item: figures for item, figures in told.items() if figures["energy_j"]}  # never a zero
