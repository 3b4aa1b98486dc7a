"""The values that cross the boundary to an engine: what is asked, what came back, how long it took.

Durations are differences of one process's monotonic clock. What the engine says of itself stands in
`EngineReport`, beside our stamps and never mixed with them. None means unknown, never zero.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One chat completion. `model` is the name on the host; `window` is the context length to ask
    for where the engine takes one (Ollama's `num_ctx`)."""

    model: str
    prompt: str
    system: str = ""
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None
    window: int | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may be silent. Keep-alives and progress do not count as an answer."""

    connect_s: float = 10.0
    first_token_s: float = 600.0
    between_tokens_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Our own stamps. Sent = the last byte of the request handed over on an open connection.

    ttft: sent -> first non-empty content or reasoning; ttfo: sent -> first non-reasoning content;
    ttfr: sent -> first event of any kind; itl: (last - first) / (completion tokens - 1), as in guidellm;
    e2e: sent -> last token; stream_end: sent -> end mark; chunks are events with text. network_s:
    worker_agent/engines/answer.py says what is left to the way. cpu_client_pct: CPU of this whole process
    from sent to end mark, over that time; 100 is one core. cpu_wait_ms: how long the thread of this request
    waited for a core each time it was woken, on average; None where the system does not tell.
    wakeup_latency_ms: how late this process woke meanwhile, on average (worker_agent/wakeups.py); None where
    the request was too short to tell.
    """

    started_at: str  # UTC, ISO 8601: the moment of `sent`
    connect_ms: float | None = None
    headers_ms: float | None = None  # sent -> response headers
    ttft_ms: float | None = None
    ttfo_ms: float | None = None
    itl_ms: float | None = None
    e2e_s: float | None = None
    stream_end_s: float | None = None
    ttfr_ms: float | None = None
    max_chunk_gap_ms: float | None = None
    chunk_count: int | None = None
    network_s: float | None = None
    cpu_client_pct: float | None = None
    cpu_wait_ms: float | None = None
    wakeup_latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """Our own stamps of a request that was sent and never answered to the end. `first_s` and `last_s`: sent
    -> the first token that came, and the last; `ended_s`: sent -> when it was given up."""

    started_at: str  # UTC, ISO 8601: the moment of `sent`
    connect_ms: float
    ended_s: float
    first_s: float | None = None
    last_s: float | None = None
    chunk_count: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens as counted by `source`: `server` (the engine's usage) or `none`."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    source: str = "none"


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Seconds, and tokens per second, as the engine itself reports them. `total_s`: from the request's
    coming in to the end mark, waiting included. A rate is None where the engine's own figures do not add up
    to one (Ollama's prompt: cached tokens are counted, their time is not)."""

    load_s: float | None = None
    prompt_eval_s: float | None = None
    eval_s: float | None = None
    total_s: float | None = None
    prefill_tps: float | None = None
    decode_tps: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine answered. `model` is the name it echoed; `finish_reason` is `stop`, `length`
    or the engine's own word."""

    text: str
    reasoning: str
    model: str
    finish_reason: str
    timing: Timing
    counts: Counts = field(default_factory=Counts)
    report: EngineReport = field(default_factory=EngineReport)
    simulated: bool = False
    time_scale: float | None = None  # of a simulated engine

    @property
    def cut(self) -> bool:
        """The answer stopped at `max_tokens`, not at its end."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What a loaded model takes, as its engine says; `vram_bytes` of the total are on the GPU."""

    total_bytes: int
    vram_bytes: int | None
    source: str


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model as its host knows it. `window` is the context length in tokens a request may use now
    (per slot); `trained_window` what the model was made for."""

    name: str
    loaded: bool = False
    window: int | None = None
    trained_window: int | None = None
    digest: str | None = None
    quantization: str | None = None
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class EngineState:
    """What a probe found: `models` are those the engine can answer with, loaded ones first; `time_scale`:
    what a simulated one multiplies its times by."""

    engine: str
    version: str | None
    models: tuple[ModelState, ...] = ()
    slots: int | None = None
    simulated: bool = False
    time_scale: float | None = None
