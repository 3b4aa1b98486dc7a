"""When requests come, as a benchmark asks for it."""

from itertools import pairwise
from statistics import mean, pstdev

import pytest

from tasks.bench.arrivals import constant, offsets, poisson


def gaps(instants: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(instants)]


def test_constant_arrivals_are_evenly_spaced() -> None:
    """The first at once, then one every 1 / rate seconds."""
    assert gaps(constant(50, 4.0)) == pytest.approx([0.25] * 49)
    assert constant(1, 4.0) == [0.0]


def test_poisson_arrivals_are_exponential_and_repeatable() -> None:
    """Mean and spread of the gaps are 1 / rate, also of a different seed, which gives other instants."""
    first = gaps(poisson(20_000, 5.0, seed=1))
    assert mean(first) == pytest.approx(0.2, rel=0.03)
    assert pstdev(first) == pytest.approx(0.2, rel=0.05)
    assert sum(gap > 0.2 for gap in first) / len(first) == pytest.approx(0.368, abs=0.02), "memoryless"
    assert poisson(100, 5.0, seed=1) == poisson(100, 5.0, seed=1) != poisson(100, 5.0, seed=2)


def test_the_mode_says_which() -> None:
    """`constant` and `poisson`."""
    assert offsets("constant", 5, 2.0, seed=1) == constant(5, 2.0)
    assert offsets("poisson", 5, 2.0, seed=1) == poisson(5, 2.0, seed=1)
