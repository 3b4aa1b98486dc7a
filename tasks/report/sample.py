"""From the rows of results to samples: one per host x model x concurrency x pair, prompts read anew told
from those in the cache, and everything that is no measurement counted by its reason. Pure; knows neither
Redis nor files.

A row is one entry of results.json with its `metrics` beside the other keys; what it lacks is unknown."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tasks.bench.cell import CLOSED, CONSTANT, POISSON, length_words
from tasks.intake.stages import FIRST as FIRST_STAGE
from tasks.report.metric import VALUES
from tasks.report.wording import simulated

Row = Mapping[str, Any]

CLOCKS_AGREE_S = 1.0  # nearer than this, what a clock is off is the way's as much as its own
CACHED_SHARE = 0.5  # of a prompt's tokens from the cache: it was not read anew
FIRST, CACHED = "first", "cached"
PARAMS = ("max_tokens", "temperature")  # by which answers are longer, or other ones
UNCOUNTED = ("estimate", "none")
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


def gather(rows: Iterable[tuple[str, Row]], per: str | None = None) -> Gathered:
    """Samples of (run id, row) pairs. `per`: `host` or `model` takes the other together, `pair` both,
    `engine` the hosts of one; None: host x model. The terms keep entries apart always."""
    found: dict[Cell, Sample] = {}
    nowhere: Counter[str] = Counter()
    still_open = answered = unpaired = 0
    clocks: dict[str, float] = {}
    for run, row in rows:
        if row.get("success") is None:
            still_open += 1
            continue
        answered += bool(row["success"])
        if row.get("host") and (offset_s := wrong_by_s(row)):
            clocks[row["host"]] = max(clocks.get(row["host"], 0.0), offset_s, key=abs)
        if per == "pair" and not row.get("pair_id"):
            unpaired += 1
            continue
        _take_failures(row, found, nowhere, per)
        if row["success"]:
            _take_answer(run, row, found, per)
    samples = _with_strays(found)
    one_stage = len({sample.cell.stage for sample in samples}) <= 1
    for sample in samples:
        _tell_prompts_apart(sample.requests)
        sample.cell = replace(sample.cell, stage=None) if one_stage else sample.cell
    return Gathered(samples, nowhere, still_open, answered, unpaired, clocks)


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


def _cell(row: Row, per: str | None, host: str | None) -> Cell:
    rate_rps, length = row.get("target_rps"), row.get("target_prompt_tokens")
    length = length if isinstance(length, int) else None
    cell = Cell(
        host,
        _model(row),
        row.get("concurrency"),
        None,
        bool(row.get("simulated")),
        rate_rps,
        length,
        stage=row.get("stage") or FIRST_STAGE,
        poisson=row.get("load_mode") == POISSON,
        time_scale=scale_of(row),
    )
    if per == "host":
        return replace(cell, model=None)
    if per == "model":
        return replace(cell, host=None)
    if per == "engine":  # a try of another host, or a failure, may not say its engine
        known = row.get("engine") if host == row.get("host") else None
        return replace(cell, host=None if known else host, engine=known)
    if per == "pair":
        return replace(cell, host=None, model=None, pair=row.get("pair_id"))
    return cell


def _sample(found: dict[Cell, Sample], cell: Cell) -> Sample:
    return found.setdefault(cell, Sample(cell))


def _take_failures(row: Row, found: dict[Cell, Sample], nowhere: Counter[str], per: str | None) -> None:
    """Every try counts where it failed, also of an item that another host then answered."""
    if row.get("reused_from") or _phase(row) != "measure":
        return
    tries = [(host, kind) for host, kind, *_ in row.get("failures") or ()]
    error = row.get("error")
    if error and row.get("host") and row.get("attempts") == 0:  # nobody was asked
        _sample(found, _cell(row, per, row["host"])).aside[error.get("type", "error")] += 1
        return
    if error and not tries:
        tries = [(row.get("host"), error.get("type", "error"))]
    for host, kind in tries:
        if host and row.get("host"):
            elsewhere = (
                host != row["host"]
            )  # then we do not know whether that one is simulated; all are or none
            _sample(found, _cell(row, per, host if elsewhere else row["host"])).failed[kind] += 1
        else:
            nowhere[kind] += 1


def _take_answer(run: str, row: Row, found: dict[Cell, Sample], per: str | None) -> None:
    sample = _sample(found, _cell(row, per, row.get("host")))
    if reason := _no_measurement(row):
        sample.aside[reason] += 1
        return
    sample.cut += bool(row.get("cut"))
    model = _model(row)
    sample.models |= {model} if model else set()
    sample.hosts |= {row["host"]} if row.get("host") else set()
    sample.asked |= set(_params(row))
    if model and row.get("model_digest"):
        sample.files.add((model, row["model_digest"]))
    sample.requests.append(_request(run, row))


def _prefill_tps(row: Row) -> float:
    """Of the tokens that were read: the engine's time is of these alone."""
    cached = figure(row, "cached_tokens")
    return _rate(row, "prompt_tokens", "server_prompt_eval_s", less=0.0 if math.isnan(cached) else cached)


def _params(row: Row) -> Iterator[tuple[str, float]]:
    params = row.get("params") or {}
    for name in PARAMS:
        value = figure(row if name in row else params, name)
        if not math.isnan(value):
            yield name, value


def _model(row: Row) -> str | None:
    model = row.get("model") or (row.get("response") or {}).get("model")
    return str(model) if model else None


def _phase(row: Row) -> str:
    return str(row.get("phase") or "measure")


def _no_measurement(row: Row) -> str | None:
    if _phase(row) != "measure":
        return _phase(row)
    if row.get("reused_from"):
        return "reused"
    if row.get("completion_tokens") == 0:
        return TOKENLESS
    return IN_PARTS if (row.get("windows") or 1) > 1 else None


def _request(run: str, row: Row) -> Request:
    values = array("d", [figure(row, metric.name) for metric in VALUES])
    late_s, from_due_s = figure(row, "dispatch_delay_s"), figure(row, "e2e_scheduled_latency_s")
    if not math.isnan(from_due_s):  # a host that stalls is charged for those who had to wait to be sent
        values[PLACE["e2e_latency_s"]] = from_due_s
    tokens, energy_j = figure(row, "completion_tokens"), figure(row, "energy_j")
    values[PLACE["energy_j_per_token"]] = energy_j / tokens if tokens else math.nan
    if math.isnan(values[PLACE["server_prefill_tps"]]) and row.get("engine") != "ollama":
        # Ollama leaves cached tokens out of the time and not out of the count.
        values[PLACE["server_prefill_tps"]] = _prefill_tps(row)
    if math.isnan(values[PLACE["server_decode_tps"]]):
        values[PLACE["server_decode_tps"]] = _rate(row, "completion_tokens", "server_eval_s")
    started_s = at_s(row, "started_at")
    took_s = figure(row, "stream_end_s")
    took_s = figure(row, "e2e_latency_s") if math.isnan(took_s) else took_s
    paper = row.get("paper_id") or row.get("file")
    prompt = row.get("prompt_sha256") or row.get("prompt_name")
    return Request(
        run=run,
        place=f"{row.get('host')} {_model(row)}",
        question=f"{paper or ''} {prompt or ''} {_first_asked(row)}",
        paper=paper,
        started_s=started_s,
        finished_s=started_s + took_s,
        tokens=tokens,
        prompt_tokens=figure(row, "prompt_tokens"),
        counted=row.get("token_count_source") not in UNCOUNTED,
        values=values,
        sources=(row.get("mem_source"), row.get("energy_source")),
        prompt=_cached(row),
        energy_every_s=figure(row, "energy_every_s"),
        late_s=0.0 if math.isnan(late_s) else late_s,
    )


def _first_asked(row: Row) -> str:
    """Of a later stage, whose instruction is the same for all: which question its chain began with, by its
    place, which is the same in every bundle. So two summarizers of one text were asked the same."""
    return str(row.get("parent") or "").rpartition("-")[2]


def _cached(row: Row) -> str | None:
    """By the engine's own count; None where it gives none, and may have read the same before."""
    cached, prompt = row.get("cached_tokens"), row.get("prompt_tokens")
    if cached is None or not prompt:
        if row.get("paper_id") or row.get("file"):
            return None
        # A benchmark marks its prompts, or says that it does not; a later stage reads another text each time.
        known = row.get("prompt_sha256") or row.get("prompt_name")
        return None if known and not row.get("load_mode") and not row.get("parent") else FIRST
    return CACHED if cached >= CACHED_SHARE * prompt else FIRST


def _tell_prompts_apart(requests: list[Request]) -> None:
    """Where the engine does not say: the first that a host was asked of a paper in a run had to read it, or
    without a paper, of a question."""
    first: dict[tuple[str, str, str], Request] = {}
    for request in requests:
        if not math.isnan(request.started_s):
            reading = (request.run, request.place, request.paper or request.question)
            known = first.setdefault(reading, request)
            if request.started_s < known.started_s:
                first[reading] = request
    for request in requests:
        if request.prompt is None:
            reading = (request.run, request.place, request.paper or request.question)
            request.prompt = CACHED if first.get(reading, request) is not request else FIRST


def _with_strays(found: dict[Cell, Sample]) -> list[Sample]:
    """Failures carry no model in a results file: they join their host's only one under the same terms. Tries
    elsewhere carry no engine: where engines are ranked, they join their host's."""
    for cell in [cell for cell, sample in found.items() if cell.host and not sample.requests]:
        engines = [c for c, own in found.items() if c.engine and cell.host in own.hosts]
        homes = [one for one in engines if replace(one, engine=None, host=cell.host) == cell]
        if len(homes) == 1:
            found[homes[0]].failed += found.pop(cell).failed
    for cell in [cell for cell, sample in found.items() if cell.model is None and not sample.requests]:
        alike = [one for one in found if (one.host, one.weight) == (cell.host, cell.weight) and one != cell]
        homes = [one for one in alike if found[one].requests]
        if len(homes) == 1:
            found[homes[0]].failed += found.pop(cell).failed
    return [found[cell] for cell in sorted(found, key=lambda cell: cell.name)]


def figure(row: Row, name: str) -> float:
    """NaN where it is unknown, or no number."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return math.nan
    return float(value)


def scale_of(row: Row) -> float | None:
    """What a simulated engine multiplied its times by; None where it is real, or says nothing."""
    scale = figure(row, "time_scale")
    return scale if row.get("simulated") and scale > 0 else None


def _rate(row: Row, count: str, seconds: str, less: float = 0.0) -> float:
    tokens, took_s = figure(row, count) - less, figure(row, seconds)
    return tokens / took_s if tokens > 0 and took_s > 0 else math.nan


def wrong_by_s(row: Row) -> float:
    """How far the clock that stamped the row was ahead of that of Redis, 0 where they agree or none knows."""
    offset_s = figure(row, "clock_offset_s")
    return offset_s if abs(offset_s) >= CLOCKS_AGREE_S and not row.get("reused_from") else 0.0


def at_s(row: Row, name: str) -> float:
    """A moment that the worker stamped, in seconds since 1970: by its own clock, or where that disagrees with
    the clock of Redis, by the latter. NaN where it is unknown."""
    return instant_s(row.get(name)) - wrong_by_s(row)


def instant_s(text: Any) -> float:
    """Seconds since 1970 of an ISO moment, NaN where it is none. One without an offset is UTC, as all are: by
    the reader's own time an hour would be lost or doubled where summer time ends."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError):
        return math.nan
