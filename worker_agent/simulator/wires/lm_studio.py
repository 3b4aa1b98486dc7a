"""LM Studio 0.4: its own `/api/v1/models` routes for what is loaded, OpenAI's format for chat."""

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from worker_agent.simulator.line import Line
from worker_agent.simulator.machine import Ask, Served
from worker_agent.simulator.wires.base import Refused, Reply, overflow
from worker_agent.simulator.wires.openai import OpenAIWire


class LMStudioWire(OpenAIWire):
    """Loads on demand; no role-only chunk and no cached tokens; prompts over the window are refused inside
    the stream, with status 200."""

    version: ClassVar[str] = "0.4.0"

    def pages(self) -> Mapping[str, Callable[[], Reply]]:
        return {"/v1/models": self._listed_models, "/api/v1/models": self._native_models}

    def actions(self) -> Mapping[str, Callable[[dict[str, Any], Line], Reply]]:
        return {"/api/v1/models/load": self._load}

    def lost(self, method: str, path: str) -> Reply:
        """Unknown routes are answered with 200, so that a probe must look at the body."""
        return Reply({"error": f"Unexpected endpoint or method. ({method} {path})"})

    def unknown_model(self, model: str) -> Reply:
        message = "No models loaded. Please load a model in the developer page or use the 'lms load' command."
        return self.error(404, message, param="model")

    def fit(self, ask: Ask) -> Ask:
        window = self.machine.window_of(ask.model)
        tokens = overflow(ask, window)
        if not tokens:
            return ask
        message = (
            f"Trying to keep the first {tokens} tokens when context the overflows. However, the model is "
            f"loaded with context length of only {window} tokens, which is not enough. "
            "Try to load the model with a larger context length, or provide a shorter input"
        )
        if not ask.stream:
            raise Refused(Reply({"error": message}, 400))
        event = json.dumps({"error": {"message": message}, "message": message})
        raise Refused(Reply(f"event: error\ndata: {event}\n\n", 200, self.stream_type))

    def opening(self, ask: Ask) -> bytes:
        return b""

    def usage(self, served: Served) -> dict[str, Any]:
        usage = super().usage(served)
        del usage["prompt_tokens_details"]
        return usage

    def _native_models(self) -> Reply:
        return Reply({"models": [self._native_model(name) for name in self.profile.models]})

    def _native_model(self, name: str) -> dict[str, Any]:
        window = self.machine.loaded.get(name)
        config = {"context_length": window, "parallel": self.profile.slots, "flash_attention": True}
        return {
            "type": "llm", "key": name, "display_name": name, "architecture": "simulated",
            "quantization": {"name": "Q4_K_M", "bits_per_weight": 4}, "size_bytes": 0, "params_string": None,
            "max_context_length": self.profile.window, "format": "gguf",
            "capabilities": {"vision": False, "trained_for_tool_use": False},
            "loaded_instances": [{"id": name, "config": config}] if window else [],
        }  # fmt: skip

    def _listed_models(self) -> Reply:
        models = [
            {"id": name, "object": "model", "owned_by": "organization_owner"} for name in self.profile.models
        ]
        return Reply({"object": "list", "data": models})

    def _load(self, body: dict[str, Any], line: Line) -> Reply:
        model = self.check_model(str(body.get("model", "")))
        # A model that is there gets another instance: whoever asks twice has two copies.
        took_s = self.machine.load(model, body.get("context_length"), line, again=True)
        loaded = {"type": "llm", "instance_id": model, "load_time_seconds": took_s, "status": "loaded"}
        return Reply(loaded | {"load_config": {"context_length": self.machine.window_of(model)}})
