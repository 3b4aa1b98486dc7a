"""Is a host that gets slower during a cell of a benchmark found, and is one that does not left in peace?

    python benchmarks/drifts.py

Measured: in how many cells of equal requests `tasks/report/change.py` sees a change; in how many it finds one
of 30 % that begins after 10 % to 80 % of them, or comes evenly; how long it takes over a thousand requests.
Times are log-normal. Of several at a time, half of the variance may be shared: each request has its own part,
and the mean of what the engine did while it ran, which its neighbours have as well. No clock is read but for
the last figure. Half a minute of CPU; no Redis, no network.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Figure, parser, say
from tasks.report.change import change

CALM, NOISY = 0.08, 0.3  # spread of the logarithms
STEP = np.log(1.3)
FALSE_TRIALS = 20_000
LOADED_TRIALS = 2000
FOUND_TRIALS = 500
SIZES = (30, 100, 300)
AFTER = (0.1, 0.2, 1 / 3, 0.5, 0.8)
SHARED = 0.5  # of the variance, by requests that ran together


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    rng = np.random.default_rng(chosen.seed)
    figures = [figure for part in (_equal, _loaded, _found, _found_loaded, _took) for figure in part(rng)]
    return say("hosts that drift during a cell", figures, as_json=chosen.as_json)


def _equal(rng: np.random.Generator) -> Iterator[Figure]:
    for n in (*SIZES, 10, 15):
        seen = _share(rng, FALSE_TRIALS, n, NOISY)
        yield Figure(f"equal requests, n = {n}: a change is seen", seen, "%", most=0.5)


def _loaded(rng: np.random.Generator) -> Iterator[Figure]:
    """What neighbours share looks like a change; no bound holds where that is half, and requests are few."""
    for at_once in (4, 16):
        for n in SIZES:
            seen = _share(rng, LOADED_TRIALS, n, NOISY, at_once)
            yield Figure(f"{at_once} at a time, nothing shared, n = {n}", seen, "%", most=0.7)
        for n in SIZES:
            seen = _share(rng, LOADED_TRIALS, n, NOISY, at_once, SHARED)
            yield Figure(f"{at_once} at a time, half of it shared, n = {n}", seen, "%")


def _found(rng: np.random.Generator) -> Iterator[Figure]:
    for spread in (CALM, NOISY):
        for n in SIZES:
            for after in AFTER:
                seen = _share(rng, FOUND_TRIALS, n, spread, step=_from(after, n))
                sure = spread == CALM and (n > 30 or after >= 0.2)
                what = f"30 % after {100 * after:.0f} %, spread {spread}, n = {n}: found"
                yield Figure(what, seen, "%", least=93 if sure else None)
            evenly = np.linspace(0, STEP, n)
            seen = _share(rng, FOUND_TRIALS, n, spread, step=evenly)
            yield Figure(f"30 % evenly, spread {spread}, n = {n}: found", seen, "%")


def _found_loaded(rng: np.random.Generator) -> Iterator[Figure]:
    for at_once in (4, 16):
        for shared in (0.0, SHARED):
            for n in SIZES:
                for after in (0.2, 0.5):
                    seen = _share(rng, FOUND_TRIALS, n, CALM, at_once, shared, _from(after, n))
                    half = "half of it" if shared else "nothing"
                    what = (
                        f"{at_once} at a time, {half} shared, 30 % after {100 * after:.0f} %, n = {n}: found"
                    )
                    yield Figure(what, seen, "%")


def _took(rng: np.random.Generator) -> Iterator[Figure]:
    values = _times(rng, 1000, NOISY, 16, SHARED).tolist()
    begun = time.perf_counter()
    for _ in range(20):
        change(values, 16)
    yield Figure("1,000 requests take", 1000 * (time.perf_counter() - begun) / 20, "ms", most=50)


def _from(after: float, n: int) -> np.ndarray:
    return np.where(np.arange(n) >= round(after * n), STEP, 0.0)


def _share(
    rng: np.random.Generator,
    trials: int,
    n: int,
    spread: float,
    at_once: int = 1,
    shared: float = 0.0,
    step: np.ndarray | float = 0.0,
) -> float:
    """Percent of the cells in which a change is seen."""
    cells = (_times(rng, n, spread, at_once, shared) * np.exp(step) for _ in range(trials))
    return 100 * sum(change(cell.tolist(), at_once) is not None for cell in cells) / trials


def _times(rng: np.random.Generator, n: int, spread: float, at_once: int, shared: float) -> np.ndarray:
    own = rng.normal(size=n)
    engine = np.convolve(rng.normal(size=n + at_once - 1), np.ones(at_once), "valid") / np.sqrt(at_once)
    return 20 * np.exp(spread * (np.sqrt(1 - shared) * own + np.sqrt(shared) * engine))


if __name__ == "__main__":
    sys.exit(main())
