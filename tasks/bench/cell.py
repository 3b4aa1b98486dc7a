"""A benchmark as values: what was asked (`Bench`), one cell's load (`Load`), and the cells in order. Pure.

A cell is one bundle that takes its whole host. Its items are requests: those of the warm-up first, then those
that are measured; the very first is `cold` where the model has just been loaded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Self

CLOSED, CONSTANT, POISSON = "closed", "constant", "poisson"
LEAST_REQUESTS = 30  # measured in a cell: below, a difference of 10 % is missed more often than found
TURNS = 4  # requests each of those at work gets at least, so that a cell is busy for most of its time
MOST_AT_ONCE = 64  # requests under way where arrivals are scheduled, and where a sweep ends
GAIN = 1.05  # what twice as many at a time must bring in throughput for a sweep to go on
COLD, WARMUP, MEASURE = "cold", "warmup", "measure"


@dataclass(frozen=True, slots=True)
class Load:
    """How the requests of one cell come: `concurrency` at a time (closed), or `rate_rps` of them a second,
    whatever the host makes of it. `warmup`: requests before those measured, the first one (which may be cold)
    not among them; `sweep`: the cell is one of a series that doubles; `length`: tokens each prompt has, where
    that is set."""

    mode: str
    concurrency: int | None
    rate_rps: float | None
    requests: int
    warmup: int
    cache_bust: bool = True
    shared: bool = False
    seed: int = 0
    sweep: bool = False
    length: int | None = None

    @property
    def aside(self) -> int:
        """How many come first and are not measured."""
        return 1 + self.warmup

    @property
    def items(self) -> int:
        return self.aside + self.requests

    @property
    def words(self) -> str:
        """`4 at a time`, `2 a second (poisson)`, `1000 tokens, 4 at a time`"""
        length = f"{length_words(self.length)}, " if self.length else ""
        if self.rate_rps:
            return f"{length}{self.rate_rps:g} a second ({self.mode})"
        return f"{length}{self.concurrency} at a time"

    @property
    def at_once(self) -> int:
        """The most requests under way."""
        return self.concurrency or MOST_AT_ONCE

    @classmethod
    def from_fields(cls, record: dict[str, Any]) -> Self:
        """A newer llmq may say more."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})


@dataclass(frozen=True, slots=True)
class Bench:
    """What a person asked for. `hosts` and `models` are empty where all are meant; `requests` 0: as many as
    the load needs; `sweep`: double the concurrency while it helps; `lengths`: of prompts, in tokens, each
    with every load; the manifest has a prompt for each, in this order."""

    hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    concurrency: tuple[int, ...] = (1,)
    rates: tuple[float, ...] = ()
    arrivals: str = CONSTANT
    requests: int = 0
    warmup: int = 3
    cache_bust: bool = True
    shared: bool = False
    sweep: bool = False
    seed: int = 0
    lengths: tuple[int, ...] = ()

    def loads(self) -> tuple[Load, ...]:
        """Those of each host and model, in order; of a sweep the first."""
        return tuple(load for length in self.lengths or (None,) for load in self._of_length(length))

    def at(self, concurrency: int, length: int | None = None) -> Load:
        """A closed loop of so many at a time."""
        requests = self.requests or max(LEAST_REQUESTS, TURNS * concurrency)
        return self._load(CLOSED, concurrency, None, requests, length)

    def prompts_of(self, load: Load, prompts: int) -> tuple[int, ...]:
        """Which prompt each item of a cell asks: all in turn, the measured ones from the first on; of a set
        length its own."""
        if load.length:
            return (self.lengths.index(load.length),) * load.items
        return prompts_of(load, prompts)

    def _of_length(self, length: int | None) -> tuple[Load, ...]:
        if self.rates:
            return tuple(self._at_rate(rate, length) for rate in self.rates)
        return tuple(self.at(many, length) for many in ((1,) if self.sweep else self.concurrency))

    def _at_rate(self, rate_rps: float, length: int | None) -> Load:
        return self._load(self.arrivals, None, rate_rps, self.requests or LEAST_REQUESTS, length)

    def _load(
        self, mode: str, concurrency: int | None, rate_rps: float | None, requests: int, length: int | None
    ) -> Load:
        return Load(
            mode,
            concurrency,
            rate_rps,
            requests,
            self.warmup,
            self.cache_bust,
            self.shared,
            self.seed,
            self.sweep,
            length,
        )

    @classmethod
    def from_fields(cls, record: dict[str, Any]) -> Self:
        known = {one.name for one in fields(cls)}
        listed: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in record.items()
            if name in known
        }
        return cls(**listed)


def prompts_of(load: Load, prompts: int) -> tuple[int, ...]:
    """Which prompt each item asks: all in turn, the measured ones from the first on."""
    before = [number % prompts for number in range(load.aside)]
    return (*before, *(number % prompts for number in range(load.requests)))


def length_words(length: int) -> str:
    """`1000 tokens`"""
    return f"{length} tokens"


def phase_of(load: Load, item: int, *, just_loaded: bool) -> str:
    if item >= load.aside:
        return MEASURE
    return COLD if item == 0 and just_loaded else WARMUP


def busted(prompt: str, mark: str) -> str:
    """The prompt behind a mark that no other request has, so that no engine has read its beginning before."""
    return f"[{mark}] {prompt}"


def places(hosts: Sequence[tuple[str, Sequence[str]]], models: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Host by host its models: those named, or what it has."""
    for host, own in hosts:
        for model in dict.fromkeys(models or own):
            yield host, model


def knee(levels: Sequence[tuple[int, float]]) -> int | None:
    """The concurrency that is enough, of (concurrency, throughput) in rising order: the first that twice as
    many do not better by 5 %. None: not found yet."""
    for (few, before), (_, after) in pairwise(levels):
        if after < GAIN * before:
            return few
    return None
