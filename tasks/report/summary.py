"""Rankings as rows of summary.csv and as objects of ranking.json. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tasks.report.metric import METRICS, Metric
from tasks.report.rank import Entry, Ranking, rankings
from tasks.report.rate import Limits
from tasks.report.sample import Sample


def summary_rows(samples: Sequence[Sample], limits: Limits | None = None) -> list[dict[str, Any]]:
    """The rows of summary.csv: one for each cell, metric and what is kept apart."""
    metrics = [metric for metric in METRICS.values() if metric.per_second != "good" or limits]
    return [
        summary_row(ranking.metric, ranking.apart, entry)
        for metric in metrics
        for ranking in rankings(samples, metric, limits)
        for entry in ranking.entries
        if entry.n
    ]


def summary_row(metric: Metric, apart: str | None, entry: Entry) -> dict[str, Any]:
    """An entry as one flat row; unknown is None."""
    cell, summary, interval = entry.cell, entry.summary, entry.interval
    return {
        "host": cell.host,
        "model": cell.model,
        "load_mode": cell.load_mode,
        "concurrency": cell.concurrency,
        "target_rps": cell.rate_rps,
        "target_prompt_tokens": cell.length,
        "stage": cell.stage,
        "pair_id": cell.pair,
        "simulated": cell.simulated,
        "metric": metric.name,
        "apart": apart,
        "unit": metric.unit,
        "direction": metric.direction,
        "n": entry.n,
        "effective_n": round(summary.effective_n, 1) if summary else entry.n,
        "mean": summary.mean if summary else entry.value,
        "std": summary.std if summary else None,
        "p50": summary.p50 if summary else None,
        "p90": summary.p90 if summary else None,
        "p95": summary.p95 if summary else None,
        "p99": summary.p99 if summary else None,
        "ci_low": interval.low if interval else None,
        "ci_high": interval.high if interval else None,
        "ci_method": interval.method if interval else None,
        "failed": sum(entry.failed.values()),
        "error_rate": entry.error_rate,
        "cut": entry.cut,
        "time_scale": cell.time_scale,
    }


def ranking_object(ranking: Ranking) -> dict[str, Any]:
    """A ranking for ranking.json: everything of the rows, with rank, ties and reasons."""
    metric = ranking.metric
    shared = Counter(entry.rank for entry in ranking.entries if entry.rank)
    return {
        "metric": metric.name,
        "title": metric.title,
        "unit": metric.unit,
        "direction": metric.direction,
        "apart": ranking.apart,
        "terms": ranking.terms,
        "same_questions": ranking.same_questions,
        "notes": list(ranking.notes),
        "entries": [
            {"name": entry.cell.name, "rank": entry.rank, "tied": bool(entry.rank and shared[entry.rank] > 1)}
            | {"reason": entry.reason, "value": entry.value}
            | summary_row(metric, ranking.apart, entry)
            | {
                "failures": dict(entry.failed),
                "set_aside": dict(entry.aside),
                "prompt_tokens_p50": entry.prompt_tokens,
            }
            for entry in ranking.entries
        ],
    }
