"""What an engine's refusal means: status and error text to the error tree. Pure; no network.

The wordings are those of llama.cpp, Ollama, LM Studio, Exo, vLLM and OpenAI.
"""

import json
import re
from typing import Any

from worker_agent.errors import (
    BadReply,
    ContextOverflow,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    ModelNotFound,
    RequestRejected,
)

TEXT_CHARS = 300

_OVERFLOW = re.compile(
    r"exceed_context_size|context_length_exceeded"
    r"|exceeds? the (?:\w+ )?context (?:size|length|window)"
    r"|longer than the (?:context|maximum model) length|(?:maximum|model's) context length is"
    r"|context the overflows|greater than the context length",
    re.I,
)
_NO_MODEL = re.compile(r"model_not_found|model ['\"]?\S+ (?:was )?not found|invalid model identifier", re.I)
_LOADING = re.compile(r"loading model", re.I)

_PROMPT_TOKENS = (
    r"n_prompt_tokens\W{1,4}(\d+)",
    r"request \((\d+) tokens\)",
    r"(\d+) input tokens",
    r"\((\d+) in the messages",
    r"prompt \(length (\d+)\)",
    r"keep the first (\d+) tokens",
    r"(?:requested|contains) (\d+) tokens",
    r"resulted in (\d+) tokens",
)
_WINDOW_TOKENS = (
    r"n_ctx\W{1,4}(\d+)",
    r"context (?:size|length|window)\D{0,30}?(\d+)",
    r"maximum model length of (\d+)",
)


def overflow_numbers(message: str) -> tuple[int | None, int | None]:
    """Prompt tokens and window as the engine counted them, from the message of a ContextOverflow."""
    return _first(_PROMPT_TOKENS, message), _first(_WINDOW_TOKENS, message)


def _first(patterns: tuple[str, ...], message: str) -> int | None:
    for pattern in patterns:
        if found := re.search(pattern, message, re.I):
            return int(found[1])
    return None


def refusal(status: int, reply: bytes | dict[str, Any], where: str) -> EngineError:
    """The error that an HTTP status and its body mean."""
    text = error_text(reply)
    message = f"{where}: HTTP {status}: {text}" if text else f"{where}: HTTP {status}"
    return _kind(status, text)(message + (" (needs an API key)" if status in (401, 403) else ""))


def stream_refusal(event: dict[str, Any], where: str) -> EngineError:
    """The error that an error event within a stream means; a code it carries counts as the status."""
    error = event.get("error")
    code = error.get("code") if isinstance(error, dict) else event.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    text = error_text(event)
    return _kind(status, text)(f"{where}: error in the stream: {text}")


def _kind(status: int, text: str) -> type[EngineError]:
    if status in (401, 403):
        return RequestRejected
    if status in (429, 503):
        return EngineUnavailable if _LOADING.search(text) else EngineOverloaded
    if status in (502, 504):
        return EngineUnavailable
    return _by_text(status, text)


def _by_text(status: int, text: str) -> type[EngineError]:
    if _OVERFLOW.search(text):
        return ContextOverflow
    if status == 404 or _NO_MODEL.search(text):
        return ModelNotFound
    if 400 <= status < 500 or status == 501:
        return RequestRejected
    return BadReply


def error_text(reply: bytes | dict[str, Any]) -> str:
    """The engine's own words, on one line and of bounded length."""
    parsed = _parse(reply) if isinstance(reply, bytes) else reply
    if not isinstance(parsed, dict):
        return first_words(reply if isinstance(reply, bytes) else b"")
    error = parsed.get("error", parsed.get("detail", parsed))
    if not isinstance(error, dict):
        return _line(str(error))
    facts = [f"{key} {error[key]}" for key in ("type", "n_prompt_tokens", "n_ctx") if error.get(key)]
    code = error.get("code")
    if isinstance(code, str):
        facts.insert(0, code)
    text = _line(str(error.get("message") or json.dumps(error)))
    return f"{text} ({', '.join(facts)})" if facts else text


def first_words(body: bytes) -> str:
    """The start of a body that is not in the engine's language."""
    return _line(body[: 4 * TEXT_CHARS].decode("utf-8", "replace"))


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + "…"


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
