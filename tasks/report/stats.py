"""Statistics of a sample: percentiles, intervals, the bootstrap of a difference. Pure functions of numbers;
what they are chosen for stands in docs/methodology.md, how well they hold in benchmarks/confidence.py."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.95
LEAST_N = 10  # for a rank: below, an interval says little and a bootstrap is too narrow
LEAST_FOR = {50: 1, 90: 10, 95: 20, 99: 100}  # percentile -> values that can carry it
RESAMPLES = 4000
CELLS = 2_000_000  # of a bootstrap's matrix at a time: 16 MB
OF_RATES = "quotient of rates, Welch"
POWER_Z = 1.959964 + 0.841621  # 95 % sure, found in 8 of 10 cases


@dataclass(frozen=True, slots=True)
class Interval:
    """95 %: between `low` and `high`, found by `method`."""

    low: float
    high: float
    method: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a sample says. Percentiles are None where it is too small for them (LEAST_FOR), `std` below two
    values; `interval` is that of the median, None where there are too few independent values.
    `effective_n`: what the values are worth, where those of one paper resemble each other."""

    n: int
    effective_n: float
    mean: float
    std: float | None
    p50: float
    p90: float | None
    p95: float | None
    p99: float | None
    interval: Interval | None


def summarize(
    values: Sequence[float], groups: Sequence[Hashable] | None = None, most_worth: float = math.inf
) -> Summary:
    """Of at least one value. `groups`: what each value belongs to, where values of one group may be alike;
    `most_worth`: as many independent values they are at most."""
    ordered = sorted(values)
    n = len(ordered)
    mean = math.fsum(ordered) / n
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in ordered) / (n - 1)) if n > 1 else None
    worth = min(effective_n(values, groups) if groups is not None else float(n), most_worth)
    tail = {p: quantile(ordered, p / 100) if n >= least else None for p, least in LEAST_FOR.items()}
    return Summary(
        n, worth, mean, std, quantile(ordered, 0.5), tail[90], tail[95], tail[99], of_median(ordered, worth)
    )


def quantile(ordered: Sequence[float], p: float) -> float:
    """Linear between neighbours (Hyndman and Fan's type 7, numpy's default). `ordered` ascends."""
    return _at(ordered, p * (len(ordered) - 1))


def of_median(ordered: Sequence[float], worth: float | None = None) -> Interval | None:
    """The 95 % interval of the median, whatever the distribution: fractional order statistics (A. Hutson,
    J. Applied Statistics 26, 1999). `worth`: as many independent values as these are worth. None: too few."""
    n = len(ordered)
    worth = min(worth or n, n)
    share = _order_share(round(worth, 2))
    if share is None:
        return None
    place = share * (n + 1) - 1
    return Interval(_at(ordered, place), _at(ordered, n - 1 - place), "median, order statistics")


def of_mean(values: Sequence[float], method: str = "mean, t") -> Interval | None:
    """The 95 % t-interval of the mean; None below two values."""
    n = len(values)
    if n < 2:
        return None
    mean = math.fsum(values) / n
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1))
    half = t_quantile(n - 1) * std / math.sqrt(n)
    return Interval(mean - half, mean + half, method)


def effective_n(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """How many independent values these are worth: n over the design effect 1 + (m - 1) * rho (Kish), rho the
    correlation within groups by analysis of variance, m the size of a group weighted by itself."""
    members: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(value)
    n, k = len(values), len(members)
    if k == n or n < 2:
        return float(n)
    if k == 1:
        return 1.0
    mean = math.fsum(values) / n
    between = math.fsum(len(own) * (math.fsum(own) / len(own) - mean) ** 2 for own in members.values())
    within = math.fsum(
        math.fsum((x - math.fsum(own) / len(own)) ** 2 for x in own) for own in members.values()
    )
    size = math.fsum(len(own) ** 2 for own in members.values()) / n
    between_ms, within_ms = between / (k - 1), within / (n - k)
    usual = (n - size) / (k - 1)
    spread = between_ms + (usual - 1) * within_ms
    rho = min(max((between_ms - within_ms) / spread, 0.0), 1.0) if spread > 0 else 0.0
    return n / (1 + (size - 1) * rho)


@dataclass(frozen=True, slots=True)
class Difference:
    """A quotient a / b (of medians, means, or pairs), with its 95 % interval. `findable`: the smallest true
    quotient above 1 that samples like these would have shown in 8 of 10 cases."""

    ratio: float
    low: float
    high: float
    method: str
    findable: float

    @property
    def found(self) -> bool:
        return self.low > 1 or self.high < 1


def of_medians(
    a: Sequence[float],
    b: Sequence[float],
    seed: int = 1,
    groups: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    worth: tuple[int, int] | None = None,
) -> Difference:
    """The quotient of two samples' medians, by the bootstrap (percentiles of RESAMPLES resamples, seeded).
    With `groups`, whole groups are drawn; with `worth`, so many values of each, for they are worth no more.
    Values are above 0."""
    import numpy as np

    rng = np.random.default_rng(seed)
    drawn = [
        _drawn_medians(values, groups[side] if groups else None, rng, worth[side] if worth else None)
        for side, values in enumerate((a, b))
    ]
    widen = max(map(_few_groups, groups)) if groups else 1.0
    ratio = quantile(sorted(a), 0.5) / quantile(sorted(b), 0.5)
    return _difference(ratio, np.log(drawn[0]) - np.log(drawn[1]), "quotient of medians, bootstrap", widen)


def of_pairs(
    a: Sequence[float], b: Sequence[float], seed: int = 1, groups: Sequence[Hashable] | None = None
) -> Difference:
    """The median of the quotients a[k] / b[k], by the bootstrap over pairs, or whole groups of them."""
    import numpy as np

    quotients = np.asarray(a, float) / np.asarray(b, float)
    drawn = _drawn_medians(quotients, groups, np.random.default_rng(seed))
    widen = _few_groups(groups) if groups else 1.0
    ratio = float(np.median(quotients))
    return _difference(ratio, np.log(drawn), "median of paired quotients, bootstrap", widen)


def of_rates(ratio: float, a: Sequence[float], b: Sequence[float]) -> Difference:
    """The quotient of two rates, `ratio`, by Welch's t on the blocks of each, two or more. It is no quotient
    of the blocks' means: of blocks with as many answers in each, that mean is above the rate, the more so the
    more they differ."""
    (mean_a, var_a), (mean_b, var_b) = map(_mean_and_variance, (a, b))
    error = math.sqrt(var_a / mean_a**2 + var_b / mean_b**2)  # of the log of the quotient, to first order
    if not error:
        return Difference(ratio, ratio, ratio, OF_RATES, 1.0)
    parts = (var_a / mean_a**2, len(a) - 1), (var_b / mean_b**2, len(b) - 1)
    df = error**4 / math.fsum(part**2 / free for part, free in parts)
    half = t_quantile(df) * error
    return Difference(
        ratio, ratio * math.exp(-half), ratio * math.exp(half), OF_RATES, math.exp(POWER_Z * error)
    )


@lru_cache(maxsize=512)
def t_quantile(df: float, p: float = 0.5 + LEVEL / 2) -> float:
    """Student's t: the value with `p` of the probability below it, p above 1/2."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        above = _beta_share(df / 2, 0.5, df / (df + middle * middle)) / 2
        low, high = (middle, high) if 1 - above < p else (low, middle)
    return (low + high) / 2


@lru_cache(maxsize=4096)
def _order_share(n: float) -> float | None:
    """The place k / (n + 1) of the order statistic that lies above the median with 2.5 % chance."""
    chance = (1 - LEVEL) / 2
    if _beta_share(1, n, 0.5) < 1 - chance:  # even the smallest value may well lie above it
        return None
    low, high = 1.0, (n + 1) / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_share(middle, n + 1 - middle, 0.5) > 1 - chance else (low, middle)
    return (low + high) / 2 / (n + 1)


def _at(ordered: Sequence[float], place: float) -> float:
    """The value at a place between two of them; 0 is the first."""
    place = min(max(place, 0.0), len(ordered) - 1.0)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the variance of that mean."""
    n = len(values)
    mean = math.fsum(values) / n
    return mean, math.fsum((x - mean) ** 2 for x in values) / (n - 1) / n


def _drawn_medians(
    values: "Sequence[float] | np.ndarray",
    groups: Sequence[Hashable] | None,
    rng: "np.random.Generator",
    worth: int | None = None,
) -> "np.ndarray":
    """The medians of RESAMPLES resamples: how often each group is drawn weighs its values."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values, float)[order]
    if groups is None:
        return _middles(ordered, rng, worth or len(ordered))
    numbers: dict[Hashable, int] = {}
    own = np.array([numbers.setdefault(group, len(numbers)) for group in groups])[order]
    k = len(numbers)
    medians = np.empty(RESAMPLES)
    step = max(CELLS // len(ordered), 1)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        weights = rng.multinomial(k, np.full(k, 1 / k), size=rows)[:, own]
        reached = weights.astype(np.int32).cumsum(axis=1, dtype=np.int32)
        total = reached[:, -1:]
        lower = (2 * reached >= total).argmax(axis=1)
        upper = (2 * reached > total).argmax(axis=1)
        medians[start : start + rows] = (ordered[lower] + ordered[upper]) / 2
    return medians


def _middles(ordered: "np.ndarray", rng: "np.random.Generator", n: int) -> "np.ndarray":
    """The medians of resamples of `n` single values, without drawing them: the k-th smallest of n uniform
    numbers has a Beta(k, n + 1 - k) distribution, and a resample's k-th smallest is the value it falls on."""
    import numpy as np

    last = len(ordered) - 1
    k = (n + 1) // 2
    lower = rng.beta(k, n + 1 - k, RESAMPLES)
    upper = lower + (1 - lower) * rng.beta(1, n - k, RESAMPLES) if n % 2 == 0 else lower
    low, high = (np.minimum((u * len(ordered)).astype(int), last) for u in (lower, upper))
    middles: np.ndarray = (ordered[low] + ordered[high]) / 2
    return middles


def _few_groups(groups: Sequence[Hashable]) -> float:
    """How much wider an interval must be because a bootstrap over k groups takes their spread for known: as
    Student's t over the normal distribution, and n over n - 1."""
    k = len(set(groups))
    return t_quantile(k - 1) / 1.959964 * math.sqrt(k / (k - 1))


def _difference(ratio: float, logs: "np.ndarray", method: str, widen: float = 1.0) -> Difference:
    import numpy as np

    chance = (1 - LEVEL) / 2
    middle = math.log(ratio)
    low, high = (float(middle + widen * (q - middle)) for q in np.quantile(logs, [chance, 1 - chance]))
    findable = math.exp(POWER_Z * widen * float(np.std(logs)))
    return Difference(ratio, math.exp(low), math.exp(high), method, findable)


def _beta_share(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (Lentz's method,
    NIST DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    share = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            share *= c * d
        if abs(c * d - 1) < 1e-13:
            break
    return front * share / a
