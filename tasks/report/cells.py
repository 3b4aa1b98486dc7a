"""A benchmark cell by cell: what each measured, and what keeps its figures from being taken as they stand.
The notes are the point: whatever is wrong with a cell is said beside it, never averaged away."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any

from tasks.bench.asked import missing_hosts
from tasks.bench.cell import LEAST_REQUESTS, MOST_AT_ONCE, knee, length_words
from tasks.bench.lengths import PER_WORD
from tasks.bench.progress import noted
from tasks.report.collect import Report
from tasks.report.drift import drift_words
from tasks.report.figures import LATE_MS, SATURATED_PCT, late_ms
from tasks.report.gather import gather
from tasks.report.metric import METRICS
from tasks.report.rate import rate_of
from tasks.report.remarks import clock_note, counted
from tasks.report.row import scale_of, wrong_by_s
from tasks.report.rows import of_report
from tasks.report.sample import Request
from tasks.report.shortfall import shortfalls
from tasks.report.wording import several, simulated, some
from tasks.work import Bundle

FEW = 10  # below, no rank
OFF = 0.05  # of the length that prompts were to have: beyond, it is said
LATE_S = 0.05  # of half the requests: arrivals no longer come as scheduled
CUT = " cut at --max-tokens"
FEW_LATE = 0.05  # of the requests: a thread that was held up now and then says little
FIGURES = ("ttft_ms", "itl_ms", "output_tps")


@dataclass(frozen=True, slots=True)
class CellRow:
    """One cell. `n` measured requests have ended, `ok` of them well; medians, rates; None: not known.
    `prompt_tokens`: the median of what the engine counted.
    `done`: the share that had ended where the cell was interrupted; 1: all of it, 0: not begun."""

    host: str
    model: str
    load_mode: str
    concurrency: int | None
    target_rps: float | None
    target_prompt_tokens: int | None
    prompt_tokens: float | None
    n: int
    ok: int
    ttft_ms: float | None
    itl_ms: float | None
    output_tps: float | None
    system_output_tps: float | None
    rps: float | None
    goodput_rps: float | None
    error_rate: float | None
    done: float
    notes: tuple[str, ...]
    load: str  # in words
    simulated: bool  # as far as is known: before the first answer of the cell, nobody says
    time_scale: float | None = None  # what its simulated times were multiplied by

    @property
    def called(self) -> str:
        """Its host, and whether it is one."""
        return f"{self.host} ({simulated(self.time_scale)})" if self.simulated else self.host


def cell_rows(
    report: Report,
    limits: Mapping[str, float],
    interrupted: Mapping[int, float],
    slots: Mapping[str, int],
) -> list[CellRow]:
    """Every planned cell, in order. `interrupted`: the share done, by cell; `slots` of each host."""
    bundles = dict(report.runs.bundles(report.manifest.run_id))
    rows = {number: list(group) for number, group in groupby(_numbered(report), key=lambda one: one[0])}
    prompts = [prompt.name for prompt in report.manifest.prompts]
    return [
        _cell(
            bundle,
            [row for _, row in rows.get(number, ())],
            limits,
            interrupted.get(number, 0.0),
            slots,
            prompts,
        )
        for number, bundle in bundles.items()
    ]


def beside_cells(report: Report, slots: Mapping[str, int]) -> Iterator[str]:
    """Of a benchmark: what is said of its cells, those included that have no figures yet, and of hosts that
    have none."""
    if report.manifest.bench:
        interrupted = noted(report.runs.ledger, report.manifest.run_id)
        cells = cell_rows(report, {}, interrupted, slots)
        yield from told_once(cells, named=len(cells))
        for host in sorted(missing_hosts(report.manifest)):
            yield f"{host} is not measured: it has taken no work since the benchmark began"


def told_once(cells: Sequence[CellRow], named: int = 3) -> Iterator[str]:
    """The notes of all cells; what is said of several cells is said once, and names so many of them. A note
    that counts says that it does so of each. Answers that were cut, which are measurements, come last and in
    one line: what is wrong with a cell is not to be looked for between them."""
    of: dict[str, list[str]] = {}
    cut: dict[str, int] = {}
    for cell in cells:
        place = f"{cell.host} · {cell.model} · {cell.load}"
        for note in cell.notes:
            if note.endswith(CUT):
                cut[place] = int(note.removesuffix(CUT))
            else:
                of.setdefault(note, []).append(place)
    for note, places in of.items():
        yield f"{_who(places, len(cells), named, counts=note[0].isdigit())}: {note}"
    if cut:
        counts = dict.fromkeys(str(count) for count in (min(cut.values()), max(cut.values())))
        yield f"{_who([*cut], len(cells), named, counts=True)}: {' to '.join(counts)}{CUT}"


def _who(places: list[str], cells: int, named: int, *, counts: bool) -> str:
    if len(places) == cells > 1:
        return "each cell" if counts else "all cells"
    return some(places, named) + (", each" if counts and len(places) > 1 else "")


def knee_lines(cells: Sequence[CellRow], requests: int) -> list[str]:
    """Of each series of a sweep (host, model, perhaps a length): the concurrency that is enough, if it was
    found; `requests` bound how far it was looked for, 0: nothing did."""
    series: dict[str, list[CellRow]] = {}
    for cell in cells:
        length = [length_words(cell.target_prompt_tokens)] if cell.target_prompt_tokens else []
        series.setdefault(" · ".join([cell.host, cell.model, *length]), []).append(cell)
    return [f"{name}: {_knee_words(levels, requests)}" for name, levels in series.items()]


def _knee_words(levels: Sequence[CellRow], requests: int) -> str:
    many = knee([(cell.concurrency or 0, cell.system_output_tps or 0.0) for cell in levels])
    if many is None:
        twice = 2 * (levels[-1].concurrency or 0)
        bound = 0 < requests < twice <= MOST_AT_ONCE
        return "no knee was found" + (f"; {requests} requests are never {twice} at a time" if bound else "")
    failed = {cell.concurrency: f"{100 * cell.error_rate:.0f} % failed" for cell in levels if cell.error_rate}
    here = f" ({failed[many]})" if many in failed else ""
    beyond = (
        f"of twice as many {failed[2 * many]}" if 2 * many in failed else "twice as many bring less than 5 %"
    )
    return f"{many} at a time are enough{here}; {beyond}"


def _numbered(report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    for _, row in of_report(report):
        yield int(row["item_id"].rsplit("-", 2)[1]), row


def _cell(
    bundle: Bundle,
    rows: Sequence[dict[str, Any]],
    limits: Mapping[str, float],
    done: float,
    slots: Mapping[str, int],
    prompts: Sequence[str],
) -> CellRow:
    load = bundle.load
    assert load
    ended = [row for row in rows if row["success"] is not None and row.get("phase") == "measure"]
    measured = [row for row in ended if row["success"] or row.get("attempts") != 0]
    requests = [one for sample in gather(("", row) for row in measured).samples for one in sample.requests]
    ok = sum(bool(row["success"]) for row in measured)
    medians = {name: _median(requests, name) for name in FIGURES}
    short = shortfalls(load, bundle.prompts, prompts) if requests else ()
    return CellRow(
        bundle.host or "",
        bundle.model or "",
        load.mode,
        load.concurrency,
        load.rate_rps,
        load.length,
        _middle(one.prompt_tokens for one in requests),
        len(measured),
        ok,
        **medians,
        system_output_tps=rate_of(requests, METRICS["system_output_tps"], {}).value,
        rps=rate_of(requests, METRICS["rps"], {}).value,
        goodput_rps=rate_of(requests, METRICS["goodput_rps"], limits).value if limits else None,
        error_rate=(len(measured) - ok) / len(measured) if measured else None,
        done=1.0 if ended else done,
        notes=(*_notes(bundle, rows, measured, requests, done, slots), *short),
        load=load.words,
        simulated=any(row.get("simulated") for row in rows),
        time_scale=next((scale for row in rows if (scale := scale_of(row))), None),
    )


def _median(requests: Sequence[Request], name: str) -> float | None:
    return _middle(one.value(name) for one in requests)


def _middle(values: Iterable[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else None


def _notes(
    bundle: Bundle,
    rows: Sequence[dict[str, Any]],
    measured: Sequence[dict[str, Any]],
    requests: Sequence[Request],
    done: float,
    slots: Mapping[str, int],
) -> Iterator[str]:
    load = bundle.load
    assert load
    ended = [row for row in rows if row["success"] is not None]
    if not ended:
        yield f"interrupted at {100 * done:.0f} %" if done else "not measured yet"
        return
    if unasked := [row for row in ended if row.get("attempts") == 0]:
        yield f"not measured: {unasked[0]['error']['message']}"
        return
    yield from _length(load.length, requests)
    failed = _failed(measured)
    if failed:
        yield f"{sum(_kinds(measured).values())} of {len(measured)} failed: {failed}"
    before = [row for row in ended if row["phase"] != "measure" and not row["success"]]
    all_alike = not requests and _kinds(before).keys() == _kinds(measured).keys()
    if measured and before and not all_alike:
        yield f"{len(before)} of its warm-up failed: {_failed(before)}"
    if 0 < len(requests) < FEW:
        yield f"{len(requests)} answers, too few for a rank"
    elif 0 < len(requests) < LEAST_REQUESTS:
        yield f"{len(requests)} answers: a difference of 10 % may well be missed"
    if empty := sum(row.get("completion_tokens") == 0 for row in measured if row["success"]):
        yield f"{empty} answers without a token, set aside"
    if uncounted := sum(math.isnan(one.tokens) or not one.counted for one in requests):
        yield f"{uncounted} answers whose tokens the engine does not count: no speed is made of them"
    untold = sum(row.get("energy_j") is None for row in measured)
    if untold and any(row.get("energy_j") is not None for row in rows):
        yield f"{untold} requests whose energy is not known: too short for their meter, or it broke"
    if cut := sum(bool(row.get("cut")) for row in measured):
        yield f"{cut}{CUT}"
    have = slots.get(bundle.host or "", 0)
    if load.concurrency and have and load.concurrency > have:
        yield f"llmq counts {several(have, 'slot')} there: what is more may have waited in the engine"
    yield from lateness(load.rate_rps, measured, requests)
    if load.concurrency and (drifted := drift_words(requests, load.concurrency)):
        yield drifted
    if load.shared:
        yield "shared: the host may have done other work meanwhile, and its times are of both"
    if not load.cache_bust:
        yield f"prompts as they are, over and over: {_from_cache(measured)}"
    for offset_s in {wrong_by_s(row) for row in measured} - {0.0}:
        yield clock_note(bundle.host or "the host", offset_s)
    busy = [row["cpu_client_pct"] for row in measured if row.get("cpu_client_pct") is not None]
    if busy and median(busy) >= SATURATED_PCT:
        yield f"the worker itself was busy ({median(busy):.0f} % of a core): times may be ours"
    late = [woke_ms for woke_ms in map(late_ms, measured) if woke_ms is not None]
    if late and median(late) >= LATE_MS:
        yield f"the worker woke {median(late):.1f} ms late: it waits for a core or for itself; times are late"


def _from_cache(measured: Sequence[dict[str, Any]]) -> str:
    """How much of them the engine had read before, where it says so."""
    told = [row for row in measured if row.get("cached_tokens") is not None and row.get("prompt_tokens")]
    if not told:
        return "the engine may have them in its cache"
    cached, read = (sum(row[name] for row in told) for name in ("cached_tokens", "prompt_tokens"))
    return f"{100 * cached / read:.0f} % of their tokens came from the engine's cache"


def _length(wanted: int | None, requests: Sequence[Request]) -> Iterator[str]:
    if not wanted or not requests:
        return
    counted = _middle(one.prompt_tokens for one in requests)
    if counted is None:
        yield f"its engine counts no prompts: {wanted} tokens is an estimate, {PER_WORD} a word"
    elif abs(counted - wanted) > OFF * wanted:
        yield f"its prompts have {counted:.0f} tokens"


def _kinds(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(row["error"]["type"] for row in rows if row.get("error"))


def _failed(rows: Sequence[dict[str, Any]]) -> str:
    """`3 timeout (silent for 60 s)`: how often what, and the message of the most frequent; else nothing."""
    kinds = _kinds(rows)
    if not kinds:
        return ""
    ((worst, _),) = kinds.most_common(1)
    errors = (row["error"] for row in rows if row.get("error"))
    message = next(error["message"] for error in errors if error["type"] == worst)
    return f"{counted(kinds)} ({message[:120]})"


def lateness(
    rate_rps: float | None, measured: Sequence[dict[str, Any]], requests: Sequence[Request]
) -> Iterator[str]:
    if not rate_rps:
        return
    delays = [row["dispatch_delay_s"] for row in measured if row.get("dispatch_delay_s") is not None]
    late = sum(delay > LATE_S for delay in delays)
    if delays and median(delays) > LATE_S:
        yield f"requests left late, {max(delays):.1f} s at worst: the rate is beyond this host"
    elif late > FEW_LATE * len(delays):
        told = f"{late} of {len(delays)} left late, {max(delays):.1f} s at worst"
        yield f"{told} (at most {MOST_AT_ONCE} are under way): the load was less than planned"
    reached = rate_of(requests, METRICS["rps"], {}).value
    waited = [float(row["e2e_scheduled_latency_s"]) for row in measured if row.get("e2e_scheduled_latency_s")]
    third = len(waited) // 3
    if third >= 3 and median(waited[-third:]) > 2 * median(waited[:third]) and reached:
        done = f"{reached:.2f} of {rate_rps:g} a second"
        yield f"latency grew while it ran, {done}: the rate is beyond this host"
