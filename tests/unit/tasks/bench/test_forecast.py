"""How long a benchmark will still take."""

from tasks.bench.forecast import Forecast


def test_the_slowest_host_decides() -> None:
    """Ten requests in 10 s, and five in as much: 30 left of these are 60 s; what was there before counts for
    nothing."""
    forecast = Forecast()
    planned = {"fast": 40, "slow": 55}
    assert forecast.left_s(100.0, planned, {"fast": 0, "slow": 20}) is None
    assert forecast.left_s(110.0, planned, {"fast": 10, "slow": 25}) == 60.0


def test_nothing_is_said_before_every_host_has_a_pace() -> None:
    """A host that loads its model for a minute has none; one that has ended needs none."""
    forecast = Forecast()
    planned = {"a": 30, "b": 30}
    assert forecast.left_s(0.0, planned, {}) is None
    assert forecast.left_s(60.0, planned, {"a": 30}) is None
    assert forecast.left_s(70.0, planned, {"a": 30, "b": 10}) == 140.0
    assert forecast.left_s(90.0, planned, {"a": 30, "b": 30}) == 0.0
