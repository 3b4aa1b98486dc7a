"""Ollama's native format: newline-delimited JSON, durations in nanoseconds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar

from worker_agent.simulator.line import Line
from worker_agent.simulator.machine import Ask, Served
from worker_agent.simulator.wires.base import Refused, Reply, Wire, overflow

DEFAULT_WINDOW = 4096  # what Ollama gives a request without num_ctx on a small machine
TOO_LONG = "the prompt is longer than the context length currently available to the model"


class OllamaWire(Wire):
    """A request's `num_ctx` decides the window, reloading the model where it differs; a prompt over it is
    cut to half without a word, unless the request says `truncate: false`."""

    version: ClassVar[str] = "0.30.0"
    chat_path: ClassVar[str] = "/api/chat"
    stream_type: ClassVar[str] = "application/x-ndjson"
    streams_by_default: ClassVar[bool] = True

    def pages(self) -> Mapping[str, Callable[[], Reply]]:
        return {
            "/": lambda: Reply("Ollama is running", content_type="text/plain; charset=utf-8"),
            "/api/version": lambda: Reply({"version": self.version}),
            "/api/tags": lambda: Reply({"models": [self._tag(name) for name in self.profile.models]}),
            "/api/ps": lambda: Reply(
                {"models": [self._running(*one) for one in self.machine.loaded.items()]}
            ),
        }

    def actions(self) -> Mapping[str, Callable[[dict[str, Any], Line], Reply]]:
        return {"/api/show": self._show, "/api/generate": self._load}

    def lost(self, method: str, path: str) -> Reply:
        return Reply("404 page not found", 404, "text/plain")

    def error(self, status: int, message: str) -> Reply:
        return Reply({"error": message}, status)

    def unknown_model(self, model: str) -> Reply:
        return self.error(404, f"model '{model}' not found")

    def settings(self, body: dict[str, Any]) -> dict[str, Any]:
        options = body.get("options") or {}
        allowance = options.get("num_predict", -1)
        return {
            "max_tokens": allowance if allowance > 0 else None,
            "seed": options.get("seed"),
            "window": options.get("num_ctx", DEFAULT_WINDOW),
            "truncate": body.get("truncate", True),
        }

    def fit(self, ask: Ask) -> Ask:
        window = self.machine.window_of(ask.model, ask.window)
        if not overflow(ask, window):
            return ask
        if not ask.truncate:
            raise Refused(self.error(400, TOO_LONG))
        kept = ask.prompt.encode()[-4 * (window // 2 + 2) :]
        return replace(ask, prompt=kept.decode(errors="ignore"))

    def delta(self, ask: Ask, text: str) -> bytes:
        return _line(ask.model, message={"role": "assistant", "content": text}, done=False)

    def closing(self, ask: Ask, served: Served) -> bytes:
        return _line(ask.model, message={"role": "assistant", "content": ""}, **_end(served))

    def whole(self, ask: Ask, text: str, served: Served) -> Reply:
        message = {"role": "assistant", "content": text}
        return Reply(_line(ask.model, message=message, **_end(served)).decode())

    def _tag(self, name: str) -> dict[str, Any]:
        details = {
            "format": "gguf",
            "family": "simulated",
            "parameter_size": "0B",
            "quantization_level": "Q4_K_M",
        }
        digest = sha256(name.encode()).hexdigest()
        about = {"name": name, "model": name, "size": 0, "digest": digest, "modified_at": _utc()}
        return about | {"details": details, "capabilities": ["completion"]}

    def _running(self, name: str, window: int) -> dict[str, Any]:
        return self._tag(name) | {"size_vram": 0, "expires_at": _utc(), "context_length": window}

    def _show(self, body: dict[str, Any], line: Line) -> Reply:
        tag = self._tag(self.check_model(str(body.get("model") or body.get("name", ""))))
        trained = {"general.architecture": "simulated", "simulated.context_length": self.profile.window}
        return Reply({"details": tag["details"], "model_info": trained, "capabilities": tag["capabilities"]})

    def _load(self, body: dict[str, Any], line: Line) -> Reply:
        """`/api/generate` with only a model: load it."""
        if body.get("prompt"):
            return self.error(501, "the simulator answers on /api/chat only")
        model = self.check_model(str(body.get("model", "")))
        window = (body.get("options") or {}).get("num_ctx", DEFAULT_WINDOW)
        self.machine.load(model, window, line)
        return Reply(_line(model, response="", done=True, done_reason="load").decode())


def _end(served: Served) -> dict[str, Any]:
    """Counts are of the whole prompt, `prompt_eval_duration` of its uncached part; zeros are left out."""
    counts = {"prompt_eval_count": served.prompt_tokens, "eval_count": served.completion_tokens}
    seconds = {
        "total_duration": served.load_s + served.prefill_s + served.decode_s,
        "load_duration": served.load_s,
        "prompt_eval_duration": served.prefill_s,
        "eval_duration": served.decode_s,
    }
    numbers = counts | {name: round(value * 1e9) for name, value in seconds.items()}
    return {"done": True, "done_reason": served.finish} | {name: n for name, n in numbers.items() if n}


def _line(model: str, **more: Any) -> bytes:
    return json.dumps({"model": model, "created_at": _utc()} | more).encode() + b"\n"


def _utc() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
