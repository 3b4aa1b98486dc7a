"""Samples: what is known of one host x model x terms x pair, as values. Pure."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tasks.bench.cell import CLOSED, CONSTANT, POISSON, length_words
from tasks.intake.stages import FIRST as FIRST_STAGE
from tasks.report.metric import VALUES
from tasks.report.wording import simulated

FIRST, CACHED = "first", "cached"
PARAMS = ("max_tokens", "temperature")  # by which answers are longer, or other ones
TRIED = TOKENLESS, IN_PARTS = "without a token", "read in parts"  # set aside, and asked all the same
PLACE = {metric.name: number for number, metric in enumerate(VALUES)}


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What is ranked; None where it is taken together, or does not apply."""

    host: str | None = None
    model: str | None = None
    concurrency: int | None = None
    pair: str | None = None
    simulated: bool = False
    rate_rps: float | None = None  # at which a benchmark sent requests
    length: int | None = None  # tokens, where a benchmark's prompts are of a set length
    engine: str | None = None  # where engines are ranked instead of hosts
    stage: str | None = None  # of a chain, where the answers are of several
    poisson: bool = False  # how requests came at a rate
    time_scale: float | None = None  # of a simulated engine, where it says

    @property
    def name(self) -> str:
        """`mac-1 · sim-8b · 1000 tokens · 4 at a time`"""
        return _joined(self._place, None if self.pair else self.model, self.terms, self.kind) or "all"

    @property
    def who(self) -> str:
        """The name without the terms: `mac-1 · sim-8b`."""
        return replace(self, concurrency=None, rate_rps=None, length=None, stage=None).name

    @property
    def terms(self) -> str:
        """In which stage of a chain, and how a benchmark asked: `1000 tokens · 4 at a time`; else nothing.
        Only like terms are ranked together."""
        length = length_words(self.length) if self.length else ""
        load = f"{self.concurrency} at a time" if self.concurrency else ""
        rate = f"{self.rate_rps:g} a second{' (poisson)' if self.poisson else ''}" if self.rate_rps else ""
        return _joined(self.stage, length, load, rate)

    @property
    def weight(self) -> tuple[str, int, float, bool, int]:
        """By which terms are put in order, the shortest prompts and the lightest load first."""
        stage = "" if self.stage in (None, FIRST_STAGE) else str(self.stage)
        return stage, self.length or 0, self.rate_rps or 0.0, self.poisson, self.concurrency or 0

    @property
    def load_mode(self) -> str | None:
        """How a benchmark's requests came; None elsewhere."""
        if self.rate_rps:
            return POISSON if self.poisson else CONSTANT
        return CLOSED if self.concurrency else None

    @property
    def _place(self) -> str | None:
        return self.pair or self.engine or self.host

    @property
    def kind(self) -> str:
        """`simulated`, with its pace; empty of a real one."""
        return simulated(self.time_scale) if self.simulated else ""


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)


@dataclass(slots=True)
class Request:
    """One measured answer. `values` in the order of VALUES, NaN where unknown."""

    run: str
    place: str  # host and model
    question: str  # paper and prompt, of a later stage those its chain began with
    paper: str | None
    started_s: float  # by its host's clock, or that of Redis where they disagree; NaN where unknown
    finished_s: float
    tokens: float
    prompt_tokens: float
    counted: bool
    values: "array[float]"
    sources: tuple[str | None, str | None]  # of memory and energy
    prompt: str | None = None  # FIRST or CACHED
    energy_every_s: float = math.nan  # of a benchmark: between the readings that its energy is told by
    late_s: float = 0.0  # sent after it was due, where a benchmark says when

    def value(self, name: str) -> float:
        return self.values[PLACE[name]]

    def for_limit(self, name: str) -> float:
        """As `value`, a wait for the first token from the moment the request was due."""
        return self.value(name) + (1000 * self.late_s if name in ("ttft_ms", "ttfo_ms") else 0.0)

    def apart(self, column: str | None) -> str | None:
        """What its values must be told apart by, for a metric's `apart`."""
        if column is None:
            return None
        return self.prompt if column == "prompt" else self.sources[column == "energy_source"]


@dataclass(slots=True)
class Sample:
    """What is known of a cell. `failed`: tries that failed there, by type; `aside`: answers that are no
    measurement, by reason. `cut` answers are among the requests, and said."""

    cell: Cell
    requests: list[Request] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    aside: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    models: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    asked: set[tuple[str, float]] = field(default_factory=set)  # parameters that decide how long answers are
    files: set[tuple[str, str]] = field(default_factory=set)  # models and their digests, where known

    @property
    def tries(self) -> int:
        """All of them, those included whose answers are no measurement."""
        return self.failed.total() + len(self.requests) + sum(self.aside[reason] for reason in TRIED)

    @property
    def error_rate(self) -> float | None:
        """Failed tries over all tries."""
        return self.failed.total() / self.tries if self.tries else None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything the rows said. `nowhere`: items that failed on no host, by type; `open`: not ended yet;
    `unpaired`: left out, because they end no pair's chain. `clocks`: hosts whose clock disagrees with that of
    Redis, and by how many seconds it is ahead, at worst."""

    samples: list[Sample]
    nowhere: Counter[str]
    open: int
    answered: int
    unpaired: int = 0
    clocks: dict[str, float] = field(default_factory=dict)


def merge(samples: Sequence[Sample], cell: Cell) -> Sample:
    """Several samples as one."""
    merged = Sample(cell)
    for sample in samples:
        merged.requests += sample.requests
        merged.failed += sample.failed
        merged.aside += sample.aside
        merged.cut += sample.cut
        merged.models |= sample.models
        merged.hosts |= sample.hosts
        merged.asked |= sample.asked
        merged.files |= sample.files
    return merged


def one_reading_each(requests: Iterable[Request]) -> list[Request]:
    """Of a benchmark's memory, which is measured once a cell and stands in each of its rows."""
    return list({(request.run, request.place): request for request in requests}.values())
