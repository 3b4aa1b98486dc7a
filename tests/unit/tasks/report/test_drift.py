"""A host that gets slower, or faster, while a cell of a benchmark runs: when that is said, and when not."""

import math
import random
from array import array
from collections.abc import Callable, Sequence

import pytest

from tasks.report.drift import drift, drift_words
from tasks.report.metric import VALUES
from tasks.report.sample import PLACE, Request

CELLS = 2000
EQUAL: dict[str, Callable[[random.Random], float]] = {
    "calm": lambda dice: dice.gauss(20, 0.4),
    "noisy": lambda dice: max(0.1, dice.gauss(20, 6)),
    "skewed": lambda dice: 20 * dice.lognormvariate(0, 0.8),
    "with stalls": lambda dice: 20 * (15 if dice.random() < 0.1 else dice.gauss(1, 0.05)),
    "rounded": lambda dice: float(dice.choice((19, 20, 20, 25))),
}


def requests(**figures: Sequence[float]) -> list[Request]:
    """One sent a second, with these figures; what is not given is unknown."""
    made = []
    for second, row in enumerate(zip(*figures.values(), strict=True)):
        values = array("d", [math.nan] * len(VALUES))
        for name, value in zip(figures, row, strict=True):
            values[PLACE[name]] = value
        made.append(Request("r", "a m", "q", None, second, second + 1, 16, 20, True, values, (None, None)))
    return made


@pytest.mark.parametrize("n", [10, 30, 64])
@pytest.mark.parametrize("kind", EQUAL)
def test_equal_requests_show_no_trend(kind: str, n: int) -> None:
    """Whatever their spread, fewer than one cell in a hundred is said to have drifted (seeded)."""
    dice = random.Random(1)
    draw = EQUAL[kind]
    found = sum(drift([draw(dice) for _ in range(n)]) is not None for _ in range(CELLS))
    assert found < CELLS / 100


@pytest.mark.parametrize("factor", [1.3, 1 / 1.3])
def test_a_drift_of_30_percent_is_found(factor: float) -> None:
    """The last third 30 % slower than the first, or faster: of 30 requests with a CV of 8 %, in 99 of 100
    cells whether it comes evenly or at once, and what is said is about as much (seeded)."""
    dice = random.Random(2)
    evenly = [
        factor ** ((place - 4.5) / 20) for place in range(30)
    ]  # in the middles of the thirds: 1, and the factor
    at_once = [1.0] * 15 + [factor] * 15
    for way in (evenly, at_once):
        found = [drift([step * dice.gauss(20, 1.6) for step in way]) for _ in range(1000)]
        ratios = sorted(ratio for ratio in found if ratio)
        assert len(ratios) >= 990
        assert ratios[len(ratios) // 2] == pytest.approx(factor, rel=0.05)


def test_what_is_sure_and_small_is_not_said() -> None:
    """9 % is nobody's worry, however sure; 12 % is told."""
    assert drift([100 + 9 * place / 20 for place in range(30)]) is None
    assert drift([100 + 13 * place / 20 for place in range(30)]) == pytest.approx(1.13, abs=0.01)


def test_what_cannot_be_told_is_not_said() -> None:
    """Nine requests in a row, and thirty that took the same, show nothing."""
    assert drift([float(place) for place in range(1, 10)]) is None
    assert drift([20.0] * 30) is None


def test_it_says_what_was_slower() -> None:
    """The tokens; where these have no times the first token; where that has none the whole answer."""
    hot = [20.0] * 10 + [25.0 + place / 10 for place in range(10)] + [31.4] * 10
    even, unknown = [50.0] * 30, [math.nan] * 30
    said = drift_words(requests(itl_ms=hot, ttft_ms=even, e2e_latency_s=even), 1)
    assert said == "the last third was 57 % slower than the first (tokens): it may have got hot"
    assert drift_words(requests(itl_ms=even, ttft_ms=hot, e2e_latency_s=hot), 1) is None
    assert "(first token)" in str(drift_words(requests(itl_ms=unknown, ttft_ms=hot, e2e_latency_s=even), 1))
    answers = drift_words(requests(itl_ms=unknown, ttft_ms=unknown, e2e_latency_s=hot[::-1]), 1)
    assert answers == (
        "the last third was 57 % faster than the first (whole answers): it may need more --warmup"
    )


def test_the_ends_of_a_loop_of_several_are_no_drift() -> None:
    """Eight begin at once, and as the loop ends fewer and fewer share the engine: that is no host that gets
    faster. One that does is named there too."""
    tail = [80.0 - step * 8 for step in range(8)]
    assert drift_words(requests(itl_ms=[120.0] * 8 + [80.0] * 16 + tail), 8) is None
    assert drift_words(requests(itl_ms=[120.0] * 8 + [80.0] * 8 + [60.0] * 8 + tail), 8)
    assert drift_words([], 8) is None
