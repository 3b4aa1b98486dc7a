"""From a stream of stamped deltas to a Completion, or to the reason there is none. No network."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from worker_agent.completion import Completion, Counts, EngineReport, Timing
from worker_agent.corewait import mean_wait_ms
from worker_agent.engines.dial import clock
from worker_agent.engines.transport import Sent
from worker_agent.errors import AnswerCut, EmptyAnswer, StreamDropped
from worker_agent.wakeups import mean_late_ms

# The engine gave up on a request that it had begun to answer.
ABORTED = ("abort", "cancelled", "error", "unload")

OVERLAP_S = 0.005  # by which an engine's clock and rounding may exceed what we saw

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
    began_at: float | None = None
    model: str = ""
    finish_reason: str = ""
    counts: Counts = field(default_factory=Counts)
    report: EngineReport = field(default_factory=EngineReport)
    ended_at: float | None = None

    def add(self, delta: Delta) -> None:
        if self.began_at is None:
            self.began_at = delta.at
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


def gather(
    deltas: Iterable[Delta],
    sent: Sent,
    where: str,
    simulated: bool = False,
    time_scale: float | None = None,
) -> Completion:
    """The answer that the deltas add up to.

    Raises StreamDropped without an end mark or a finish reason, AnswerCut when reasoning used up
    the allowance, EmptyAnswer when there is no text.
    """
    stream = _Stream()
    for delta in deltas:
        stream.add(delta)
    _ended(stream, where)
    stream.counts = _believable(stream.counts, len(stream.tokens))
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
        time_scale=time_scale,
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
    ended = stream.ended_at or last
    return Timing(
        started_at=sent.started_at,
        connect_ms=sent.connect_ms,
        headers_ms=sent.headers_ms,
        ttft_ms=(first - sent.at) * 1000,
        ttfo_ms=(_arrival(stream.content, begins) - sent.at) * 1000,
        itl_ms=_itl_ms(stream),
        e2e_s=last - sent.at,
        stream_end_s=ended - sent.at,
        ttfr_ms=((stream.began_at or first) - sent.at) * 1000,
        max_chunk_gap_ms=_longest_gap_ms(stream.tokens),
        chunk_count=len(stream.tokens),
        network_s=network_s(stream.report, sent.headers_ms, first - sent.at, ended - sent.at),
        cpu_client_pct=_cpu_pct(sent),
        cpu_wait_ms=mean_wait_ms(sent.turns),
        wakeup_latency_ms=mean_late_ms(sent.wakeups),
    )


def network_s(report: EngineReport, headers_ms: float | None, first_s: float, ended_s: float) -> float | None:
    """What the way took, there and back together: how long we waited, less what the engine says it took
    for it; None where it says nothing, or more than we waited.

    Waited for the end mark, where the engine reports a total (Ollama), which counts from the request's
    coming in; else for the first token, less loading and reading the prompt. Not more than the response
    headers took: some engines send them at once, others with the first token; the way is in them either way.
    """
    if report.total_s is not None:
        left_s = ended_s - report.total_s
    elif report.prompt_eval_s is not None:
        left_s = first_s - (report.load_s or 0.0) - report.prompt_eval_s
    else:
        return None
    if left_s < -OVERLAP_S:
        return None
    return max(0.0, left_s if headers_ms is None else min(left_s, headers_ms / 1000))


def _believable(counts: Counts, chunks: int) -> Counts:
    """A server that says it made fewer than half as many tokens as it sent chunks with text has not counted:
    then nobody has."""
    made = counts.completion_tokens
    if made is None or (made > 0 and 2 * made >= chunks):
        return counts
    return replace(counts, completion_tokens=None, reasoning_tokens=None)


def _longest_gap_ms(stamps: list[float]) -> float | None:
    return 1000 * max(b - a for a, b in pairwise(stamps)) if len(stamps) > 1 else None


def _cpu_pct(sent: Sent) -> float | None:
    waited_s = clock() - sent.at
    return 100 * (time.process_time() - sent.cpu_s) / waited_s if waited_s > 0 else None


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
