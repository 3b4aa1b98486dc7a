"""Linux's thermal zones."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from worker_agent.meters.source import Seen, Source, read_text

ZONES = Path("/sys/class/thermal")
POSSIBLE_C = (0.0, 150.0)  # an idle sensor says 0 or -274


class Thermal(Source):
    """The hottest zone."""

    def __init__(self, zones: Path = ZONES) -> None:
        self._files = sorted(zones.glob("thermal_zone*/temp"))

    def read(self, engine: Sequence[int]) -> Seen:
        return Seen(temp_c=hottest_c(map(read_text, self._files)))

    @property
    def there(self) -> bool:
        return bool(self._files)


def hottest_c(texts: Iterable[str]) -> float | None:
    """Of thousandths of a degree, one a zone."""
    found = [int(text) / 1000 for text in texts if text.strip().lstrip("-").isdigit()]
    return max((temp for temp in found if POSSIBLE_C[0] < temp < POSSIBLE_C[1]), default=None)
