"""From completions to the metric columns of a result (docs/results.md). Pure; None means unknown."""

from collections.abc import Callable, Sequence
from typing import Any

from worker_agent.completion import Completion


def measures(completions: Sequence[Completion], queue_wait_s: float, window: int | None) -> dict[str, Any]:
    """One item's figures. With several windows: the first one's waits, and sums of times and counts."""
    first, last = completions[0], completions[-1]
    alone = len(completions) == 1
    tokens = _sum(completions, lambda c: c.counts.completion_tokens)
    e2e_s = _sum(completions, lambda c: c.timing.e2e_s)
    return {
        "queue_wait_s": queue_wait_s,
        "started_at": first.timing.started_at,
        "connect_ms": first.timing.connect_ms,
        "ttft_ms": first.timing.ttft_ms,
        "ttfo_ms": first.timing.ttfo_ms if alone else None,
        "itl_ms": last.timing.itl_ms if alone else None,
        "e2e_latency_s": e2e_s,
        "stream_end_s": _sum(completions, lambda c: c.timing.stream_end_s),
        "prompt_tokens": _sum(completions, lambda c: c.counts.prompt_tokens),
        "cached_tokens": _sum(completions, lambda c: c.counts.cached_tokens),
        "completion_tokens": tokens,
        "reasoning_tokens": _sum(completions, lambda c: c.counts.reasoning_tokens),
        "token_count_source": last.counts.source,
        "output_tps": 1000 / last.timing.itl_ms if alone and last.timing.itl_ms else None,
        "e2e_output_tps": tokens / e2e_s if tokens and e2e_s else None,
        "server_load_s": _sum(completions, lambda c: c.report.load_s),
        "server_prompt_eval_s": _sum(completions, lambda c: c.report.prompt_eval_s),
        "server_eval_s": _sum(completions, lambda c: c.report.eval_s),
        "server_total_s": _sum(completions, lambda c: c.report.total_s),
        "context_length": window,
    }


def _sum(completions: Sequence[Completion], read: Callable[[Completion], Any]) -> Any:
    """The sum over all windows; None where any of them is unknown."""
    if len(completions) == 1:
        return read(completions[0])
    values = [read(completion) for completion in completions]
    return None if any(value is None for value in values) else sum(values)
