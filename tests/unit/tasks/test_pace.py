"""Rates by host, and when a run may end."""

import pytest

from tasks.pace import Pace, eta_s


def test_rates_are_of_the_last_minute() -> None:
    """What a host did long ago does not count, and a host that did nothing has no rate."""
    pace = Pace()
    pace.saw(0.0, {"old": 0, "fast": 0})
    pace.saw(50.0, {"old": 100, "fast": 0})
    pace.saw(100.0, {"old": 100, "fast": 100})
    pace.saw(120.0, {"old": 100, "fast": 140})
    assert pace.rates() == {"fast": 2.0}


def test_a_host_without_work_is_not_slow() -> None:
    """It did its share and waits: its rate stays what it was while it worked."""
    pace = Pace()
    for at, count in ((0.0, 0), (5.0, 10), (10.0, 20), (15.0, 20), (20.0, 20)):
        pace.saw(at, {"fast": count})
    assert pace.rates() == {"fast": 2.0}


def test_nothing_is_known_before_something_is_done() -> None:
    """No rate, no estimate; nothing left, nothing to wait for."""
    assert eta_s(10, 5, {}, {}) is None
    assert eta_s(0, 5, {}, {}) == 0.0


def test_equal_hosts_share() -> None:
    """Two hosts of one item a second each: 20 items in bundles of 5 take 10 s."""
    assert eta_s(20, 5, {"a": 1.0, "b": 1.0}, {"a": 1, "b": 1}) == pytest.approx(10.0)


def test_a_slow_host_that_takes_the_last_bundle_is_counted() -> None:
    """The sum of rates says 22 s; the slow host's bundle of 5 takes 50 s."""
    rates = {"fast": 1.0, "slow": 0.1}
    assert 24 / sum(rates.values()) < 22
    assert eta_s(24, 5, rates, {"fast": 1, "slow": 1}) == pytest.approx(50.0, rel=0.1)
