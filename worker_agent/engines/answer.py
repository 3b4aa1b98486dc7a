"""From a stream of stamped deltas to a Completion, or to the reason there is none. Pure; no network."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from worker_agent.completion import Completion, Counts, EngineReport, Timing
from worker_agent.engines.transport import Sent
from worker_agent.errors import AnswerCut, EmptyAnswer, StreamDropped

# The engine gave up on a request that it had begun to answer.
ABORTED = ("abort", "cancelled", "error", "unload")

# A block at the very start; left open it runs to the end. Templates that open the block in the
# prompt leave only its end in the answer, alone on a line; a paper may quote the tag elsewhere.
_THINK = re.compile(r"\s*<think>(.*?)(?:</think>\s*|\Z)", re.S)
_THINK_END = re.compile(r"((?:(?!<think>).)*?)\n</think>[ \t]*\n\s*", re.S)


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event of a stream adds, and the instant its first byte arrived.

    `done` is the end mark of the wire format; None means: this event says nothing of it.
    """

    at: float
    content: str = ""
    reasoning: str = ""
    model: str | None = None
    finish_reason: str | None = None
    counts: Counts | None = None
    report: EngineReport | None = None
    done: bool = False

    @property
    def token(self) -> bool:
        """It carries generated text; a role, a keep-alive or progress does not."""
        return bool(self.content or self.reasoning)


@dataclass(slots=True)
class _Stream:
    """A stream as gathered so far."""

    content: list[tuple[str, float]] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    model: str = ""
    finish_reason: str = ""
    counts: Counts = field(default_factory=Counts)
    report: EngineReport = field(default_factory=EngineReport)
    ended_at: float | None = None

    def add(self, delta: Delta) -> None:
        if delta.token:
            self.tokens.append(delta.at)
        if delta.content:
            self.content.append((delta.content, delta.at))
        self.reasoning.append(delta.reasoning)
        self.model = delta.model or self.model
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.counts = delta.counts or self.counts
        self.report = delta.report or self.report
        if delta.done:
            self.ended_at = delta.at


def gather(deltas: Iterable[Delta], sent: Sent, where: str, simulated: bool = False) -> Completion:
    """The answer that the deltas add up to.

    Raises StreamDropped without an end mark or a finish reason, AnswerCut when reasoning used up
    the allowance, EmptyAnswer when there is no text.
    """
    stream = _Stream()
    for delta in deltas:
        stream.add(delta)
    _ended(stream, where)
    whole = "".join(text for text, _ in stream.content)
    thought, begins = split_thinking(whole)
    text, reasoning = whole[begins:], "".join(stream.reasoning) + thought
    _answered(text, reasoning, stream.finish_reason, where)
    return Completion(
        text=text,
        reasoning=reasoning,
        model=stream.model,
        finish_reason=stream.finish_reason,
        timing=_timing(stream, sent, begins),
        counts=stream.counts,
        report=stream.report,
        simulated=simulated,
    )


def split_thinking(content: str) -> tuple[str, int]:
    """The inline thinking at the start of `content`, and where the answer after it begins."""
    found = _THINK.match(content) or _THINK_END.match(content)
    return (found[1].strip(), found.end()) if found else ("", 0)


def _ended(stream: _Stream, where: str) -> None:
    if stream.ended_at is None:
        raise StreamDropped(f"{where}: the stream ended without its end mark")
    if not stream.finish_reason:  # Ollama: the connection to its runner closed
        raise StreamDropped(f"{where}: the stream ended without a finish reason")
    if stream.finish_reason in ABORTED:
        raise StreamDropped(f"{where}: the engine ended the stream with '{stream.finish_reason}'")


def _answered(text: str, reasoning: str, finish_reason: str, where: str) -> None:
    if text.strip():
        return
    if reasoning.strip() and finish_reason == "length":
        raise AnswerCut(f"{where}: reasoning used up max_tokens before the answer began")
    raise EmptyAnswer(f"{where}: no answer{' after the reasoning' if reasoning.strip() else ''}")


def _timing(stream: _Stream, sent: Sent, begins: int) -> Timing:
    first, last = stream.tokens[0], stream.tokens[-1]
    return Timing(
        started_at=sent.started_at,
        connect_ms=sent.connect_ms,
        headers_ms=sent.headers_ms,
        ttft_ms=(first - sent.at) * 1000,
        ttfo_ms=(_arrival(stream.content, begins) - sent.at) * 1000,
        itl_ms=_itl_ms(stream),
        e2e_s=last - sent.at,
        stream_end_s=(stream.ended_at or last) - sent.at,
    )


def _arrival(content: list[tuple[str, float]], offset: int) -> float:
    """When the character at `offset` of the content arrived."""
    for text, at in content:
        offset -= len(text)
        if offset < 0:
            return at
    return content[-1][1]


def _itl_ms(stream: _Stream) -> float | None:
    """(last - first) / (n - 1), as in guidellm; None where the answer came in one piece."""
    count = stream.counts.completion_tokens
    if count is None or count < 2 or len(stream.tokens) < 2:
        return None
    return (stream.tokens[-1] - stream.tokens[0]) * 1000 / (count - 1)
