"""The metrics that hosts and models are ranked by: unit, direction and words of each. Data alone."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from tasks.errors import InputError

Direction = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Metric:
    """`name`: the column of a result it is read from, or its own name where it is made of several.
    `direction`: which end is better. `better`: how the better of two is told, `{by}` being how much.
    `counted`: rests on the engine's token counts; estimates are left out. `apart`: the column (or `prompt`:
    first or cached) whose different values are never ranked against each other. `per_second`: not one value
    a request but one an entry, so many of these a second. `of_chain`: of all
    hops of a chain, not of one answer."""

    name: str
    unit: str
    direction: Direction
    title: str
    better: str
    counted: bool = False
    apart: str | None = None
    per_second: Literal["requests", "good", "tokens"] | None = None
    of_chain: bool = False


_ALL = (
    Metric("ttft_ms", "ms", "lower", "time to first token", "begins to answer {by} sooner", apart="prompt"),
    Metric("ttfo_ms", "ms", "lower", "time to first word that is not reasoning",
           "begins its answer proper {by} sooner", apart="prompt"),
    Metric("itl_ms", "ms", "lower", "time between tokens", "takes {by} less time a token", counted=True),
    Metric("output_tps", "tok/s", "higher", "tokens a second after the first", "writes {by} faster",
           counted=True),
    Metric("e2e_output_tps", "tok/s", "higher", "tokens a second, wait for the first included",
           "gives {by} more tokens a second of waiting", counted=True, apart="prompt"),
    Metric("e2e_latency_s", "s", "lower", "end-to-end latency", "answers {by} sooner", apart="prompt"),
    Metric("server_prefill_tps", "tok/s", "higher", "prompt tokens read a second, by the engine",
           "reads {by} faster", apart="prompt"),
    Metric("server_decode_tps", "tok/s", "higher", "tokens written a second, by the engine",
           "writes {by} faster by its engine's clock"),
    Metric("mem_model_mib", "MiB", "lower", "memory of the model", "takes {by} less memory for the model",
           apart="mem_source"),
    Metric("mem_rss_mib_peak", "MiB", "lower", "peak memory of the engine", "takes {by} less memory",
           apart="mem_source"),
    Metric("mem_system_used_mib_peak", "MiB", "lower", "peak memory of the machine",
           "fills {by} less of its machine's memory", apart="mem_source"),
    Metric("vram_used_mib_peak", "MiB", "lower", "peak memory of the graphics card",
           "takes {by} less graphics memory", apart="mem_source"),
    Metric("energy_j", "J", "lower", "energy a request", "takes {by} less energy a request",
           apart="energy_source"),
    Metric("energy_j_per_token", "J", "lower", "energy a token", "takes {by} less energy a token",
           counted=True, apart="energy_source"),
    Metric("inference_s", "s", "lower", "inference of the whole chain, all hops",
           "takes {by} less inference a chain", of_chain=True),
    Metric("total_s", "s", "lower", "time of the whole chain, waiting included",
           "brings a chain to its end {by} sooner", of_chain=True),
    Metric("rps", "1/s", "higher", "requests a second", "answers {by} more requests a second",
           per_second="requests"),
    Metric("goodput_rps", "1/s", "higher", "requests a second within the limits",
           "answers {by} more requests a second within the limits", per_second="good"),
    Metric("system_output_tps", "tok/s", "higher", "tokens a second of all its slots together",
           "gives {by} more tokens a second in all", counted=True, per_second="tokens"),
)  # fmt: skip

METRICS = {metric.name: metric for metric in _ALL}
VALUES = tuple(metric for metric in _ALL if not metric.per_second)  # one a request
MEMORY = ("mem_model_mib", "mem_rss_mib_peak", "mem_system_used_mib_peak", "vram_used_mib_peak")
ALIASES = {
    "ttft": "ttft_ms",
    "ttfo": "ttfo_ms",
    "itl": "itl_ms",
    "tpot": "itl_ms",  # vLLM's formula is our ITL
    "tps": "output_tps",
    "e2e": "e2e_latency_s",
    "latency": "e2e_latency_s",
    "prefill": "server_prefill_tps",
    "memory": "mem_model_mib",
    "vram": "vram_used_mib_peak",
    "energy": "energy_j",
    "goodput": "goodput_rps",
    "inference": "inference_s",
    "total": "total_s",
}


def find_metric(word: str) -> Metric:
    """A metric by its name or a shorter one. Raises InputError, which lists all."""
    name = ALIASES.get(word, word)
    if name not in METRICS:
        short = {full: alias for alias, full in reversed(ALIASES.items())}
        known = ", ".join(f"{short[one]} ({one})" if one in short else one for one in METRICS)
        close = get_close_matches(word, [*ALIASES, *METRICS], 1)
        guess = f"did you mean {close[0]!r}? There are" if close else "there are"
        raise InputError(f"unknown metric {word!r}; {guess}: {known}")
    return METRICS[name]
