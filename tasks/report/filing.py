"""From a run that has ended to its place in the history, and from the history to a ranking of many runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.errors import InputError
from tasks.intake.stages import FIRST as FIRST_STAGE
from tasks.report.collect import Report
from tasks.report.gather import gather
from tasks.report.history import Filter, History, history
from tasks.report.metric import MEMORY, METRICS
from tasks.report.rank import Entry, Ranking, in_order
from tasks.report.rows import Source, source_of
from tasks.report.sample import FIRST, Cell, Gathered
from tasks.report.stats import LEAST_N, Interval, of_mean
from tasks.report.summary import summary_rows
from tasks.settings import Settings

LEAST_RUNS = 2
NEVER_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def file_run(report: Report, settings: Settings) -> bool:
    """File an ended run, unless it is filed already. True: it is now."""
    if not report.status.ended:
        return False
    with history(settings) as kept:
        return file_source(kept, source_of(report), "run")


def file_source(kept: History, source: Source, origin: str) -> bool:
    """File a run or a results file. False: it was there before."""
    if kept.knows(source.run):
        return False
    head = {name: value for name, value in source.head.items() if name != "prompts_used"}
    ended_ms = source.report.status.ended_ms if source.report else None
    gathered = gather(source)
    ended_s = ended_ms / 1000 if ended_ms else _last_answer_s(gathered)
    if ended_s is not None:
        head["ended_at"] = datetime.fromtimestamp(ended_s, UTC).isoformat()
    # Under a rate that somebody set, a host's figures are that rate's as much as its own.
    samples = [sample for sample in gathered.samples if sample.cell.rate_rps is None]
    return kept.file(source.run, head, summary_rows(samples), origin)


def _last_answer_s(gathered: Gathered) -> float | None:
    """When a file's run ended, as far as it tells: it says only when it was written, perhaps weeks later."""
    ends = (one.finished_s for sample in gathered.samples for one in sample.requests)
    return max((end_s for end_s in ends if end_s < NEVER_S), default=None)  # NaN is not


def since(text: str, now: datetime | None = None) -> str:
    """`2026-01-31`, `2026-01-31T12:00`, or `7d`, `12h`: the moment in UTC. Raises InputError."""
    now = now or datetime.now(UTC)
    try:
        if text[-1:] in {"d", "h"}:
            back = timedelta(**{"days" if text[-1] == "d" else "hours": float(text[:-1])})
            if back < timedelta():
                raise ValueError
            return (now - back).isoformat(timespec="seconds")
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        raise InputError(f"--since {text!r}: expected a date as 2026-01-31, or 7d, or 12h") from None


def rankings_of_runs(kept: History, metric_name: str, wanted: Filter) -> list[Ranking]:
    """The cells of many runs, each run one value (its median, or rate): Student's t between runs."""
    metric = METRICS[metric_name]
    least = 1 if metric.name in MEMORY else LEAST_N  # of a benchmark's cell one reading is all there is
    figures = [
        one for one in kept.figures(wanted, [metric.name]) if one["n"] >= least and _value(one) is not None
    ]
    groups: dict[tuple[bool, str, tuple[Any, ...]], list[dict[str, Any]]] = {}
    for row in figures:
        apart = str(row["apart"])
        groups.setdefault((apart != FIRST, apart, _cell(row).weight), []).append(row)
    return [
        Ranking(
            metric,
            apart or None,
            _cell(rows[0]).terms,
            in_order(_entries(rows), metric),
            same_questions=False,
            notes=(
                "each run counts as one value (its median); the interval is Student's t between runs",
                "whether they asked the same is not known",
            ),
        )
        for (_, apart, _), rows in sorted(groups.items(), key=lambda group: group[0])
    ]


def _cell(row: Mapping[str, Any]) -> Cell:
    """A chain's first stage is asked as an ordinary run asks."""
    stage = None if row["stage"] == FIRST_STAGE else row["stage"]
    place = row["host"], row["model"], row["concurrency"], row["pair_id"], bool(row["simulated"])
    return Cell(*place, length=row["target_prompt_tokens"], stage=stage, time_scale=row["time_scale"])


def _value(row: Mapping[str, Any]) -> float | None:
    """Its median, or rate; None where a rate is not known."""
    value: float | None = row["mean"] if row["p50"] is None else row["p50"]
    return value


def _around(values: Sequence[float]) -> Interval | None:
    """Of few runs it is wide, and yet no time or rate is below zero."""
    found = of_mean(values, f"mean of {len(values)} runs' values, t")
    return found and Interval(max(found.low, 0.0), found.high, found.method)


def _entries(figures: Sequence[dict[str, Any]]) -> Iterable[Entry]:
    cells: dict[Cell, list[dict[str, Any]]] = {}
    for row in figures:
        cells.setdefault(_cell(row), []).append(row)
    real = any(not cell.simulated for cell in cells)
    for cell, rows in cells.items():
        values = [_value(row) or 0.0 for row in rows]
        reason = f"{len(rows)} of the {LEAST_RUNS} runs that a rank needs" if len(rows) < LEAST_RUNS else None
        if cell.simulated and real:
            reason = "simulated, and others are not"
        failed = sum(row["failed"] or 0 for row in rows)
        answers = sum(row["n"] for row in rows)
        yield Entry(
            cell,
            sum(values) / len(values),
            _around(values),
            answers,
            None,
            Counter({"failed": failed}) if failed else Counter(),
            sum((row["error_rate"] or 0.0) * row["n"] for row in rows) / answers,
            sum(row["cut"] or 0 for row in rows),
            Counter(),
            None,
            frozenset(),
            reason=reason,
        )
