"""How much a cell put through, from its results. Pure, and light enough for whoever plans the next cell."""

from collections.abc import Sequence
from datetime import datetime

from tasks.bench.cell import MEASURE
from tasks.result import Result


def throughput(results: Sequence[Result]) -> float | None:
    """Tokens a second of all requests together, from the first one's start to the last one's end; None where
    nobody counted them, or nothing was answered."""
    spans, tokens = [], 0
    for result in results:
        kept = result.metrics
        if result.success and kept.get("phase") == MEASURE and kept.get("completion_tokens"):
            started_s = datetime.fromisoformat(kept["started_at"]).timestamp()
            spans.append((started_s, started_s + (kept.get("stream_end_s") or kept["e2e_latency_s"])))
            tokens += kept["completion_tokens"]
    if not spans:
        return None
    span_s = max(end for _, end in spans) - min(start for start, _ in spans)
    return tokens / span_s if span_s > 0 else None
