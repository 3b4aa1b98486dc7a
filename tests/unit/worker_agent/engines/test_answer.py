"""From deltas to a completion, without a network."""

import pytest

from worker_agent.completion import Counts
from worker_agent.engines.answer import Delta, gather, split_thinking
from worker_agent.engines.transport import Sent
from worker_agent.errors import StreamDropped

SENT = Sent(at=100.0, started_at="2026-01-01T00:00:00+00:00", connect_ms=1.5, headers_ms=20.0)
END = [Delta(103.0, finish_reason="stop", counts=Counts(5, 5, source="server")), Delta(104.0, done=True)]


def test_the_times_are_differences_to_sent() -> None:
    """Exact figures of a stream with reasoning, in their units."""
    said = [
        Delta(100.5),
        Delta(101.0, reasoning="hm"),
        Delta(102.0, content="yes"),
        Delta(103.0, content="."),
    ]
    timing = gather([*said, *END], SENT, "here").timing
    assert (timing.ttft_ms, timing.ttfo_ms, timing.itl_ms) == (1000.0, 2000.0, 500.0)
    assert (timing.e2e_s, timing.stream_end_s) == (3.0, 4.0)
    assert (timing.connect_ms, timing.headers_ms, timing.started_at) == (1.5, 20.0, SENT.started_at)


def test_a_delta_may_carry_all_at_once() -> None:
    """Text, finish reason and end mark in one event."""
    done = gather([Delta(101.0, content="x", finish_reason="stop", done=True)], SENT, "here")
    assert (done.text, done.timing.stream_end_s, done.counts) == ("x", 1.0, Counts())


def test_nothing_at_all_is_a_dropped_stream() -> None:
    """Not an empty answer: the engine never said that it was done."""
    with pytest.raises(StreamDropped):
        gather([], SENT, "here")


@pytest.mark.parametrize(
    ("content", "thought", "answer"),
    [
        ("plain", "", "plain"),
        ("<think>a</think>b", "a", "b"),
        (" \n<think>\na\n</think>\n\nb", "a", "b"),
        ("<think></think>b", "", "b"),
        ("<think>a", "a", ""),
        ("a\n</think>\n\nb", "a", "b"),  # the template opened the block within the prompt
        ("The <think>x</think> tag", "", "The <think>x</think> tag"),
        ("Forcing: the model's `</think>` is replaced.", "", "Forcing: the model's `</think>` is replaced."),
        ("See <think>:\n</think>\nend", "", "See <think>:\n</think>\nend"),
    ],
)
def test_only_thinking_at_the_start_is_taken_out(content: str, thought: str, answer: str) -> None:
    """A paper may be about such tags; they stay in the answer."""
    found, begins = split_thinking(content)
    assert (found, content[begins:]) == (thought, answer)
