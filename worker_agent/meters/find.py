"""Which sources this machine has: memory always, one for energy, what there is of heat."""

import shutil
import sys

from worker_agent.meters import mac, nvidia, pi
from worker_agent.meters.memory import Memory
from worker_agent.meters.rapl import Rapl
from worker_agent.meters.source import Source
from worker_agent.meters.thermal import Thermal


def find_sources() -> list[Source]:
    """Each a new one; may take a second (NVIDIA's driver, a Mac's sudo)."""
    found: list[Source | None] = [Memory(), nvidia.find()]
    if sys.platform == "darwin":
        found.append(mac.find())
    if sys.platform == "linux":
        found += _of_linux(energy=found[-1] is None)
    return [source for source in found if source]


def _of_linux(*, energy: bool) -> list[Source]:
    """One energy alone: a sum of a GPU here and a processor there could not be compared."""
    thermal, rapl = Thermal(), Rapl()
    found: list[Source] = [thermal] if thermal.there else []
    if pi.is_pi():
        found.append(pi.Throttled())
        if energy and shutil.which("vcgencmd"):
            found.append(pi.Pmic())
    elif energy and rapl.there:
        found.append(rapl)
    return found
