"""The figures of one call."""

import pytest

from worker_agent.completion import ModelMemory
from worker_agent.meters.metered import MIB, Metered
from worker_agent.meters.source import Seen


def test_what_nobody_saw_is_not_there():
    """No figure, no source, and no zero."""
    assert Metered("m").figures() == {}


def test_peaks_are_of_the_whole_window_and_the_delta_is_from_its_start():
    """System memory that was used before the call is not the call's."""
    metered = Metered("m")
    metered.saw(Seen(rss_bytes=100 * MIB, system_bytes=900 * MIB, memory="proc"), Seen(temp_c=50.0))
    metered.saw(Seen(rss_bytes=300 * MIB, system_bytes=1200 * MIB, memory="proc"), Seen(temp_c=61.04))
    metered.saw(Seen(system_bytes=800 * MIB, memory="proc"), Seen(throttled=False))  # the engine is gone
    assert metered.figures() == {
        "mem_rss_mib_peak": 300.0,
        "mem_system_used_mib_peak": 1200.0,
        "mem_system_delta_mib": 300.0,
        "mem_source": "proc",
        "temp_c_max": 61.0,
        "throttled": False,
    }


def test_the_model_is_what_the_engine_says_and_each_source_is_named():
    """NVML's figure of the GPU comes before the engine's own reckoning."""
    metered = Metered("m", engine_says=ModelMemory(600 * MIB, 500 * MIB, "ollama_ps"))
    assert metered.figures() == {
        "mem_model_mib": 600.0,
        "vram_used_mib_peak": 500.0,
        "mem_source": "ollama_ps",
    }
    metered.saw(Seen(vram_bytes=512 * MIB, memory="nvml"))
    assert metered.figures()["vram_used_mib_peak"] == 512.0
    assert metered.figures()["mem_source"] == "nvml+ollama_ps"


def test_energy_is_the_calls_part_and_power_the_machines():
    """A metered of many calls has all of the energy."""
    metered = Metered("m", took_s=4.0, used_j=80.0, part_j=20.0)
    metered.saw(Seen(power_w=20.0, energy="macmon"))
    assert metered.figures() == {"energy_j": 20.0, "power_w_mean": 20.0, "energy_source": "macmon"}
    whole = Metered("m", shared=False, took_s=4.0, used_j=80.0)
    assert whole.figures()["energy_j"] == 80.0


@pytest.mark.parametrize("used_j", [None, 0.0])
def test_a_call_too_short_for_its_energy_has_none(used_j):
    """A counter that did not move says nothing."""
    metered = Metered("m", took_s=0.001, used_j=used_j, part_j=used_j)
    metered.saw(Seen(counter_j=5.0, energy="rapl"))
    assert metered.figures() == {}
