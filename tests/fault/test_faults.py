"""What happens to machines, in short (`make chaos` is the long form): nothing is lost, nothing changes,
every item has one result, and the scenario says itself whether the fault was one."""

import os
from collections.abc import Callable

import pytest

from benchmarks.room import Figure
from tests.fault.clocks import clocks, faketime, wrong_clock
from tests.fault.kills import kills
from tests.fault.scene import Scene
from tests.fault.silence import partition, sleep, slow_redis
from tests.fault.storms import broker_loss

pytestmark = [pytest.mark.redis, pytest.mark.slow]
Stage = Callable[..., Scene]
THREE = {"hosts": 3, "slots": 2, "service_s": 0.5}


def hold(figures: list[Figure]) -> None:
    """Every figure is within its bound; all of them are shown where one is not."""
    assert all(figure.held for figure in figures), "\n" + "\n".join(figure.line() for figure in figures)


def test_kills(stage: Stage) -> None:
    """A worker is killed every few seconds and started anew. It takes back what its predecessor held:
    most of it runs again before a lease could end."""
    small = {"papers": 100, "times": 6, "most_twice": 4.0, "redelivered_s": 20.0}
    hold(kills(stage(hosts=3, slots=2, service_s=0.3), **small))


def test_partition(stage: Stage) -> None:
    """A worker is cut off from Redis while its engine answers: its bundles run elsewhere within 20 s, its
    late answers are ignored, and it takes work again by itself when the network is back."""
    hold(partition(stage(**THREE), papers=50, for_s=20.0))


def test_sleep(stage: Stage) -> None:
    """A busy and an idle worker sleep: what the one held and the message that the other was handed are made
    good, the second results are ignored, and both work again when they wake."""
    hold(sleep(stage(**THREE), papers=40, for_s=18.0))


def test_broker_loss(stage: Stage) -> None:
    """Redis dies and comes back without its last second: no item is lost, every worker goes on within
    30 s, and nothing that was there well before changes."""
    hold(broker_loss(stage(**THREE), papers=40, down_s=(5.0,), lost_s=1.0))


def test_slow_redis(stage: Stage) -> None:
    """A worker that is 200 ms away from Redis each way does its share; the end alone may be tried twice."""
    hold(slow_redis(stage(hosts=2, slots=2, service_s=0.3), papers=30))


def test_wrong_clocks(stage: Stage) -> None:
    """Two workers whose clocks are 20 minutes apart: items that take longer than a lease run once, and no
    waiting time is negative."""
    library = faketime()
    if library is None:
        (pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip)("no libfaketime here")
    hosts = {"ahead": wrong_clock(library, 10), "behind": wrong_clock(library, -10)}
    setting = {"hosts": hosts, "slots": 4, "service_s": 11.0, "LLMQ_LEASE_S": "10"}
    hold(clocks(stage(**setting), papers=8, prompts=1))
