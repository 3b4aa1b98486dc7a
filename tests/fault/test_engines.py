"""Engines that fail and items that kill, in short (`make chaos` has the long form)."""

from collections.abc import Callable

import pytest

from tests.fault.engines import bad_engine
from tests.fault.poison import poison
from tests.fault.scene import Scene
from tests.fault.test_faults import hold

pytestmark = [pytest.mark.redis, pytest.mark.slow]
Stage = Callable[..., Scene]


def test_an_item_that_kills_is_set_aside(stage: Stage) -> None:
    """One item kills each worker that asks it: after three it alone ends as `poison`, all else is done."""
    hold(poison(stage(hosts=3, slots=2, service_s=0.3), papers=20, how="kill"))


def test_a_failing_engine_costs_no_time(stage: Stage) -> None:
    """One of three answers 500 to everything: its breaker leaves the work to the others."""
    hold(bad_engine(stage(hosts=3, slots=2, service_s=0.3), papers=20, fault="500"))


def test_a_hanging_engine_is_helped_out(stage: Stage) -> None:
    """One of two never says a word: the other, idle by then, takes its bundles over and then its items;
    nothing fails, and nobody waits for the ten minutes that a first token may take."""
    scene = stage(hosts=2, slots=2, service_s=0.3)
    well, bad = scene.sims
    scene.sims[bad].fault("hang")
    scene.staff.start()
    scene.submit(8)
    assert scene.wait(lambda: scene.left == 0, 60, "the run ends") < 40
    assert scene.sims[bad].calls()["started"] >= 1, "it had some of the work"
    assert scene.client.hget(f"llmq:counts:{scene.run_id}", f"successful:{well}") == "40"
