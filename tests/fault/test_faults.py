"""What happens to machines, in short (`make chaos` is the long form): nothing is lost, nothing changes,
every item has one result, and the scenario says itself whether the fault was one."""

from collections.abc import Callable

import pytest

from benchmarks.room import Figure
from tests.fault.kills import kills
from tests.fault.scene import Scene

pytestmark = [pytest.mark.redis, pytest.mark.slow]
Stage = Callable[..., Scene]


def hold(figures: list[Figure]) -> None:
    """Every figure is within its bound; all of them are shown where one is not."""
    assert all(figure.held for figure in figures), "\n" + "\n".join(figure.line() for figure in figures)


def test_kills(stage: Stage) -> None:
    """A worker is killed every few seconds and started anew: its bundles run again within 10 s."""
    hold(kills(stage(hosts=4, slots=2, service_s=0.3), papers=160, at_least=6, most_twice=3.0))
