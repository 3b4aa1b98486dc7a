"""LM Studio: the OpenAI API for answers, its own API (v1 since 0.4, else v0) for what is loaded."""

from dataclasses import replace
from typing import Any

from worker_agent.completion import EngineReport, EngineState, ModelState
from worker_agent.engines.base import LOAD_S, PROBE_S, loaded_first
from worker_agent.engines.openai import OpenAI
from worker_agent.engines.page import Page, cards, count, inner, rate, seconds, word

_LLM = ("llm", "vlm", None)


class LMStudio(OpenAI):
    """Loads on demand, but N first requests at once would load N copies: hence `prepare`."""

    name = "lm_studio"
    default_port = 1234

    def recognises(self, timeout_s: float) -> bool:
        if any("key" in card for card in cards(self._try("/api/v1/models", timeout_s).json(), "models")):
            return True
        return any("state" in card for card in cards(self._try("/api/v0/models", timeout_s).json(), "data"))

    def state(self, timeout_s: float = 2.0) -> EngineState:
        page = self._page("/api/v1/models", timeout_s)
        if _speaks_v1(page):
            models = [_model_v1(card) for card in cards(page.json(), "models") if card.get("type") in _LLM]
        else:
            page = self._fetch("/api/v0/models", timeout_s)
            models = [_model_v0(card) for card in cards(page.json(), "data") if card.get("type") in _LLM]
        slots = [model.slots for model in models if model.loaded and model.slots]
        return EngineState(
            self.name,
            None,
            loaded_first(models),
            min(slots, default=None),
            page.simulated,
            page.time_scale,
        )

    def _prepare(self, model: str, context_length: int | None) -> ModelState:
        found = super()._prepare(model, context_length)
        if found.loaded:
            return found
        self._load(model, context_length)
        return replace(super()._prepare(model, context_length), loaded=True)

    def _load(self, model: str, context_length: int | None) -> None:
        if _speaks_v1(self._page("/api/v1/models", PROBE_S)):
            asked = {"context_length": context_length} if context_length else {}
            self._fetch("/api/v1/models/load", LOAD_S, {"model": model, **asked})
        else:  # before 0.4 nothing loads but a request
            one_word = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
            self._fetch(self.chat_path, LOAD_S, {"model": model, **one_word})

    def _is_other(self, asked: str, answered: str) -> bool:
        """LM Studio may answer with any loaded model. It may leave out the publisher of a name and
        add `:2` for an instance or `@q4_k_m` for a variant."""
        ours, theirs = (name.lower().rpartition("/")[2].partition(":")[0] for name in (asked, answered))
        same = (ours, ours.partition("@")[0])
        return theirs not in same and ours != theirs.partition("@")[0]

    def _report(self, chunk: dict[str, Any]) -> EngineReport | None:
        stats = inner(chunk, "stats")
        if not stats:
            return None
        return EngineReport(
            prompt_eval_s=seconds(stats.get("time_to_first_token")),
            eval_s=seconds(stats.get("generation_time")),
            decode_tps=rate(stats.get("tokens_per_second")),
        )


def _speaks_v1(page: Page) -> bool:
    return isinstance(page.json().get("models"), list)


def _model_v1(card: dict[str, Any]) -> ModelState:
    """A model with several instances: what holds for each of them."""
    configs = [inner(instance, "config") for instance in cards(card, "loaded_instances")]
    windows = [config["context_length"] for config in configs if count(config.get("context_length"))]
    slots = [config["parallel"] for config in configs if count(config.get("parallel"))]
    return ModelState(
        str(card.get("key")),
        loaded=bool(configs),
        window=min(windows, default=None),
        trained_window=count(card.get("max_context_length")),
        quantization=word(inner(card, "quantization").get("name")),
        slots=min(slots, default=None),
    )


def _model_v0(card: dict[str, Any]) -> ModelState:
    return ModelState(
        str(card.get("id")),
        loaded=card.get("state") == "loaded",
        window=count(card.get("loaded_context_length")),
        trained_window=count(card.get("max_context_length")),
        quantization=word(card.get("quantization")),
    )
