"""RAPL, the energy counters of x86 processors, where we may read them (since 2020 root alone may)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker_agent.meters.source import Seen, Source, read_text

ZONES = Path("/sys/class/powercap")


@dataclass(slots=True)
class Package:
    """One processor's counter in microjoules, which begins again at `range_uj`."""

    file: Path
    range_uj: int
    last_uj: int | None = None

    def more_uj(self) -> int:
        """Since the last time. Raises ValueError where it cannot be read."""
        now_uj = int(read_text(self.file))
        before_uj, self.last_uj = self.last_uj, now_uj
        return 0 if before_uj is None else advanced(before_uj, now_uj, self.range_uj)


class Rapl(Source):
    """All processors together. Their memory and whatever else is in the machine are not in it."""

    def __init__(self, zones: Path = ZONES) -> None:
        self._packages = packages(zones)
        self._sum_j = 0.0

    @property
    def there(self) -> bool:
        return bool(self._packages)

    def read(self, engine: Sequence[int]) -> Seen:
        self._sum_j += sum(one.more_uj() for one in self._packages) / 1e6
        return Seen(counter_j=self._sum_j, energy="rapl")


def packages(zones: Path) -> list[Package]:
    """The readable zones of whole processors; `intel-rapl-mmio` would count them twice."""
    return [
        Package(zone / "energy_uj", int(read_text(zone / "max_energy_range_uj") or 0))
        for zone in sorted(zones.glob("intel-rapl:[0-9]*"))
        if read_text(zone / "name").startswith("package") and os.access(zone / "energy_uj", os.R_OK)
    ]


def advanced(before_uj: int, now_uj: int, range_uj: int) -> int:
    """How far a counter went that may have begun again."""
    return now_uj - before_uj + (range_uj if now_uj < before_uj else 0)
