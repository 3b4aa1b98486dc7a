"""How each engine really writes on the wire: one class per engine, one entry in WIRES."""

import json
from typing import Any, ClassVar

from tests.contract.engine_server import Reply, Step, page
from worker_agent.completion import EngineReport
from worker_agent.engines import ENGINES, Engine

MODEL, OTHER, WINDOW = "tiny:1b", "other:7b", 4096


class SSEWire:
    """The OpenAI stream: role chunk, content chunks, finish chunk, usage chunk, `[DONE]`."""

    name: ClassVar[str] = "openai"
    content_type = "text/event-stream"
    chunk_object = "chat.completion.chunk"
    reasoning_field = "reasoning_content"
    keep_alive = b": keep-alive\n\n"
    keeps_window = True  # the list of models tells it
    report = EngineReport()
    cached: int | None = 7
    version: str | None = None
    slots: int | None = None
    overflow: ClassVar[tuple[int, Any]] = (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4096 tokens. However, you requested 5999 "
                "tokens (4999 in the messages, 1000 in the completion).",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
    )
    no_model: ClassVar[Any] = {"error": {"message": f"The model `{MODEL}` does not exist", "code": 404}}

    def engine(self, url: str, api_key: str | None = None) -> Engine:
        return ENGINES[self.name](url, api_key=api_key)

    @property
    def chat_path(self) -> str:
        return ENGINES[self.name].chat_path

    def chunk(self, model: str = MODEL, **rest: Any) -> bytes:
        body = {"id": "chatcmpl-1", "object": self.chunk_object, "created": 1, "model": model, **rest}
        return b"data: " + json.dumps(body).encode() + b"\n\n"

    def choice(self, delta: dict[str, Any], reason: str | None = None, model: str = MODEL) -> bytes:
        return self.chunk(model, choices=[{"index": 0, "delta": delta, "finish_reason": reason}])

    def role(self, model: str = MODEL) -> bytes:
        return self.choice({"role": "assistant", "content": None}, model=model)

    def text(self, piece: str) -> bytes:
        return self.choice({"content": piece})

    def thought(self, piece: str) -> bytes:
        return self.choice({self.reasoning_field: piece})

    def finish(self, reason: str = "stop", tokens: int | None = 3) -> list[bytes]:
        """All that comes after the last token; `tokens` None: the engine does not count."""
        usage = [self.chunk(choices=[], usage=self.usage(tokens))] if tokens is not None else []
        return [self.choice({}, reason), *usage, self.mark()]

    def usage(self, tokens: int) -> dict[str, Any]:
        details = {} if self.cached is None else {"prompt_tokens_details": {"cached_tokens": self.cached}}
        return {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": 11 + tokens, **details}

    def mark(self) -> bytes:
        return b"data: [DONE]\n\n"

    def broken(self) -> bytes:
        return b'data: {"choices": [{"del\n\n'

    def error(self, text: str) -> bytes:
        body = {"error": {"message": text, "type": "server_error", "code": 500}}
        return b"data: " + json.dumps(body).encode() + b"\n\n"

    def stream(self, *steps: Step, **how: Any) -> Reply:
        return Reply(steps, content_type=self.content_type, **how)

    def answer(self, *pieces: str, **how: Any) -> Reply:
        """A good answer in these pieces."""
        texts = (self.text(piece) for piece in pieces)
        return self.stream(self.role(), *texts, *self.finish(tokens=len(pieces)), **how)

    def pages(self) -> dict[str, Reply | list[Reply]]:
        """What the engine shows of itself; it has MODEL ready."""
        return {"/v1/models": page({"object": "list", "data": [{"id": MODEL, "max_model_len": WINDOW}]})}


class VLLMWire(SSEWire):
    name = "vllm"
    version = "0.16.0"
    overflow = (
        400,
        {
            "error": {
                "message": "You passed 4999 input tokens and requested 1000 output tokens. However, the "
                "model's context length is only 4096 tokens.",
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            }
        },
    )

    def pages(self) -> dict[str, Reply | list[Reply]]:
        card = {"id": MODEL, "object": "model", "owned_by": "vllm", "root": MODEL, "max_model_len": WINDOW}
        return {
            "/v1/models": page({"object": "list", "data": [card]}),
            "/version": page({"version": "0.16.0"}),
        }


class LlamaCppWire(SSEWire):
    name = "llama_cpp"
    version = "b10488-abc"
    slots = 4
    report = EngineReport(prompt_eval_s=0.25, eval_s=0.5, prefill_tps=16.0, decode_tps=6.0)
    overflow = (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 4999,
                "n_ctx": 4096,
            }
        },
    )

    def finish(self, reason: str = "stop", tokens: int | None = 3) -> list[bytes]:
        timings = {"cache_n": 7, "prompt_n": 4, "prompt_ms": 250.0, "prompt_per_second": 16.0}
        timings |= {"predicted_n": 3, "predicted_ms": 500.0, "predicted_per_second": 6.0}
        usage = {} if tokens is None else {"usage": self.usage(tokens)}
        return [self.choice({}, reason), self.chunk(choices=[], timings=timings, **usage), self.mark()]

    def pages(self) -> dict[str, Reply | list[Reply]]:
        props = {
            "total_slots": 4,
            "default_generation_settings": {"n_ctx": WINDOW},
            "build_info": self.version,
            "model_path": "/models/tiny.gguf",
        }
        card = {"id": MODEL, "owned_by": "llamacpp", "meta": {"n_ctx_train": 32768, "n_ctx": 4 * WINDOW}}
        return {"/props": page(props, Server="llama.cpp"), "/v1/models": page({"data": [card]})}


class ExoWire(SSEWire):
    name = "exo"
    chunk_object = "chat.completion"
    keeps_window = False
    report = EngineReport(prompt_eval_s=0.25, eval_s=0.5, prefill_tps=44.0, decode_tps=4.0)
    no_model: ClassVar[Any] = {"error": {"message": f"No instance found for model {MODEL}", "code": 404}}

    def finish(self, reason: str = "stop", tokens: int | None = 3) -> list[bytes]:
        usage = {} if tokens is None else {"usage": self.usage(tokens)}
        last = self.chunk(choices=[{"index": 0, "delta": {}, "finish_reason": reason}], **usage)
        stats = {"prompt_tps": 44.0, "generation_tps": 4.0, "prompt_tokens": 11, "generation_tokens": 3}
        return [last, b": generation_stats " + json.dumps(stats).encode() + b"\n\n", self.mark()]

    def error(self, text: str) -> bytes:
        return super().error(text) + self.mark()

    def pages(self) -> dict[str, Reply | list[Reply]]:
        shards = {"modelId": MODEL, "runnerToShard": {"runner-1": {}}}
        state = {
            "instances": {"i-1": {"MlxRingInstance": {"instanceId": "i-1", "shardAssignments": shards}}},
            "runners": {"runner-1": {"RunnerReady": {}}},
        }
        known = {"data": [{"id": MODEL}, {"id": "not-placed"}]}
        return {"/node_id": page("12D3KooW"), "/state": page(state), "/v1/models": page(known)}


class LMStudioWire(SSEWire):
    name = "lm_studio"
    slots = 4
    cached = None
    reasoning_field = "reasoning"
    report = EngineReport(prompt_eval_s=0.25, eval_s=0.5, decode_tps=6.0)
    overflow = (
        400,
        {
            "error": "Trying to keep the first 4999 tokens when context the overflows. However, the model is "
            "loaded with context length of only 4096 tokens, which is not enough."
        },
    )
    no_model: ClassVar[Any] = {
        "error": {"message": "No models loaded. Please load a model", "type": "invalid_request_error"}
    }

    def finish(self, reason: str = "stop", tokens: int | None = 3) -> list[bytes]:
        stats = {"tokens_per_second": 6.0, "time_to_first_token": 0.25, "generation_time": 0.5}
        usage = {} if tokens is None else {"usage": self.usage(tokens)}
        return [self.choice({}, reason), self.chunk(choices=[], stats=stats, **usage), self.mark()]

    def error(self, text: str) -> bytes:
        return b"event: error\ndata: " + json.dumps({"error": {"message": text}}).encode() + b"\n\n"

    def pages(self) -> dict[str, Reply | list[Reply]]:
        return {
            "/api/v1/models": page(
                {"models": [self.card(loaded=True), self.card("embed", kind="embedding")]}
            ),
            "/v1/models": page({"data": [{"id": MODEL}, {"id": "embed"}]}),
            "/node_id": page({"error": "Unexpected endpoint or method. (GET /node_id)"}),
        }

    def card(self, key: str = MODEL, loaded: bool = False, kind: str = "llm") -> dict[str, Any]:
        instance = {"id": key, "config": {"context_length": WINDOW, "parallel": 4}}
        return {
            "type": kind,
            "key": key,
            "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
            "max_context_length": 32768,
            "loaded_instances": [instance] if loaded else [],
        }


class SimulatorWire(SSEWire):
    name = "simulator"
    version = "1"
    slots = 4

    def pages(self) -> dict[str, Reply | list[Reply]]:
        models = [{"name": MODEL, "window": WINDOW}]
        return {"/simulator": page({"version": "1", "models": models, "slots": 4, "simulated": True})}


class OllamaWire(SSEWire):
    """NDJSON, one object per line; nanoseconds; a count of zero is left out."""

    name = "ollama"
    content_type = "application/x-ndjson"
    cached = None
    version = "0.30.1"
    report = EngineReport(load_s=0.125, prompt_eval_s=0.25, eval_s=0.5, total_s=1.0, decode_tps=6.0)
    overflow = (
        400,
        {"error": "the prompt is longer than the context length currently available to the model"},
    )
    no_model: ClassVar[Any] = {"error": f"model '{MODEL}' not found"}

    def line(self, message: dict[str, Any], model: str = MODEL, **rest: Any) -> bytes:
        body = {
            "model": model,
            "created_at": "2026-01-01T00:00:00Z",
            "message": message,
            "done": False,
            **rest,
        }
        return json.dumps(body).encode() + b"\n"

    def role(self, model: str = MODEL) -> bytes:
        return self.line({"role": "assistant", "content": ""}, model)

    @property
    def keep_alive(self) -> bytes:  # type: ignore[override]
        return self.role()

    def text(self, piece: str) -> bytes:
        return self.line({"role": "assistant", "content": piece})

    def thought(self, piece: str) -> bytes:
        return self.line({"role": "assistant", "content": "", "thinking": piece})

    def finish(self, reason: str = "stop", tokens: int | None = 3) -> list[bytes]:
        times = {"total_duration": 1_000_000_000, "load_duration": 125_000_000}
        times |= {"prompt_eval_duration": 250_000_000, "eval_duration": 500_000_000}
        counts = {} if tokens is None else {"prompt_eval_count": 11, "eval_count": tokens}
        end = {"done": True, "done_reason": reason}
        return [self.line({"role": "assistant", "content": ""}, **end, **times, **counts)]

    def mark(self) -> bytes:
        return self.line({"role": "assistant", "content": ""}, done=True)

    def broken(self) -> bytes:
        return b'{"model": "tiny:1b", "mess\n'

    def error(self, text: str) -> bytes:
        return json.dumps({"error": text}).encode() + b"\n"

    def pages(self) -> dict[str, Reply | list[Reply]]:
        card = {
            "name": MODEL,
            "model": MODEL,
            "digest": "sha256:1",
            "details": {"quantization_level": "Q4_0"},
        }
        embed = card | {"name": "embed", "model": "embed", "capabilities": ["embedding"]}
        return {
            "/": Reply((b"Ollama is running",), content_type="text/plain"),
            "/api/version": page({"version": "0.30.1"}),
            "/api/tags": page({"models": [embed, card | {"capabilities": ["completion"]}]}),
            "/api/ps": page({"models": [card | {"context_length": WINDOW}]}),
            "/api/show": page({"model_info": {"llama.context_length": 131072}}),
        }


WIRES: dict[str, SSEWire] = {
    wire.name: wire
    for wire in (
        SSEWire(),
        VLLMWire(),
        LlamaCppWire(),
        ExoWire(),
        LMStudioWire(),
        SimulatorWire(),
        OllamaWire(),
    )
}
