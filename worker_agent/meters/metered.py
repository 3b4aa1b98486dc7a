"""One call's time, or a benchmark cell's, and what was seen in it. Pure."""

from dataclasses import dataclass, field
from typing import Any

from worker_agent.completion import ModelMemory
from worker_agent.meters.source import Seen

MIB = 2**20


@dataclass(slots=True, eq=False)
class Metered:
    """Filled by a Meter while it is open, and read when it is closed. `shared`: of what the machine uses
    while several calls run, it has its part; else all."""

    model: str
    shared: bool = True
    began_at: float = 0.0
    took_s: float = 0.0
    used_j: float | None = None  # of the machine
    part_j: float | None = None  # of this call
    engine_says: ModelMemory | None = None
    peak: Seen = field(default_factory=Seen)
    _first_system_bytes: int | None = None
    _memory: set[str] = field(default_factory=set)
    _energy: set[str] = field(default_factory=set)

    def saw(self, *seen: Seen) -> None:
        """What each source saw while it was open, or just before."""
        for one in seen:
            self.peak = highest(self.peak, one)
            if self._first_system_bytes is None:
                self._first_system_bytes = one.system_bytes
            self._memory |= {one.memory} - {""}
            self._energy |= {one.energy} - {""}

    def figures(self) -> dict[str, Any]:
        """By the names of the columns; what is not known is not in it. No part of it is a zero that only
        means that nothing was seen."""
        peak, says = self.peak, self.engine_says
        energy_j = self.part_j if self.shared else self.used_j
        vram_bytes = says.vram_bytes if peak.vram_bytes is None and says else peak.vram_bytes
        known = {
            "mem_rss_mib_peak": _mib(peak.rss_bytes),
            "mem_system_used_mib_peak": _mib(peak.system_bytes),
            "mem_system_delta_mib": _mib(_less(peak.system_bytes, self._first_system_bytes)),
            "mem_model_mib": _mib(says.total_bytes if says else None),
            "vram_used_mib_peak": _mib(vram_bytes),
            "mem_source": "+".join(sorted(self._memory | ({says.source} if says else set()))) or None,
            "throttled": peak.throttled,
            "temp_c_max": peak.temp_c and round(peak.temp_c, 1),
        }
        if energy_j and energy_j > 0 and self.used_j and self.took_s > 0:
            known |= {
                "power_w_mean": round(self.used_j / self.took_s, 3),
                "energy_j": round(energy_j, 3),
                "energy_source": "+".join(sorted(self._energy)) or None,
            }
        return {name: value for name, value in known.items() if value is not None}


def highest(one: Seen, other: Seen) -> Seen:
    """The highest of each figure that has a peak."""
    return Seen(
        rss_bytes=_most(one.rss_bytes, other.rss_bytes),
        system_bytes=_most(one.system_bytes, other.system_bytes),
        vram_bytes=_most(one.vram_bytes, other.vram_bytes),
        throttled=_most(one.throttled, other.throttled),
        temp_c=_most(one.temp_c, other.temp_c),
    )


def _most(one: Any, other: Any) -> Any:
    return max((value for value in (one, other) if value is not None), default=None)


def _less(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / MIB, 1)
