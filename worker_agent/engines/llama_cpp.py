"""llama.cpp's llama-server: the OpenAI API, slots and window in /props, its own timings in ms."""

from typing import Any

from worker_agent.completion import EngineReport, EngineState, ModelState
from worker_agent.engines.base import loaded_first
from worker_agent.engines.openai import OpenAI
from worker_agent.engines.page import cards, count, inner, rate, seconds, word

_LOADED = ("loaded", None)  # only a router says whether a model is loaded


class LlamaCpp(OpenAI):
    """Answers with the one model it has whatever the request names, and echoes the real name."""

    name = "llama_cpp"
    default_port = 8080

    def recognises(self, timeout_s: float) -> bool:
        page = self._page("/props", timeout_s)  # behind a key, too, the header tells what it is
        return "llama.cpp" in (page.headers.get("Server") or "") or "total_slots" in page.json()

    def state(self, timeout_s: float = 2.0) -> EngineState:
        props = self._fetch("/props", timeout_s)
        page = props.json()
        window = count(inner(page, "default_generation_settings").get("n_ctx"))
        listed = cards(self._fetch("/v1/models", timeout_s).json(), "data")
        models = loaded_first(_model_state(card, window) for card in listed)
        return EngineState(
            self.name,
            word(page.get("build_info")),
            models,
            count(page.get("total_slots")),
            props.simulated,
            props.time_scale,
        )

    def _prepare(self, model: str, context_length: int | None) -> ModelState:
        models = self.state().models
        return models[0] if len(models) == 1 else self._find(model, models)

    def _report(self, chunk: dict[str, Any]) -> EngineReport | None:
        timings = inner(chunk, "timings")
        if not timings:
            return None
        return EngineReport(
            prompt_eval_s=seconds(timings.get("prompt_ms"), 1e-3),
            eval_s=seconds(timings.get("predicted_ms"), 1e-3),
            prefill_tps=rate(timings.get("prompt_per_second")),  # of the tokens that were not cached
            decode_tps=rate(timings.get("predicted_per_second")),
        )


def _model_state(card: dict[str, Any], window: int | None) -> ModelState:
    """`window` is that of one slot; what the list says of a model is the pool of all slots."""
    meta = inner(card, "meta")
    return ModelState(
        str(card.get("id")),
        loaded=inner(card, "status").get("value") in _LOADED,
        window=window,
        trained_window=count(meta.get("n_ctx_train")),
        quantization=word(meta.get("ftype")),
    )
