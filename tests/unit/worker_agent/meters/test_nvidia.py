"""NVIDIA's GPUs, against a stand-in for pynvml that answers as NVML's documentation says: no GPU was here."""

from types import SimpleNamespace

import pytest

from worker_agent.meters import nvidia


class NotSupported(Exception):
    """NVML's, for what a device cannot tell."""


class Nvml:
    """Two GPUs; `counters_mj` None: they have no energy counter."""

    NVMLError = NotSupported

    def __init__(self):
        self.counters_mj = [5_000_000, 9_000_000]
        self.power_mw = [100_000, 30_000]
        self.running = [[], []]

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu):
        if self.counters_mj is None:
            raise NotSupported
        return self.counters_mj[gpu]

    def nvmlDeviceGetPowerUsage(self, gpu):
        return self.power_mw[gpu]

    def nvmlDeviceGetMemoryInfo(self, gpu):
        return SimpleNamespace(total=24 << 30, used=(gpu + 1) << 30)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu):
        return self.running[gpu]

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu):
        raise NotSupported


def on_gpu(pid, used):
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(nvidia.time, "monotonic", lambda: now[0])
    return now


def test_the_gpus_of_the_engine_count_and_no_other(clock):
    """Its own memory there, and the energy of that board alone."""
    nvml = Nvml()
    nvml.running = [[on_gpu(7, 3 << 30), on_gpu(99, 8 << 30)], [on_gpu(98, 1 << 30)]]
    source = nvidia.Nvidia(nvml)
    source.read([7, 8])
    clock[0], nvml.counters_mj = 1.0, [5_250_000, 9_900_000]
    seen = source.read([7, 8])
    assert (seen.vram_bytes, seen.memory) == (3 << 30, "nvml")
    assert (seen.counter_j, seen.energy) == (pytest.approx(250.0), "nvml")


def test_where_no_gpu_names_the_engine_all_count_and_it_says_so(clock):
    """In a container the numbers of processes are others."""
    nvml = Nvml()
    nvml.running = [[on_gpu(99, 8 << 30)], []]
    source = nvidia.Nvidia(nvml)
    source.read([7])
    clock[0], nvml.counters_mj = 1.0, [5_250_000, 9_100_000]
    seen = source.read([7])
    assert (seen.vram_bytes, seen.memory) == (3 << 30, "nvml_all")
    assert (seen.counter_j, seen.energy) == (pytest.approx(350.0), "nvml_all")


def test_a_gpu_that_does_not_say_how_much_is_the_engines_counts_whole(clock):
    """Under Windows' driver model it cannot tell; the energy is still that of the engine's board."""
    nvml = Nvml()
    nvml.running = [[], [on_gpu(7, None)]]
    seen = nvidia.Nvidia(nvml).read([7])
    assert (seen.vram_bytes, seen.memory, seen.energy) == (2 << 30, "nvml_all", "nvml")


def test_power_is_added_up_where_there_is_no_counter(clock):
    """Before Volta; by the trapezoid rule."""
    nvml = Nvml()
    nvml.counters_mj = None
    nvml.running = [[on_gpu(7, 1 << 30)], []]
    source = nvidia.Nvidia(nvml)
    source.read([7])
    clock[0], nvml.power_mw = 2.0, [200_000, 30_000]
    assert source.read([7]).counter_j == pytest.approx(300.0)


def test_a_model_that_moves_in_while_we_look_makes_no_jump(clock):
    """The counter goes on by what the GPUs in question used since, whichever these are."""
    nvml = Nvml()
    source = nvidia.Nvidia(nvml)
    source.read([7])
    clock[0], nvml.counters_mj = 1.0, [5_010_000, 9_010_000]
    assert source.read([7]).counter_j == pytest.approx(20.0)
    clock[0], nvml.counters_mj, nvml.running = 2.0, [5_110_000, 9_020_000], [[on_gpu(7, 1)], []]
    assert source.read([7]).counter_j == pytest.approx(120.0)
