"""How a row's columns are found: kept by the worker that asked, or computed here. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tasks.measures import digits, moments
from tasks.report.collect import Row
from tasks.report.columns import COMPUTED, METRICS, OF_RESULT, REQUEST, SCHEMA_VERSION
from tasks.result import Result

SATURATED_PCT = 80.0  # of a core, which is what a Python process has; beyond it requests wait for each other
LATE_MS = 1.0  # a wake-up, on average: then one stamp in twenty is 5 ms late
_DIGITS = {name: digits(name) for name in METRICS}
_UNKNOWN: dict[str, Any] = dict.fromkeys(METRICS) | {
    "schema_version": SCHEMA_VERSION, "phase": "measure", "mem_source": "none", "energy_source": "none",
}  # fmt: skip


def figures(row: Row, result: Result) -> dict[str, Any]:
    """Every metric by name; None where it is not known."""
    found = (
        _UNKNOWN
        | _identity(row)
        | {
            "request_id": result.reused_from or result.item_id,
            "status": _status(result),
            "http_status": 200 if result.success else None,
        }
    )
    for name, value in result.metrics.items():
        if name in found and name not in COMPUTED:
            found[name] = round(value, _DIGITS[name]) if isinstance(value, float) else value
    _add_stamps(found, result)
    _add_rates(found, result.metrics)
    return found


def request(row: Row) -> dict[str, Any]:
    """The row as REQUEST has it, by name."""
    result = row.result
    known = figures(row, result) if result else _UNKNOWN | _identity(row)
    elsewhere = {
        "seed": row.params.seed,
        "stage": row.stage,
        "prompt_sha256": row.prompt_sha256,
        "max_tokens": row.params.max_tokens,
        "temperature": row.params.temperature,
        "model": row.model,
        "item_id": row.item_id,
        "parent": row.parent,
        "paper_id": row.paper,
    }
    if result:
        elsewhere |= {
            "host": result.host or None,
            "model": result.model or row.model,
            "error_type": result.error.type if result.error else None,
            **{name: getattr(result, name) for name in OF_RESULT},
        }
    both = known | elsewhere
    return {name: both.get(name) for name in REQUEST}


def kept_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of the metrics of a written result, what a result keeps."""
    return {
        name: value
        for name, value in metrics.items()
        if name not in COMPUTED
        and name != "repeat_index"  # the plan says it
        and value != _UNKNOWN.get(name)  # most are null
    }


def _identity(row: Row) -> dict[str, Any]:
    run_id = row.item_id.rsplit("-", 2)[0]
    return {
        "run_id": run_id,
        "request_index": row.index,
        "repeat_index": row.repeat,
        "prompt_id": row.prompt_name,
        "pair_id": row.pair,
    }


def _status(result: Result) -> str:
    kind = result.error.type if result.error else "ok"
    if kind == "timeout" and not result.host:  # of reading the paper
        return "error"
    return kind if kind in ("ok", "timeout", "cancelled") else "error"


def _add_stamps(found: dict[str, Any], result: Result) -> None:
    """Moments from the one wall stamp and the monotonic clock since."""
    if (added_ms := result.metrics.get("enqueued_ms")) is not None:
        found["enqueued_at"] = datetime.fromtimestamp(added_ms / 1000, UTC).isoformat(timespec="milliseconds")
    started_at, ttft_ms = found["started_at"], found["ttft_ms"]
    if started_at is None or ttft_ms is None:
        return
    # Several windows, and what broke off, keep the moments of their ends.
    ends = (found["e2e_latency_s"], found["stream_end_s"]) if result.windows == 1 and result.success else ()
    names = ("first_token_at", "last_token_at", "finished_at")
    found |= dict(zip(names, moments(started_at, ttft_ms / 1000, *ends), strict=False))


def _add_rates(found: dict[str, Any], kept: dict[str, Any]) -> None:
    itl_ms, e2e_s, tokens = kept.get("itl_ms"), kept.get("e2e_latency_s"), kept.get("completion_tokens")
    if itl_ms:
        found["output_tps"] = round(1000 / itl_ms, 3)
    if tokens and e2e_s:
        found["e2e_output_tps"] = round(tokens / e2e_s, 3)
    cpu_pct, woke_ms = kept.get("cpu_client_pct"), late_ms(kept)
    if cpu_pct is not None or woke_ms is not None:
        found["client_saturated"] = (cpu_pct or 0.0) >= SATURATED_PCT or (woke_ms or 0.0) >= LATE_MS


def late_ms(kept: Mapping[str, Any]) -> float | None:
    """By how much the worker woke late on average: its thread that slept or the request's own, whichever
    waited longer. Linux lets one that mostly sleeps go before those that read streams."""
    known = [kept[name] for name in ("wakeup_latency_ms", "cpu_wait_ms") if kept.get(name) is not None]
    return max(known, default=None)
