"""OpenAI's chat completions (server-sent events), as the engines that call themselves compatible speak it."""

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from worker_agent.simulator.answer import count_tokens
from worker_agent.simulator.machine import Ask, Served
from worker_agent.simulator.wires.base import Refused, Reply, Wire, now


class OpenAIWire(Wire):
    """`/v1/models` and `/v1/chat/completions`; usage with cached tokens."""

    version: ClassVar[str] = "v1"
    chat_path: ClassVar[str] = "/v1/chat/completions"
    stream_type: ClassVar[str] = "text/event-stream"

    def pages(self) -> Mapping[str, Callable[[], Reply]]:
        return {"/v1/models": self._models, "/health": lambda: Reply({"status": "ok"})}

    def lost(self, method: str, path: str) -> Reply:
        return self.error(404, f"no route {method} {path}")

    def error(self, status: int, message: str, **more: str | None) -> Reply:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return Reply(
            {"error": {"message": message, "type": kind, "param": None, "code": None} | more}, status
        )

    def unknown_model(self, model: str) -> Reply:
        message = f"The model `{model}` does not exist or you do not have access to it."
        return self.error(404, message, code="model_not_found")

    def settings(self, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
            "seed": body.get("seed"),
            "with_usage": bool((body.get("stream_options") or {}).get("include_usage")),
        }

    def fit(self, ask: Ask) -> Ask:
        """Prompt and allowance together must fit, as OpenAI and vLLM have it."""
        prompt, allowance = count_tokens(ask.prompt), ask.max_tokens or 1
        if prompt + allowance <= self.profile.window:
            return ask
        message = (
            f"This model's maximum context length is {self.profile.window} tokens. However, you requested "
            f"{prompt + allowance} tokens ({prompt} in the messages, {allowance} in the completion)."
        )
        raise Refused(self.error(400, message, param="messages", code="context_length_exceeded"))

    def opening(self, ask: Ask) -> bytes:
        """The role-only chunk: no token, and a trap for whoever measures by it."""
        return self._chunk(ask, [_choice({"role": "assistant", "content": ""})])

    def delta(self, ask: Ask, text: str) -> bytes:
        return self._chunk(ask, [_choice({"content": text})])

    def closing(self, ask: Ask, served: Served) -> bytes:
        end = self._chunk(ask, [_choice({}, served.finish)])
        if ask.with_usage:
            end += self._chunk(ask, [], usage=self.usage(served))
        return end + b"data: [DONE]\n\n"

    def whole(self, ask: Ask, text: str, served: Served) -> Reply:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": served.finish}
        return Reply(self._envelope(ask, "chat.completion", [choice]) | {"usage": self.usage(served)})

    def usage(self, served: Served) -> dict[str, Any]:
        """Tokens as this wire reports them."""
        total = served.prompt_tokens + served.completion_tokens
        counts = {"prompt_tokens": served.prompt_tokens, "completion_tokens": served.completion_tokens}
        return counts | {
            "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": served.cached_tokens},
        }

    def _models(self) -> Reply:
        entry = {"object": "model", "created": now(), "owned_by": "simulator"}
        models = [{"id": name, "max_model_len": self.profile.window} | entry for name in self.profile.models]
        return Reply({"object": "list", "data": models})

    def _envelope(self, ask: Ask, kind: str, choices: list[Any]) -> dict[str, Any]:
        about = {"id": f"chatcmpl-{ask.id}", "object": kind, "created": now(), "model": ask.model}
        return about | {"choices": choices}

    def _chunk(self, ask: Ask, choices: list[Any], **more: Any) -> bytes:
        return (
            b"data: "
            + json.dumps(self._envelope(ask, "chat.completion.chunk", choices) | more).encode()
            + b"\n\n"
        )


def _choice(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}
