"""Every way in which an engine can fail to answer, and the error a user sees for it."""

import json
import socket

import pytest

from tests.contract.bench import Bench
from tests.contract.engine_server import Drop, Hang, Pause, Reply, page
from tests.contract.wires import MODEL
from tests.nearest import nearest
from worker_agent.completion import Limits
from worker_agent.engines import Call
from worker_agent.engines.refusal import overflow_numbers
from worker_agent.errors import (
    BadReply,
    CallCancelled,
    ContextOverflow,
    EngineError,
    EngineOverloaded,
    EngineTimeout,
    EngineUnavailable,
    ModelNotFound,
    RequestRejected,
    StreamDropped,
)

HASTY = Limits(connect_s=5, first_token_s=0.15, between_tokens_s=0.15)
PATIENT = Limits(connect_s=5, first_token_s=30, between_tokens_s=30)


def test_a_refused_connection_names_the_address(bench: Bench) -> None:
    """Nothing listens: unavailable, with the URL and the reason in words, not as a number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        bench.engine.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(EngineUnavailable, match=f"{bench.engine.url}[^ ]*: Connection refused"):
            bench.complete()


def test_an_unknown_name_is_unavailable(bench: Bench) -> None:
    """A host name that does not resolve is an engine that is not there."""
    bench.engine.url = "http://no-such-host.invalid:1234"
    with pytest.raises(EngineUnavailable, match=r"no-such-host\.invalid"):
        bench.complete()


def test_a_reset_before_any_byte_is_unavailable(bench: Bench) -> None:
    """The engine died before it answered: nothing was paid for, try elsewhere."""
    with pytest.raises(EngineUnavailable):
        bench.complete(Reply(before=(Drop(),)))


def test_something_that_is_not_http_is_a_bad_reply(bench: Bench) -> None:
    """Another protocol behind the port."""
    with pytest.raises(BadReply, match="not HTTP"):
        bench.complete(Reply(before=(b"220 mail ready\r\n", Drop())))


def test_a_missing_model_is_named(bench: Bench) -> None:
    """404 becomes ModelNotFound with the engine's own words."""
    words = bench.wire.no_model["error"]
    text = words if isinstance(words, str) else words["message"]
    with pytest.raises(ModelNotFound) as caught:
        bench.complete(page(bench.wire.no_model, 404))
    assert text in str(caught.value)
    assert bench.engine.url in str(caught.value)


def test_an_overflow_keeps_the_engines_numbers(bench: Bench) -> None:
    """A prompt beyond the window is ContextOverflow; its message tells how far, where the engine does."""
    status, body = bench.wire.overflow
    with pytest.raises(ContextOverflow) as caught:
        bench.complete(page(body, status))
    counted = (None, None) if bench.wire.name == "ollama" else (4999, 4096)
    assert overflow_numbers(str(caught.value)) == counted


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "bad option", RequestRejected),
        (401, "Invalid API key", RequestRejected),
        (403, "Forbidden", RequestRejected),
        (429, "slow down", EngineOverloaded),
        (500, "model runner has unexpectedly stopped", BadReply),
        (502, "bad gateway", EngineUnavailable),
        (503, "server busy, please try again", EngineOverloaded),
        (503, "Loading model", EngineUnavailable),
        (504, "gateway timeout", EngineUnavailable),
    ],
)
def test_a_status_becomes_its_error(bench: Bench, status: int, text: str, error: type[Exception]) -> None:
    """Each HTTP status has its leaf of the tree, and the engine's text stands in the message."""
    with pytest.raises(error, match=text):
        bench.complete(page({"error": {"message": text, "code": status}}, status))


def test_a_key_is_asked_for_and_never_shown(bench: Bench) -> None:
    """401 says that a key is needed; a server that quotes the key does not get it into our logs."""
    with pytest.raises(RequestRejected, match="needs an API key") as caught:
        bench.complete(page({"error": {"message": "Incorrect key: secret-key"}}, 401))
    assert "secret-key" not in str(caught.value)


def test_a_long_error_text_is_shortened(bench: Bench) -> None:
    """An engine that dumps a log does not fill the results."""
    with pytest.raises(BadReply) as caught:
        bench.complete(page({"error": "x" * 100_000}, 500))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("status", [200, 500])
def test_a_web_page_is_no_answer(bench: Bench, status: int) -> None:
    """HTML, even with HTTP 200, is a bad reply, shown by its first words."""
    html = b"<!DOCTYPE html>\n<html><title>Router login</title>"
    with pytest.raises(BadReply, match="Router login"):
        bench.complete(Reply((html,), status, content_type="text/html"))


def test_an_error_with_status_200_is_an_error(bench: Bench) -> None:
    """A plain error object instead of a stream, which claims success, is not one."""
    body = json.dumps({"error": {"message": "something broke", "code": 500}}, indent=1).encode()
    with pytest.raises(BadReply, match="something broke"):
        bench.complete(Reply((body,)))


def test_broken_json_is_a_bad_reply(bench: Bench) -> None:
    """Half an object in the stream ends the call."""
    wire = bench.wire
    with pytest.raises(BadReply, match="unreadable"):
        bench.complete(wire.stream(wire.text("a"), wire.broken(), *wire.finish()))


def test_an_error_within_the_stream_is_an_error(bench: Bench) -> None:
    """What came before it is not an answer."""
    wire = bench.wire
    with pytest.raises(BadReply, match="out of memory"):
        bench.complete(wire.stream(wire.text("a"), wire.error("out of memory"), *wire.finish()))


@pytest.mark.parametrize("chunked", [True, False])
def test_a_reset_within_the_stream_is_a_dropped_stream(bench: Bench, chunked: bool) -> None:
    """The engine died while it answered."""
    wire = bench.wire
    with pytest.raises(StreamDropped, match=bench.engine.url):
        bench.complete(wire.stream(wire.role(), wire.text("a"), Drop(), chunked=chunked))


@pytest.mark.parametrize("chunked", [True, False])
def test_an_end_without_its_mark_is_a_dropped_stream(bench: Bench, chunked: bool) -> None:
    """A connection that closes in good order is no proof that the answer is whole."""
    wire = bench.wire
    with pytest.raises(StreamDropped, match="end mark"):
        bench.complete(wire.stream(wire.role(), wire.text("a"), chunked=chunked))


def test_an_end_without_a_reason_is_a_dropped_stream(bench: Bench) -> None:
    """Ollama ends so when the connection to its runner closed."""
    wire = bench.wire
    with pytest.raises(StreamDropped, match="finish reason"):
        bench.complete(wire.stream(wire.text("a"), wire.mark()))


def test_an_aborted_answer_is_a_dropped_stream(bench: Bench) -> None:
    """vLLM ends a request that it gave up with the finish reason `abort`."""
    wire = bench.wire
    with pytest.raises(StreamDropped, match="abort"):
        bench.complete(wire.stream(wire.text("a"), *wire.finish("abort")))


def test_silence_before_the_headers_is_a_timeout(bench: Bench) -> None:
    """The engine took the request and says nothing at all."""
    with pytest.raises(EngineTimeout, match=r"no first token within 0\.15 s"):
        bench.complete(Reply(before=(Hang(),)), HASTY)
    assert bench.server.hung_up.wait(1), "the engine was left working"


def test_silence_before_the_first_token_is_a_timeout(bench: Bench) -> None:
    """Headers and a role chunk are no token."""
    wire = bench.wire
    with pytest.raises(EngineTimeout, match=r"no first token within 0\.15 s"):
        bench.complete(wire.stream(wire.role(), Hang()), HASTY)
    assert bench.server.hung_up.wait(1), "the engine was left working"


def test_keep_alives_do_not_extend_the_limit(bench: Bench) -> None:
    """An engine that only ever says that it is alive is silent."""
    wire = bench.wire
    with pytest.raises(EngineTimeout, match="no first token"):
        bench.complete(wire.stream(wire.role(), Hang(wire.keep_alive)), HASTY)


def test_silence_between_tokens_is_a_timeout(bench: Bench) -> None:
    """A stall in mid-answer, keep-alives or not, is named as such."""
    wire = bench.wire
    patient_at_first = Limits(connect_s=5, first_token_s=5, between_tokens_s=0.15)
    with pytest.raises(EngineTimeout, match=r"no further token within 0\.15 s"):
        bench.complete(wire.stream(wire.text("a"), Hang(wire.keep_alive)), patient_at_first)


def test_tokens_extend_the_limit(bench: Bench) -> None:
    """A slow answer that never stalls may take longer than either limit."""
    wire = bench.wire
    limits = Limits(connect_s=5, first_token_s=0.28, between_tokens_s=0.28)
    steps = [step for piece in "abc" for step in (Pause(0.1), wire.text(piece))]

    def answered() -> str | EngineTimeout:
        try:
            return bench.complete(wire.stream(*steps, *wire.finish()), limits).text
        except EngineTimeout as stalled:  # so the server may, where others have its core
            return stalled

    assert nearest(answered, lambda said: said != "abc") == "abc"


@pytest.mark.parametrize("moment", ["before headers", "before the first token", "mid-stream"])
def test_cancel_stops_the_engine(bench: Bench, moment: str) -> None:
    """The waiting thread gets CallCancelled, and the engine sees the connection close, at once."""
    wire = bench.wire
    reply = {
        "before headers": Reply(before=(Hang(),)),
        "before the first token": wire.stream(wire.role(), Hang()),
        "mid-stream": wire.stream(wire.text("a"), Hang()),
    }[moment]
    call = Call(PATIENT)
    end = bench.begin(reply, call)
    assert bench.server.hanging.wait(5)
    call.cancel()
    assert bench.server.hung_up.wait(1)
    assert isinstance(end(), CallCancelled)
    assert call.cancelled


def test_a_call_cancelled_beforehand_sends_nothing(bench: Bench) -> None:
    """No work is begun for somebody who has gone."""
    call = Call(PATIENT)
    call.cancel()
    assert isinstance(bench.begin(bench.wire.answer("x", "y"), call)(), CallCancelled)
    assert not bench.server.requests_to(bench.wire.chat_path)


def test_a_finished_call_may_be_cancelled(bench: Bench) -> None:
    """A cancel that comes too late changes nothing."""
    call = Call(PATIENT)
    done = bench.begin(bench.wire.answer("x", "y"), call)()
    call.cancel()
    assert getattr(done, "text", done) == "xy"
    assert bench.server.asked[-1].body["model"] == MODEL


def test_an_error_knows_the_status_of_the_reply(bench: Bench) -> None:
    """That of the refusal; 200 where the stream broke later; none where no reply began."""
    wire = bench.wire
    statuses = []
    for reply in (page({"error": "busy"}, 503), wire.stream(wire.text("a")), Reply(before=(Drop(),))):
        with pytest.raises(EngineError) as failed:
            bench.complete(reply)
        statuses.append(failed.value.http_status)
    assert statuses == [503, 200, None]
