"""From the rows of results to samples: prompts read anew told from those in the cache, and everything that is
no measurement counted by its reason. Pure; knows neither Redis nor files.

A row is one entry of results.json with its `metrics` beside the other keys; what it lacks is unknown."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tasks.bench.cell import POISSON
from tasks.intake.stages import FIRST as FIRST_STAGE
from tasks.report.metric import VALUES
from tasks.report.row import Row, at_s, figure, scale_of, wrong_by_s
from tasks.report.sample import (
    CACHED,
    FIRST,
    IN_PARTS,
    PARAMS,
    PLACE,
    TOKENLESS,
    Cell,
    Gathered,
    Request,
    Sample,
)

CACHED_SHARE = 0.5  # of a prompt's tokens from the cache: it was not read anew
UNCOUNTED = ("estimate", "none")


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


def _rate(row: Row, count: str, seconds: str, less: float = 0.0) -> float:
    tokens, took_s = figure(row, count) - less, figure(row, seconds)
    return tokens / took_s if tokens > 0 and took_s > 0 else math.nan


def _prefill_tps(row: Row) -> float:
    """Of the tokens that were read: the engine's time is of these alone."""
    cached = figure(row, "cached_tokens")
    return _rate(row, "prompt_tokens", "server_prompt_eval_s", less=0.0 if math.isnan(cached) else cached)
