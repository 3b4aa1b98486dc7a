"""A chain as plain fields: nested for JSON, one row for CSV."""

from collections.abc import Sequence
from typing import Any

from tasks.report.chains import Chain, Hop
from tasks.report.table import to_cell

CHAIN = ("file", "prompt_name", "repeat", "success", "failed_stage", "error_type", "error_message")
TIMES = ("total_s", "queue_s", "inference_s", "network_s", "reused", "cut")
METRICS = ("queue_wait_s", "connect_ms", "ttft_ms", "prompt_tokens", "completion_tokens", "output_tps")
MARKS = ("simulated", "time_scale")
HOP = (
    "item_id",
    "model",
    "host",
    "response",
    "reused_from",
    "hop_s",
    "inference_s",
    "network_s",
    *METRICS,
    *MARKS,
)


def columns(names: Sequence[str]) -> tuple[str, ...]:
    """Of a CSV of chains whose stages have these names."""
    return (*CHAIN, *TIMES, *(f"{name}_{column}" for name in names for column in HOP))


def to_chain(chain: Chain) -> dict[str, Any]:
    """One entry of `chains` in results.json."""
    fields = dict(zip((*CHAIN, *TIMES), _head(chain), strict=True))
    hops = [{"stage": hop.row.stage} | dict(zip(HOP, _hop(hop), strict=True)) for hop in chain.hops]
    return fields | {"prompt_template": chain.first.prompt_template, "hops": hops}


def to_chain_cells(chain: Chain, names: Sequence[str]) -> list[Any]:
    """One row under `columns(names)`."""
    hops = [cell for hop in chain.hops for cell in _hop(hop)]
    missing = [None] * (len(HOP) * (len(names) - len(chain.hops)))
    return [to_cell(value) for value in (*_head(chain), *hops, *missing)]


def _head(chain: Chain) -> tuple[Any, ...]:
    """In the order of CHAIN and TIMES."""
    stage, error = chain.failure or (None, None)
    return (
        chain.first.file,
        chain.first.prompt_name,
        chain.first.repeat,
        chain.success,
        stage,
        error.type if error else None,
        error.message if error else None,
        _rounded(chain.total_s),
        _rounded(chain.sum_of("queue_wait_s")),
        _rounded(chain.sum_of("e2e_latency_s")),
        _rounded(chain.network_s),
        chain.reused,
        bool(chain.last.result and chain.last.result.cut),
    )


def _hop(hop: Hop) -> tuple[Any, ...]:
    """In the order of HOP."""
    row, result = hop.row, hop.row.result
    return (
        row.item_id,
        result.model if result else row.model,
        (result.host or None) if result else None,
        result.answer if result else None,
        result.reused_from if result else None,
        _rounded(hop.hop_s),
        _rounded(hop.metric("e2e_latency_s")),
        _rounded(hop.network_s),
        *(_rounded(hop.metric(name)) for name in METRICS),
        result.simulated if result else None,
        hop.metric("time_scale"),
    )


def _rounded(value: Any) -> Any:
    """Microseconds, and what is behind them is noise."""
    return round(value, 6) if isinstance(value, float) else value
