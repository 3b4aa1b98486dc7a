"""When the requests of a benchmark come. Pure; instants are seconds after the first one could come."""

from random import Random

from tasks.bench.cell import POISSON


def constant(count: int, rate_rps: float) -> list[float]:
    """Evenly spaced, the first at once."""
    return [number / rate_rps for number in range(count)]


def poisson(count: int, rate_rps: float, seed: int) -> list[float]:
    """The gaps are exponential with mean 1 / rate, as requests come that know nothing of each other; the same
    for the same seed."""
    random, at_s, found = Random(seed), 0.0, []
    for _ in range(count):
        found.append(at_s)
        at_s += random.expovariate(rate_rps)
    return found


def offsets(mode: str, count: int, rate_rps: float, seed: int) -> list[float]:
    """As `mode` says: `constant` or `poisson`."""
    return poisson(count, rate_rps, seed) if mode == POISSON else constant(count, rate_rps)
