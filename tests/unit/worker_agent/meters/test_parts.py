"""Who of many requests used how much."""

import random

import pytest

from worker_agent.meters.parts import Reading, parts
from worker_agent.meters.recording import Recording
from worker_agent.meters.source import Seen


def counted(*pairs: tuple[float, float]) -> list[Reading]:
    """Of (instant, joules)."""
    return [Reading(at, "rapl", counter_j=joules) for at, joules in pairs]


def energies(readings, spans, others=()):
    return {key: part.energy_j for key, part in parts(readings, spans, others).items()}


def test_at_each_moment_the_power_goes_in_equal_parts_to_those_that_run():
    """10 W for a second, 30 W for the next: A alone 5 J, A and B 5 J and 15 J, B alone 15 J; each has the
    machine's mean power while it ran, which is not divided."""
    readings = counted((0.0, 100.0), (1.0, 110.0), (2.0, 140.0))
    found = parts(readings, {"a": (0.0, 1.5), "b": (0.5, 2.0)})
    assert found["a"].energy_j == pytest.approx(5 + 2.5 + 7.5)
    assert found["b"].energy_j == pytest.approx(2.5 + 7.5 + 15)
    assert found["a"].power_w == pytest.approx((10 + 15) / 1.5)
    assert found["b"].power_w == pytest.approx((5 + 30) / 1.5)
    assert (found["a"].source, found["a"].every_s) == ("rapl", 1.0)


def test_powers_are_joined_by_the_trapezoid_rule():
    """From 10 W to 30 W in a second are 20 J."""
    readings = [Reading(0.0, "macmon", power_w=10.0), Reading(1.0, "macmon", power_w=30.0)]
    assert energies(readings, {"a": (0.0, 1.0)}) == {"a": pytest.approx(20.0)}


def test_what_others_use_is_in_nobodys_part():
    """Another run's call beside a cell has its share, and so has nobody a share of the time when none ran."""
    readings = counted((0.0, 0.0), (1.0, 10.0), (2.0, 20.0), (3.0, 30.0))
    assert energies(readings, {"a": (0.0, 1.0)}, others=[(0.0, 1.0)]) == {"a": pytest.approx(5.0)}
    assert energies(readings, {"a": (0.0, 1.0), "b": (2.0, 3.0)}) == {
        "a": pytest.approx(10.0),
        "b": pytest.approx(10.0),
    }


def test_many_short_requests_between_two_readings_share_their_mean():
    """Ten a second, one after the other: each has a tenth, none is zero."""
    spans = {number: (number / 10, (number + 1) / 10) for number in range(10)}
    assert energies(counted((0.0, 0.0), (1.0, 50.0)), spans) == dict.fromkeys(range(10), pytest.approx(5.0))


def test_a_request_too_short_for_its_source_is_unknown():
    """50 ms alone between two readings a second apart: the joules of that second are nearly all the idle
    machine's, and it would have a twentieth of these. One of ten seconds has only its ends in doubt."""
    readings = counted(*((float(at), 10.0 * at) for at in range(13)))
    assert energies(readings, {"short": (0.4, 0.45)}) == {}
    assert energies(readings, {"long": (0.5, 10.5)}) == {"long": pytest.approx(100.0)}
    assert energies(readings, {"none": (0.5, 0.5)}) == {}


def test_a_counter_that_does_not_move_says_nothing():
    """No zero stands for unknown."""
    assert energies(counted((0.0, 5.0), (1.0, 5.0)), {"a": (0.0, 1.0)}) == {}


def test_what_was_not_read_is_unknown():
    """Before the first reading, after a source broke, over a counter that fell, between powers too far apart,
    and where there is none at all; the others have their parts."""
    spans = {"early": (-0.5, 0.5), "in": (0.5, 1.5), "late": (1.5, 2.5)}
    readings = counted((0.0, 0.0), (1.0, 10.0), (2.0, 20.0))
    assert energies(readings, spans).keys() == {"in"}
    fell = counted((0.0, 0.0), (1.0, 10.0), (2.0, 4.0), (3.0, 14.0))
    assert energies(fell, {"a": (0.0, 1.0), "b": (0.5, 1.5), "c": (2.0, 3.0)}).keys() == {"a", "c"}
    far = [Reading(0.0, "macmon", power_w=10.0), Reading(16.0, "macmon", power_w=10.0)]
    assert energies(far, {"a": (0.0, 16.0)}) == {}
    assert energies([], spans) == {}
    assert energies(readings, {}) == {}


@pytest.mark.parametrize("seed", range(20))
def test_all_parts_together_are_what_was_used_while_any_ran(seed):
    """Whoever came and went when, however the power changed."""
    rng = random.Random(seed)
    at, joules, readings = 1e5, 0.0, []
    while at < 1e5 + 30:
        readings.append(Reading(at, "nvml", counter_j=joules))
        length_s = rng.uniform(0.5, 1.5)
        at, joules = at + length_s, joules + length_s * rng.uniform(20, 300)
    end = readings[-1].at
    begins = [rng.uniform(1e5, end - 6) for _ in range(60)]
    spans = {number: (begin, begin + rng.uniform(0.1, 6)) for number, begin in enumerate(begins)}
    spans |= {-1: (1e5, 1e5 + 12), -2: (1e5 + 12, end)}  # somebody runs at any time
    found = parts(readings, spans)
    assert found.keys() == spans.keys()
    assert sum(one.energy_j for one in found.values()) == pytest.approx(readings[-1].counter_j)
    for key, (begin, finish) in spans.items():
        alone = parts(readings, {key: (begin, finish), "rest": (1e5, end)})[key]
        assert alone.power_w == pytest.approx(found[key].power_w), "the machine's, whoever else runs"


def test_the_figures_of_a_recording_have_no_zero():
    """By the names of the columns, for those it can tell of; less than half a millijoule is none."""
    recording = Recording(spans={0: (0.0, 1.0), 1: (1.0, 2.0)})
    for at, joules in ((0.0, 0.0), (1.0, 12.5), (2.0, 12.5004)):
        recording.saw(at, Seen(rss_bytes=1, memory="proc"))
        recording.saw(at, Seen(counter_j=joules, energy="rapl"))
    told = {"energy_j": 12.5, "power_w_mean": 12.5, "energy_source": "rapl", "energy_every_s": 1.0}
    assert recording.figures([]) == {0: told}
