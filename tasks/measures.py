"""From completions to the figures that a result keeps, and what of them is worth keeping. Pure.

Kept is what cannot be computed again from the rest of the result, rounded, and what is known: a run has
100,000 of these. tasks/report/figures.py makes the columns of docs/metrics.md from it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from worker_agent.completion import Completion, EngineState
from worker_agent.errors import EngineError

# Units end a name; what is behind these digits is noise. ITL divides.
_DIGITS = {"_s": 6, "ms": 3, "ps": 3, "ct": 1, "le": 6}
KEPT_DIGITS = {"itl_ms": 6}


def measures(completions: Sequence[Completion], queue_wait_s: float, window: int | None) -> dict[str, Any]:
    """One item's figures, those that are known. With several windows: the first one's waits, sums of times
    and counts, and the last one's end."""
    first, last = completions[0].timing, completions[-1].timing
    counts, reports = [one.counts for one in completions], [one.report for one in completions]
    timings = [one.timing for one in completions]
    figures = {
        "queue_wait_s": queue_wait_s,
        "started_at": first.started_at,
        "connect_ms": first.connect_ms,
        "network_s": _sum(timings, lambda one: one.network_s),
        "ttft_ms": first.ttft_ms,
        "ttfr_ms": first.ttfr_ms,
        "e2e_latency_s": _sum(timings, lambda one: one.e2e_s),
        "stream_end_s": _sum(timings, lambda one: one.stream_end_s),
        "chunk_count": _sum(timings, lambda one: one.chunk_count),
        "prompt_tokens": _sum(counts, lambda one: one.prompt_tokens),
        "cached_tokens": _sum(counts, lambda one: one.cached_tokens),
        "completion_tokens": _sum(counts, lambda one: one.completion_tokens),
        "reasoning_tokens": _sum(counts, lambda one: one.reasoning_tokens),
        "token_count_source": counts[-1].source,
        "server_load_s": _sum(reports, lambda one: one.load_s),
        "server_prompt_eval_s": _sum(reports, lambda one: one.prompt_eval_s),
        "server_eval_s": _sum(reports, lambda one: one.eval_s),
        "server_total_s": _sum(reports, lambda one: one.total_s),
        "context_length": window,
        "cpu_client_pct": last.cpu_client_pct,
        "cpu_wait_ms": last.cpu_wait_ms,
        "time_scale": completions[-1].time_scale,
        "wakeup_latency_ms": last.wakeup_latency_ms,
    }
    figures |= _of_one(completions[0]) if len(completions) == 1 else _ends(completions[-1])
    return rounded(figures)


def of_engine(state: EngineState) -> dict[str, Any]:
    """What its host says of a request however it ended."""
    return {} if state.time_scale is None else {"time_scale": state.time_scale}


def of_failure(error: BaseException) -> dict[str, Any]:
    """What is known of a request that failed: the status of its reply, and our own stamps of it. No durations
    but TTFT: what broke off has no latency."""
    if not isinstance(error, EngineError):
        return {}
    known: dict[str, Any] = {"http_status": error.http_status}
    if broken := error.broken_off:
        last, ended = moments(broken.started_at, broken.last_s, broken.ended_s)
        known |= {
            "started_at": broken.started_at,
            "connect_ms": broken.connect_ms,
            "ttft_ms": None if broken.first_s is None else broken.first_s * 1000,
            "last_token_at": last,
            "finished_at": ended,
            "chunk_count": broken.chunk_count or None,
        }
    return rounded(known)


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of it, in the digits that are kept."""
    return {
        name: round(value, KEPT_DIGITS.get(name) or digits(name)) if isinstance(value, float) else value
        for name, value in figures.items()
        if value is not None
    }


def digits(name: str) -> int:
    """After the point, of a figure of this name: microseconds, and rates to three."""
    return _DIGITS.get(name[-2:], 3)


def _of_one(completion: Completion) -> dict[str, Any]:
    """What belongs to one request alone."""
    timing, report = completion.timing, completion.report
    return {
        "ttfo_ms": timing.ttfo_ms,
        "itl_ms": timing.itl_ms,
        "max_chunk_gap_ms": timing.max_chunk_gap_ms,
        "server_prefill_tps": report.prefill_tps,
        "server_decode_tps": report.decode_tps,
    }


def _ends(completion: Completion) -> dict[str, Any]:
    """When the last of several requests ended, which the sums do not tell."""
    timing = completion.timing
    last, end = moments(timing.started_at, timing.e2e_s, timing.stream_end_s)
    return {"last_token_at": last, "finished_at": end}


def moments(started_at: str, *after_s: float | None) -> list[str | None]:
    """The moments that long after `started_at`, UTC, ISO 8601: one wall stamp, then the monotonic clock."""
    try:
        begun = datetime.fromisoformat(started_at)
    except ValueError:
        return [None] * len(after_s)
    return [
        None if one is None else (begun + timedelta(seconds=one)).isoformat(timespec="microseconds")
        for one in after_s
    ]


def _sum(parts: Sequence[Any], read: Callable[[Any], Any]) -> Any:
    """The sum over all windows; None where any of them is unknown."""
    if len(parts) == 1:
        return read(parts[0])
    values = [read(part) for part in parts]
    return None if any(value is None for value in values) else sum(values)
