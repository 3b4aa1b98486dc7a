"""NVIDIA's GPUs through NVML, with the extra `gpu` (nvidia-ml-py). Not verified on one.

`nvml` is what the GPUs that the engine's processes are on say; `nvml_all` is all GPUs, where none names a
process of the engine (in a container they count processes otherwise).
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from worker_agent.meters.energy import Joules
from worker_agent.meters.source import Seen, Source


@dataclass(slots=True)
class Gpu:
    """One device, and the joules it has used since the first look."""

    handle: Any
    used: Joules
    counts: bool = True  # it has an energy counter


class Nvidia(Source):
    """Memory and energy of the engine's GPUs."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._gpus = [
            Gpu(nvml.nvmlDeviceGetHandleByIndex(index), Joules())
            for index in range(nvml.nvmlDeviceGetCount())
        ]
        self._sum_j = 0.0

    @property
    def there(self) -> bool:
        return bool(self._gpus)

    def read(self, engine: Sequence[int]) -> Seen:
        now = time.monotonic()
        more_j = [self._more_j(gpu, now) for gpu in self._gpus]
        own = [self._own_bytes(gpu, set(engine)) for gpu in self._gpus]
        theirs = [index for index, used in enumerate(own) if used is not None]
        scope = theirs or range(len(self._gpus))
        known = [used for index in scope if (used := more_j[index]) is not None]
        self._sum_j += sum(known)
        energy = "nvml" if theirs else "nvml_all"
        memory = "nvml" if theirs and all(own[index] for index in theirs) else "nvml_all"
        vram = sum(filter(None, own)) if memory == "nvml" else self._all_bytes(scope)
        whole = len(known) == len(scope)
        return Seen(
            vram_bytes=vram,
            counter_j=self._sum_j if whole else None,
            memory=memory if vram else "",
            energy=energy if whole else "",
        )

    def close(self) -> None:
        for gpu in self._gpus:
            gpu.used.rest()

    def _all_bytes(self, scope: Sequence[int]) -> int | None:
        """All that is used on these GPUs, by whomever."""
        with suppress(self._nvml.NVMLError):
            memory = [self._nvml.nvmlDeviceGetMemoryInfo(self._gpus[index].handle) for index in scope]
            return sum(int(one.used) for one in memory)
        return None

    def _own_bytes(self, gpu: Gpu, engine: set[int]) -> int | None:
        """What processes of the engine have there; 0 where NVML does not say how much, None where none is."""
        found = [one.usedGpuMemory or 0 for one in self._running(gpu) if one.pid in engine]
        return sum(found) if found else None

    def _running(self, gpu: Gpu) -> list[Any]:
        running: dict[int, Any] = {}
        for kind in ("Graphics", "Compute"):  # Vulkan's are graphics; one that is both counts once
            with suppress(self._nvml.NVMLError):
                listed = getattr(self._nvml, f"nvmlDeviceGet{kind}RunningProcesses")(gpu.handle)
                running |= {one.pid: one for one in listed}
        return list(running.values())

    def _more_j(self, gpu: Gpu, now: float) -> float | None:
        """Since the last look: by its counter, where it has one (since Volta), else by its power."""
        before_j = gpu.used.read_j
        try:
            self._look(gpu, now)
        except self._nvml.NVMLError:
            return None
        return gpu.used.read_j - before_j

    def _look(self, gpu: Gpu, now: float) -> None:
        if gpu.counts:
            try:
                return gpu.used.counter(
                    now, self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle) / 1000
                )
            except self._nvml.NVMLError:
                gpu.counts = False
        gpu.used.power(now, self._nvml.nvmlDeviceGetPowerUsage(gpu.handle) / 1000)


def find() -> Nvidia | None:
    """None without the library, a driver, or a GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        found = Nvidia(pynvml)
    except pynvml.NVMLError:
        return None
    return found if found.there else None
