"""Any server with the OpenAI chat API, and the base of every engine that speaks it (SSE)."""

from collections.abc import Iterable, Iterator
from typing import Any

from worker_agent.completion import Counts, EngineReport, EngineState, ModelState, Request
from worker_agent.engines.answer import Delta
from worker_agent.engines.base import Engine, Line
from worker_agent.engines.page import cards, count, inner, word

_OTHER_FIELDS = (b"event:", b"id:", b"retry:")
_WINDOW_KEYS = ("max_model_len", "context_length", "n_ctx")


class OpenAI(Engine):
    """A server of which we know nothing but the API; its window is unknown unless it lists one."""

    name = "openai"
    default_port = 8000
    chat_path = "/v1/chat/completions"

    def recognises(self, timeout_s: float) -> bool:
        return isinstance(self._try("/v1/models", timeout_s).json().get("data"), list)

    def state(self, timeout_s: float = 2.0) -> EngineState:
        page = self._fetch("/v1/models", timeout_s)
        models = tuple(_model_state(card) for card in cards(page.json(), "data"))
        return EngineState(self.name, None, models, simulated=page.simulated, time_scale=page.time_scale)

    def _chat(self, request: Request) -> dict[str, Any]:
        seed = {} if request.seed is None else {"seed": request.seed}
        return {
            "model": request.model,
            "messages": messages(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
            **seed,
        }

    def _deltas(self, lines: Iterable[Line]) -> Iterator[Delta]:
        rest = iter(lines)
        for line, at in rest:
            if line.startswith(b"data:"):
                yield self._event(line[5:].strip(), at)
            elif line.startswith(b":"):
                yield self._comment(line[1:].strip(), at)
            elif line.strip() and not line.startswith(_OTHER_FIELDS):
                raise self._stray(line, rest)

    def _event(self, text: bytes, at: float) -> Delta:
        if text == b"[DONE]":
            return Delta(at, done=True)
        chunk = self._object(text)
        choice = next(iter(cards(chunk, "choices")), {})
        said = inner(choice, "delta")
        return Delta(
            at,
            content=word(said.get("content")) or "",
            reasoning=word(said.get("reasoning_content")) or word(said.get("reasoning")) or "",
            model=word(chunk.get("model")),
            finish_reason=word(choice.get("finish_reason")),
            counts=_counts(inner(chunk, "usage")),
            report=self._report(chunk),
        )

    def _comment(self, text: bytes, at: float) -> Delta:
        """A keep-alive, where the engine has nothing better to say in a comment."""
        return Delta(at)

    def _report(self, chunk: dict[str, Any]) -> EngineReport | None:
        """The engine's own times, where a chunk carries them."""
        return None


def messages(request: Request) -> list[dict[str, str]]:
    """The chat that every engine gets: system text first, so that all prompts of a paper share it."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, {"role": "user", "content": request.prompt}]


def _counts(usage: dict[str, Any]) -> Counts | None:
    if not usage:
        return None
    return Counts(
        prompt_tokens=count(usage.get("prompt_tokens")),
        completion_tokens=count(usage.get("completion_tokens")),
        reasoning_tokens=count(inner(usage, "completion_tokens_details").get("reasoning_tokens")),
        cached_tokens=count(inner(usage, "prompt_tokens_details").get("cached_tokens")),
        source="server",
    )


def _model_state(card: dict[str, Any]) -> ModelState:
    window = next((card[key] for key in _WINDOW_KEYS if count(card.get(key))), None)
    return ModelState(str(card.get("id")), loaded=True, window=window)
