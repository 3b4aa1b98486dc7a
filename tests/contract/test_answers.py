"""What every engine's adapter makes of an answer, however the engine streams it."""

import pytest

from tests.contract.bench import Bench, Seen
from tests.contract.engine_server import Pause
from tests.contract.wires import MODEL, WIRES
from worker_agent.completion import Counts, EngineReport
from worker_agent.engines import ENGINES
from worker_agent.errors import AnswerCut, EmptyAnswer, ModelNotFound


def test_every_engine_is_under_contract() -> None:
    """An engine without a wire here would ship untested."""
    assert WIRES.keys() == ENGINES.keys()


def test_an_answer_arrives_whole(bench: Bench) -> None:
    """Text, model, finish reason, the engine's counts and the engine's own times."""
    done = bench.complete(bench.wire.answer("Because", " it", " is."))
    assert (done.text, done.reasoning, done.model) == ("Because it is.", "", MODEL)
    assert (done.finish_reason, done.cut, done.simulated) == ("stop", False, False)
    assert done.counts == Counts(11, 3, None, bench.wire.cached, "server")
    assert done.report == bench.wire.report


def test_a_request_says_everything_the_engine_must_not_guess(bench: Bench) -> None:
    """Model, system text first, allowance, temperature, seed, request id and key are sent."""
    bench.complete(
        bench.wire.answer("x", "y"),
        system="Be brief.",
        max_tokens=77,
        temperature=0.5,
        seed=9,
        request_id="id-1",
    )
    asked = bench.server.asked[-1]
    sent = {"max_tokens": asked.body.get("max_tokens"), **asked.body, **asked.body.get("options", {})}
    assert sent["model"] == MODEL
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "Why?"]
    assert sent["max_tokens"] == 77 or sent["num_predict"] == 77
    assert (sent["temperature"], sent["seed"], sent["stream"]) == (0.5, 9, True)
    assert bench.wire.name == "ollama" or sent["stream_options"] == {"include_usage": True}
    assert asked.headers["x-request-id"] == "id-1"
    assert asked.headers["Authorization"] == "Bearer secret-key"


def test_an_unset_seed_or_id_is_not_sent(bench: Bench) -> None:
    """The engine's own default holds where the user chose nothing."""
    bench.complete(bench.wire.answer("x", "y"))
    asked = bench.server.asked[-1]
    assert "seed" not in asked.body | asked.body.get("options", {})
    assert "x-request-id" not in asked.headers


def test_events_split_over_packets_are_put_together(bench: Bench) -> None:
    """One byte per packet, and a letter of several bytes torn apart, change nothing."""
    whole = b"".join([bench.wire.role(), bench.wire.text("naïve €"), *bench.wire.finish()])
    pieces = tuple(whole[i : i + 1] for i in range(len(whole)))
    assert bench.complete(bench.wire.stream(*pieces)).text == "naïve €"


def test_many_events_in_one_packet_are_told_apart(bench: Bench) -> None:
    """All of a stream in one packet is the same answer."""
    whole = b"".join([bench.wire.role(), *map(bench.wire.text, "abc"), *bench.wire.finish()])
    assert bench.complete(bench.wire.stream(whole)).text == "abc"


def test_a_reply_without_chunks_is_read_as_it_comes(bench: Bench) -> None:
    """Without chunked encoding (Connection: close) the first token is not held back to the end."""
    wire = bench.wire
    steps = (wire.role(), wire.text("a"), Pause(0.25), wire.text("b"), *wire.finish())

    def off_s(seen: Seen) -> float:
        timing = seen.done.timing
        spread_s = timing.e2e_s - timing.ttft_ms / 1000  # type: ignore[operator]
        return abs(spread_s - (seen.wrote[2] - seen.wrote[1]))

    seen = bench.nearest(wire.stream(*steps, chunked=False), off_s, 0.15)
    assert seen.done.text == "ab"
    assert off_s(seen) <= 0.15


def times_of_the_wire(seen: Seen) -> list[tuple[float, float, float]]:
    """Ours, the server's, and how far they may be apart; in ms."""
    timing, begun, (_, first, last, finish, *_) = seen.done.timing, seen.asked_at, seen.wrote
    return [
        (timing.ttft_ms or 0.0, (first - begun) * 1000, 150),
        (timing.itl_ms or 0.0, (last - first) * 1000, 100),
        ((timing.e2e_s or 0.0) * 1000, (last - begun) * 1000, 150),
        (((timing.stream_end_s or 0.0) - (timing.e2e_s or 0.0)) * 1000, (finish - last) * 1000, 50),
    ]


def test_times_are_those_of_the_wire(bench: Bench) -> None:
    """A role chunk is no token, TTFT ends with the first one, ITL and E2E with the last, and a late
    finish chunk only moves the end of the stream."""
    wire = bench.wire
    reply = wire.stream(
        wire.role(),
        Pause(0.2),
        wire.text("a"),
        Pause(0.15),
        wire.text("b"),
        Pause(0.2),
        *wire.finish(tokens=2),
    )
    seen = bench.nearest(
        reply, lambda seen: max(abs(ours - true) / most for ours, true, most in times_of_the_wire(seen)), 1.0
    )
    for ours, true, most in times_of_the_wire(seen):
        assert ours == pytest.approx(true, abs=most)
    timing = seen.done.timing
    assert timing.ttfo_ms == timing.ttft_ms
    assert timing.stream_end_s - timing.e2e_s > 0.15  # type: ignore[operator]
    assert 0 <= timing.headers_ms < timing.ttft_ms  # type: ignore[operator]
    assert 0 <= timing.connect_ms < 1000  # type: ignore[operator]
    assert timing.started_at.endswith("+00:00")


def test_several_tokens_per_chunk_count_as_several(bench: Bench) -> None:
    """ITL divides by the engine's count of tokens, not by chunks."""
    wire = bench.wire
    reply = wire.stream(wire.text("a b c d"), Pause(0.2), wire.text(" e f g h"), *wire.finish(tokens=8))

    def off_ms(seen: Seen) -> float:
        return abs(seen.done.timing.itl_ms - (seen.wrote[1] - seen.wrote[0]) * 1000 / 7)  # type: ignore[operator]

    assert off_ms(bench.nearest(reply, off_ms, 15)) <= 15


def test_without_usage_the_counts_are_unknown(bench: Bench) -> None:
    """Nothing is estimated: no count, no ITL, and never a zero."""
    wire = bench.wire
    done = bench.complete(wire.stream(wire.text("a"), wire.text("b"), *wire.finish(tokens=None)))
    assert done.counts == Counts()
    assert done.timing.itl_ms is None
    assert done.text == "ab"


def test_an_answer_in_one_piece_has_no_itl(bench: Bench) -> None:
    """Two tokens in one chunk say nothing about the time between them."""
    wire = bench.wire
    assert bench.complete(wire.stream(wire.text("a b"), *wire.finish(tokens=2))).timing.itl_ms is None


def test_reasoning_is_kept_apart(bench: Bench) -> None:
    """The engine's reasoning field starts TTFT, is no part of the answer, and TTFO comes later."""
    wire = bench.wire
    steps = (wire.thought("Let me"), wire.thought(" see."), Pause(0.1), wire.text("Yes."))
    seen = bench.nearest(wire.stream(wire.role(), *steps, *wire.finish()), short_of_70_ms)
    assert (seen.done.text, seen.done.reasoning) == ("Yes.", "Let me see.")
    assert short_of_70_ms(seen) < 0


def short_of_70_ms(seen: Seen) -> float:
    """What the first word of the answer lacks to be 70 ms behind the first of the reasoning."""
    return 70 - (seen.done.timing.ttfo_ms - seen.done.timing.ttft_ms)  # type: ignore[operator]


def test_inline_thinking_is_kept_apart(bench: Bench) -> None:
    """A <think> block at the start of the text, its tags torn over chunks, is reasoning."""
    wire = bench.wire
    texts = [wire.text(piece) for piece in ("<th", "ink>Let me", " see.</thi", "nk>\n\n")]
    reply = wire.stream(*texts, Pause(0.1), wire.text("Yes."), *wire.finish())
    seen = bench.nearest(reply, short_of_70_ms)
    assert (seen.done.text, seen.done.reasoning) == ("Yes.", "Let me see.")
    assert short_of_70_ms(seen) < 0


def test_an_answer_at_its_allowance_is_cut(bench: Bench) -> None:
    """Finish reason `length` marks the answer as not whole."""
    wire = bench.wire
    done = bench.complete(wire.stream(wire.text("To be"), *wire.finish("length")))
    assert (done.text, done.cut) == ("To be", True)


@pytest.mark.parametrize("texts", [(), ("  ", "\n")], ids=["nothing", "whitespace"])
def test_no_text_is_no_answer(bench: Bench, texts: tuple[str, ...]) -> None:
    """A clean end without a word is an error, not an empty success."""
    with pytest.raises(EmptyAnswer, match="no answer"):
        bench.complete(bench.wire.answer(*texts))


@pytest.mark.parametrize("inline", [False, True])
def test_reasoning_alone_is_no_answer(bench: Bench, inline: bool) -> None:
    """Reasoning that stopped is an empty answer; reasoning that ran into the allowance is a cut one."""
    wire = bench.wire
    thought = wire.text("<think>Let me see") if inline else wire.thought("Let me see")
    with pytest.raises(EmptyAnswer, match="after the reasoning"):
        bench.complete(wire.stream(thought, *wire.finish("stop")))
    with pytest.raises(AnswerCut, match="max_tokens"):
        bench.complete(wire.stream(thought, *wire.finish("length")))


def test_another_model_never_passes_for_the_one_asked(bench: Bench) -> None:
    """LM Studio may answer with whatever is loaded: refused. Elsewhere the echoed name is recorded."""
    wire = bench.wire
    reply = wire.stream(wire.role("other:7b"), *(wire.choice({"content": t}, model="other:7b") for t in "ab"))
    if wire.name == "lm_studio":
        with pytest.raises(ModelNotFound, match="other:7b"):
            bench.complete(reply)
    elif wire.name != "ollama":
        closing = (wire.choice({}, "stop", "other:7b"), wire.mark())
        assert bench.complete(wire.stream(*reply.steps, *closing)).model == "other:7b"


def test_a_simulated_answer_says_so(bench: Bench) -> None:
    """The header of a simulated engine marks the completion, whatever wire it speaks."""
    done = bench.complete(bench.wire.answer("x", "y", headers={"X-LLMQ-Simulated": "1"}))
    assert done.simulated


def test_nothing_reported_stays_unknown(bench: Bench) -> None:
    """Times that an engine leaves out are None."""
    wire = bench.wire
    if wire.report == EngineReport():
        assert bench.complete(wire.answer("x", "y")).report == EngineReport()
    assert bench.complete(wire.answer("x", "y")).report.load_s == wire.report.load_s
