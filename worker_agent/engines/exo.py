"""Exo: the OpenAI API over a cluster; answers only for models that have an instance."""

import json
from collections.abc import Iterator
from typing import Any

from worker_agent.completion import EngineReport, EngineState, ModelState
from worker_agent.engines.answer import Delta
from worker_agent.engines.base import PROBE_S, loaded_first
from worker_agent.engines.openai import OpenAI
from worker_agent.engines.page import count, inner, rate
from worker_agent.errors import ModelNotFound

_STATS = b"generation_stats"
_READY = {"RunnerLoaded", "RunnerReady", "RunnerRunning"}


class Exo(OpenAI):
    """Loads nothing on demand: an instance is placed in Exo's own dashboard. Shows no window."""

    name = "exo"
    default_port = 52415

    def recognises(self, timeout_s: float) -> bool:
        # A JSON string: LM Studio answers any path with HTTP 200, and web apps with their front page.
        return isinstance(self._try("/node_id", timeout_s).value(), str)

    def state(self, timeout_s: float = 2.0) -> EngineState:
        # /v1/models lists every model Exo knows of, not those it can answer with.
        page = self._fetch("/state", timeout_s)
        models = loaded_first(_placed(page.json()))
        return EngineState(self.name, None, models, simulated=page.simulated, time_scale=page.time_scale)

    def _prepare(self, model: str, context_length: int | None) -> ModelState:
        try:
            return self._find(model, self.state(PROBE_S).models)
        except ModelNotFound as error:
            raise ModelNotFound(f"{error} (it needs an instance: place one in Exo's dashboard)") from None

    def _comment(self, text: bytes, at: float) -> Delta:
        if not text.startswith(_STATS):
            return Delta(at)
        try:
            return Delta(at, report=_stats_report(json.loads(text[len(_STATS) :])))
        except (ValueError, AttributeError):
            return Delta(at)


def _stats_report(stats: dict[str, Any]) -> EngineReport:
    """Exo streams rates; its generation rate is (n - 1) / (last - first)."""
    generated = count(stats.get("generation_tokens"))
    return EngineReport(
        prompt_eval_s=_duration(count(stats.get("prompt_tokens")), stats.get("prompt_tps")),
        eval_s=_duration(generated - 1 if generated else None, stats.get("generation_tps")),
        prefill_tps=rate(stats.get("prompt_tps")),
        decode_tps=rate(stats.get("generation_tps")),
    )


def _duration(tokens: int | None, per_s: object) -> float | None:
    if tokens is None or not isinstance(per_s, int | float) or per_s <= 0:
        return None
    return tokens / per_s


def _placed(state: dict[str, Any]) -> Iterator[ModelState]:
    """The models with an instance. Each value is tagged: {"MlxRingInstance": {...}}."""
    runners = inner(state, "runners")
    for tagged in inner(state, "instances").values():
        for instance in tagged.values():
            shards = inner(instance, "shardAssignments")
            ready = all(_READY & inner(runners, runner).keys() for runner in _runner_ids(shards))
            yield ModelState(str(shards.get("modelId")), loaded=ready)


def _runner_ids(shards: dict[str, Any]) -> list[str]:
    """Newer versions list [node, runner, shard], older ones map runner to shard."""
    if "shards" in shards:
        return [str(shard[1]) for shard in shards["shards"]]
    return list(inner(shards, "runnerToShard"))
