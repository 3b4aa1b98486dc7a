"""Chains of two as the 22 columns of the P2P testing framework, so that its notebooks go on working.

Durations are in nanoseconds. All but `network_duration` are what the engine says of itself, empty where it
says nothing; `network_duration` is what it always was there, the whole call, inference included.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from tasks.errors import OutputError
from tasks.report.chains import Chain, Hop
from tasks.report.table import to_cell

NS = 1_000_000_000
PEER = (
    "llm",
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
    "token_per_second",
    "network_duration",
    "response_ollama",
)
COLUMNS = ("timestamp", "prompt", *(f"{peer}_{column}" for peer in ("peer1", "peer2") for column in PEER))


def to_p2p_rows(chains: Iterable[Chain]) -> Iterator[list[Any]]:
    """A row per chain; where a stage failed, its columns are empty. Raises OutputError for other chains
    than of two stages."""
    for chain in chains:
        if len(chain.hops) != 2:
            raise OutputError(f"a p2p.csv has two stages a row, and this run has chains of {len(chain.hops)}")
        cells = (cell for hop in chain.hops for cell in _peer(hop))
        started = chain.hops[0].metric("started_at")
        yield [to_cell(value) for value in (started, chain.first.prompt_template, *cells)]


def _peer(hop: Hop) -> tuple[Any, ...]:
    """In the order of PEER."""
    result = hop.row.result
    tokens, eval_s = hop.metric("completion_tokens"), hop.metric("server_eval_s")
    call_s = hop.metric("stream_end_s")
    opening_s = (hop.metric("connect_ms") or 0.0) / 1000
    return (
        result.model if result else hop.row.model,
        _ns(hop.metric("server_total_s")),
        _ns(hop.metric("server_load_s")),
        hop.metric("prompt_tokens"),
        _ns(hop.metric("server_prompt_eval_s")),
        tokens,
        _ns(eval_s),
        round(tokens / eval_s, 3) if tokens and eval_s else None,
        None if call_s is None else _ns(call_s + opening_s),
        result.answer if result else None,
    )


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * NS)
