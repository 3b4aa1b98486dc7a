"""Memory of the engine's processes, and of the whole machine."""

import re
import sys
from collections.abc import Sequence

from worker_agent.meters import by_psutil, proc
from worker_agent.meters.source import Seen, Source, read_text


class Memory(Source):
    """RAM that the engine has resident, and RAM that nobody else could have now."""

    def read(self, engine: Sequence[int]) -> Seen:
        if sys.platform == "linux":
            used = used_bytes(read_text("/proc/meminfo"))
            return Seen(proc.resident_bytes(engine), used, memory="proc")
        return Seen(by_psutil.resident_bytes(engine), by_psutil.used_bytes(), memory="psutil")


def used_bytes(meminfo: str) -> int | None:
    """RAM that is not available, of a /proc/meminfo: what files are cached in is available."""
    kib = {
        key: int(value) for key, value in re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", meminfo, re.M)
    }
    return (kib["MemTotal"] - kib["MemAvailable"]) * 1024 if len(kib) == 2 else None
