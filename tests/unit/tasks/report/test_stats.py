"""Intervals and percentiles against known distributions; the long form is benchmarks/confidence.py."""

import math
import random

import numpy as np
import pytest

from tasks.report import stats

TRIALS = 1500


def coverage(draw, n: int) -> float:
    """How often the interval of the median holds the true one, 100."""
    held = 0
    for _ in range(TRIALS):
        interval = stats.of_median(sorted(draw() for _ in range(n)))
        assert interval
        held += interval.low <= 100 <= interval.high
    return held / TRIALS


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize("shape", ["normal", "log-normal"])
def test_a_95_percent_interval_holds_in_95_of_100(shape: str, n: int) -> None:
    """Whatever the shape, for few answers and for many; 1,500 samples are good for two points."""
    rng = random.Random(7)
    draws = {"normal": lambda: rng.gauss(100, 8), "log-normal": lambda: 100 * math.exp(rng.gauss(0, 0.5))}
    assert 0.93 <= coverage(draws[shape], n) <= 0.975


def test_a_percentile_is_blank_where_the_sample_cannot_carry_it() -> None:
    """p90 from 10 values on, p95 from 20, p99 from 100; the median always."""
    known = {}
    for n in (1, 9, 10, 19, 20, 99, 100):
        one = stats.summarize([float(k) for k in range(n)])
        known[n] = (one.p50 is not None, one.p90 is not None, one.p95 is not None, one.p99 is not None)
    assert [sum(known[n]) for n in known] == [1, 1, 2, 2, 3, 3, 4]


def test_percentiles_are_those_of_numpy() -> None:
    """Type 7, so that a reader who computes them from the CSV gets the same."""
    values = np.random.default_rng(3).gamma(2, 50, 137)
    one = stats.summarize(values.tolist())
    expected = np.percentile(values, [50, 90, 95, 99])
    assert [one.p50, one.p90, one.p95, one.p99] == pytest.approx(list(expected))
    assert (one.mean, one.std) == pytest.approx((values.mean(), values.std(ddof=1)))


def test_students_t_is_that_of_the_tables() -> None:
    """Two-sided 5 %, from 1 degree of freedom to many."""
    table = {1: 12.7062, 2: 4.3027, 4: 2.7764, 9: 2.2622, 29: 2.0452, 99: 1.9842, 100_000: 1.9600}
    assert {df: round(stats.t_quantile(df), 4) for df in table} == table


def test_too_few_values_have_no_interval() -> None:
    """Of five values even the smallest and the largest are not 95 % sure to lie around the median."""
    assert stats.of_median([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert stats.of_median([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) is not None
    assert stats.of_mean([1.0]) is None


def test_answers_of_one_paper_are_worth_less_than_as_many_papers() -> None:
    """Ten papers, each asked ten times with the very same time: worth ten answers; with times that do not
    depend on the paper: a hundred."""
    papers = [k // 10 for k in range(100)]
    alike = [float(paper) for paper in papers]
    rng = random.Random(1)
    unlike = [rng.gauss(100, 8) for _ in papers]
    assert stats.effective_n(alike, papers) == pytest.approx(10)
    assert stats.effective_n(unlike, papers) > 70
    assert stats.effective_n(alike, list(range(100))) == 100
    narrow, wide = stats.summarize(alike).interval, stats.summarize(alike, papers).interval
    assert narrow
    assert wide
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_a_difference_is_found_and_none_is_not_invented() -> None:
    """10 % at a spread of 8 % and n = 100: always; none: in at most 5 or so of 100."""
    rng = np.random.default_rng(5)
    found = sum(stats.of_medians(rng.normal(100, 8, 100), rng.normal(110, 8, 100)).found for _ in range(100))
    invented = sum(stats.of_medians(rng.normal(100, 8, 20), rng.normal(100, 8, 20)).found for _ in range(400))
    assert found >= 99
    assert invented <= 30


def test_the_same_samples_give_the_same_interval() -> None:
    """The bootstrap is seeded: a figure can be repeated."""
    a, b = [float(k % 7 + 1) for k in range(40)], [float(k % 5 + 2) for k in range(30)]
    assert stats.of_medians(a, b) == stats.of_medians(a, b)
    assert stats.of_medians(a, b, seed=2) != stats.of_medians(a, b)


def test_the_short_cut_of_the_bootstrap_is_the_bootstrap() -> None:
    """Medians of resamples that are not drawn are distributed as those that are, for odd and even n."""
    rng = np.random.default_rng(11)
    for n in (25, 26):
        values = np.sort(rng.lognormal(0, 0.5, n))
        drawn = np.median(rng.choice(values, (stats.RESAMPLES * 5, n)), axis=1)
        short = np.concatenate([stats._drawn_medians(values, None, rng) for _ in range(5)])
        for p in (2.5, 50, 97.5):
            assert np.percentile(short, p) == pytest.approx(np.percentile(drawn, p), rel=0.04)
        singles = stats._drawn_medians(values, list(range(n)), rng)
        assert float(np.std(singles)) == pytest.approx(float(np.std(drawn)), rel=0.1)


def test_pairs_see_through_papers_of_different_length() -> None:
    """Times differ tenfold between papers and by 5 % between sides: pairs find it, and samples do not."""
    rng = np.random.default_rng(2)
    papers = np.exp(rng.normal(0, 1, 60))
    a = papers * rng.normal(1, 0.03, 60)
    b = papers * rng.normal(1.05, 0.03, 60)
    assert stats.of_pairs(a.tolist(), b.tolist()).found
    assert not stats.of_medians(a.tolist(), b.tolist()).found
