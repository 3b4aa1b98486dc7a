"""The meaning of refusals, and the numbers in them."""

import pytest

from worker_agent.engines.refusal import error_text, overflow_numbers, refusal, stream_refusal
from worker_agent.errors import BadReply, ContextOverflow, EngineOverloaded, ModelNotFound, RequestRejected

OVERFLOWS = [
    ("request (5210 tokens) exceeds the available context size (4096 tokens), try increasing it", 5210, 4096),
    ("You passed 4999 input tokens and requested 9 output tokens. However, the model's context length is "
     "only 4096 tokens", 4999, 4096),
    ("This model's maximum context length is 2048 tokens. However, you requested 3048 tokens (2900 in the "
     "messages, 148 in the completion).", 2900, 2048),
    ("This model's maximum context length is 2048 tokens. However, your messages resulted in 2500 tokens.",
     2500, 2048),
    ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 5000, 4096),
    ("Trying to keep the first 4521 tokens when context the overflows. However, the model is loaded with "
     "context length of only 4096 tokens, which is not enough.", 4521, 4096),
    ("The number of tokens to keep from the initial prompt is greater than the context length.", None, None),
    ("the prompt is longer than the context length currently available to the model", None, None),
    ("the input length exceeds the context length", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "prompt_tokens", "window"), OVERFLOWS)
@pytest.mark.parametrize("status", [400, 500])
def test_every_wording_of_an_overflow_is_understood(
    text: str, prompt_tokens: int | None, window: int | None, status: int
) -> None:
    """Whatever the status, and with the engine's numbers where it gives any."""
    error = refusal(status, b'{"error": {"message": "%s"}}' % text.encode(), "here")
    assert type(error) is ContextOverflow
    assert overflow_numbers(str(error)) == (prompt_tokens, window)


def test_numbers_beside_the_text_are_kept() -> None:
    """llama.cpp gives them as fields, not in its sentence."""
    event = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}
    event["error"] |= {"n_prompt_tokens": 5210, "n_ctx": 4096}
    assert overflow_numbers(str(stream_refusal(event, "here"))) == (5210, 4096)


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "busy", "code": 503}},
        {"object": "error", "message": "busy", "code": 503},
    ],
)
def test_an_error_event_may_carry_a_status(event: dict[str, object]) -> None:
    """Its code decides as an HTTP status would; without one the engine failed."""
    assert type(stream_refusal(event, "here")) is EngineOverloaded
    assert type(stream_refusal({"error": "llama runner crashed"}, "here")) is BadReply


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error": "model \'x\' not found"}', ModelNotFound),
        (400, b'{"error": {"message": "unknown", "code": "model_not_found"}}', ModelNotFound),
        (501, b'{"error": {"message": "not supported"}}', RequestRejected),
        (422, b'{"detail": "field required"}', RequestRejected),
        (418, b"", RequestRejected),
        (301, b"", BadReply),
        (500, b"", BadReply),
    ],
)
def test_a_refusal_has_its_leaf(status: int, body: bytes, error: type[Exception]) -> None:
    """Text and status together decide."""
    assert type(refusal(status, body, "here")) is error


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "plain"}', "plain"),
        (b'{"error": {"message": "deep"}}', "deep"),
        (b'{"detail": [{"loc": 1}]}', "[{'loc': 1}]"),
        (b'{"message": "bare"}', "bare"),
        (b"<html>\n  <b>Bad</b>\n</html>", "<html> <b>Bad</b> </html>"),
        (b"[1, 2]", "[1, 2]"),
        (b"", ""),
    ],
)
def test_error_texts_are_found_wherever_they_stand(body: bytes, text: str) -> None:
    """On one line, in the engine's own words."""
    assert error_text(body) == text
