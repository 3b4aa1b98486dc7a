"""Ollama's native API (NDJSON): /v1 would ignore num_ctx and truncate papers in silence."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from worker_agent.completion import Counts, EngineReport, EngineState, ModelMemory, ModelState, Request
from worker_agent.engines.answer import Delta
from worker_agent.engines.base import PROBE_S, Engine, Line, loaded_first
from worker_agent.engines.openai import messages
from worker_agent.engines.page import cards, count, inner, seconds, word

KEEP_ALIVE = "30m"  # longer than the gap between two bundles; a reload costs the prefix cache
DEFAULT_WINDOW = 8192
_NS = 1e-9


class Ollama(Engine):
    """Reloads a model, and loses its cache, when `num_ctx` or `shift` differs from the last request:
    so the window is decided once per model and sent every time."""

    name = "ollama"
    default_port = 11434
    chat_path = "/api/chat"

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        super().__init__(url, api_key=api_key)
        self._windows: dict[str, int] = {}

    def recognises(self, timeout_s: float) -> bool:
        # Others imitate the API, Exo among them; the greeting is Ollama's own.
        greeting = self._try("/", timeout_s).body
        return b"Ollama is running" in greeting and "version" in self._try("/api/version", timeout_s).json()

    def state(self, timeout_s: float = 2.0) -> EngineState:
        version = self._fetch("/api/version", timeout_s)
        listed = cards(self._fetch("/api/tags", timeout_s).json(), "models")
        loaded = self._loaded(timeout_s)
        models = loaded_first(_model_state(card, loaded) for card in listed if _answers(card))
        return EngineState(
            self.name,
            word(version.json().get("version")),
            models,
            simulated=version.simulated,
            time_scale=version.time_scale,
        )

    def model_memory(self, model: str, timeout_s: float = 1.0) -> ModelMemory | None:
        """Ollama's own reckoning, the KV cache included."""
        listed = cards(self._fetch("/api/ps", timeout_s).json(), "models")
        same = [card for card in listed if _tagged(_name(card)) == _tagged(model)]
        if not same:
            return None
        total_bytes, vram_bytes = (count(same[0].get(key)) for key in ("size", "size_vram"))
        return ModelMemory(total_bytes, vram_bytes, "ollama_ps") if total_bytes else None

    def _loaded(self, timeout_s: float) -> dict[str, int | None]:
        """The window of each loaded model."""
        listed = cards(self._fetch("/api/ps", timeout_s).json(), "models")
        return {_name(card): count(card.get("context_length")) for card in listed}

    def _prepare(self, model: str, context_length: int | None) -> ModelState:
        """Loads nothing: Ollama does that itself, once, and reports how long it took."""
        models = self.state(PROBE_S).models
        same = [state.name for state in models if _tagged(state.name) == _tagged(model)]
        found = self._find(next(iter(same), model), models)
        trained = _trained_window(self._fetch("/api/show", PROBE_S, {"model": model}).json())
        known = self._windows.get(model) or found.window or min(DEFAULT_WINDOW, trained or DEFAULT_WINDOW)
        window = self._windows[model] = context_length or known
        return replace(found, name=model, window=window, trained_window=trained)

    def _chat(self, request: Request) -> dict[str, Any]:
        window = request.window or self._windows.get(request.model) or self.prepare(request.model).window
        seed = {} if request.seed is None else {"seed": request.seed}
        return {
            "model": request.model,
            "messages": messages(request),
            "stream": True,
            "truncate": False,
            "shift": False,
            "keep_alive": KEEP_ALIVE,
            "options": {
                "num_ctx": window,
                "num_predict": request.max_tokens,
                "temperature": request.temperature,
                **seed,
            },
        }

    def _deltas(self, lines: Iterable[Line]) -> Iterator[Delta]:
        rest = iter(lines)
        for line, at in rest:
            if line.endswith(b"}"):
                yield _event(self._object(line), at)
            elif line.strip():
                raise self._stray(line, rest)


def _event(event: dict[str, Any], at: float) -> Delta:
    said = inner(event, "message")
    done = event.get("done") is True
    return Delta(
        at,
        content=word(said.get("content")) or "",
        reasoning=word(said.get("thinking")) or "",
        model=word(event.get("model")),
        finish_reason=word(event.get("done_reason")),
        counts=_counts(event) if done else None,
        report=_report(event) if done else None,
        done=done,
    )


def _counts(event: dict[str, Any]) -> Counts | None:
    """A count of zero is left out by Ollama, so an absent one is unknown."""
    prompt, completion = count(event.get("prompt_eval_count")), count(event.get("eval_count"))
    if prompt is None and completion is None:
        return None
    return Counts(prompt_tokens=prompt, completion_tokens=completion, source="server")


def _report(event: dict[str, Any]) -> EngineReport:
    """No prefill rate: the count has the cached tokens in it, the time has not, and nothing tells them."""
    eval_s, made = seconds(event.get("eval_duration"), _NS), count(event.get("eval_count"))
    return EngineReport(
        load_s=seconds(event.get("load_duration"), _NS),
        prompt_eval_s=seconds(event.get("prompt_eval_duration"), _NS),
        eval_s=eval_s,
        total_s=seconds(event.get("total_duration"), _NS),
        decode_tps=made / eval_s if made and eval_s else None,
    )


def _model_state(card: dict[str, Any], loaded: dict[str, int | None]) -> ModelState:
    name = _name(card)
    return ModelState(
        name,
        loaded=name in loaded,
        window=loaded.get(name),
        digest=word(card.get("digest")),
        quantization=word(inner(card, "details").get("quantization_level")),
    )


def _answers(card: dict[str, Any]) -> bool:
    """Embedding models do not; older versions say nothing."""
    return "completion" in (card.get("capabilities") or ["completion"])


def _name(card: dict[str, Any]) -> str:
    return str(card.get("model") or card.get("name"))


def _tagged(model: str) -> str:
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def _trained_window(shown: dict[str, Any]) -> int | None:
    info = inner(shown, "model_info")
    found = [value for key, value in info.items() if key.endswith(".context_length")]
    return count(found[0]) if found else None
