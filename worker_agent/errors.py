"""The error tree of llmq. What a user catches is the base; what happened is the leaf.

    LLMQError                    root; `kind` is the word that stands in results and messages
    ├── ConfigError              a fleet file, host or setting that cannot be used
    ├── CallCancelled            somebody shut the engine's connection on purpose
    └── EngineError              an engine did not answer as it should
        ├── EngineUnavailable    refused, unreachable, 502, still loading          retryable
        ├── EngineOverloaded     429, 503 "busy"                                   retryable
        ├── EngineTimeout        silent for longer than allowed                    retryable
        ├── StreamDropped        the stream ended without its end mark             retryable
        ├── BadReply             not the engine's language: HTML, broken JSON, 500 retryable
        ├── EmptyAnswer          a clean end and no text                           retryable
        ├── ModelNotFound        the host does not have the model
        ├── ContextOverflow      the prompt does not fit the window
        ├── RequestRejected      4xx: the engine refuses this request
        ├── AnswerCut            reasoning used the whole allowance, no answer
        └── PaperTruncated       the engine read less than it was sent

`tasks/errors.py` adds what only the master can meet (papers, broker, runs).

Classes take one message and define no `__init__`: Celery's JSON backend loses any other.
"""

from worker_agent.completion import BrokenOff


class LLMQError(Exception):
    """Root of every error llmq raises on purpose."""

    kind = "error"
    retryable = False


class ConfigError(LLMQError):
    """A fleet file, a host or a setting cannot be used; the message lists every fault."""

    kind = "config"


class CallCancelled(LLMQError):
    """The call's connection was shut down by this process."""

    kind = "cancelled"


class EngineError(LLMQError):
    """An engine did not answer as it should. `retryable`: another try may succeed. `http_status`: that of
    its reply, if one began. `broken_off`: when what happened, if the request was sent."""

    kind = "engine"
    http_status: int | None = None
    broken_off: BrokenOff | None = None


class EngineUnavailable(EngineError):
    """Nothing answers at the address, or it is not ready."""

    kind = "unavailable"
    retryable = True


class EngineOverloaded(EngineError):
    """The engine answers, and has no room now."""

    kind = "overloaded"
    retryable = True


class EngineTimeout(EngineError):
    """Silence for longer than the call's limits allow."""

    kind = "timeout"
    retryable = True


class StreamDropped(EngineError):
    """The stream ended without its end mark; what came before it is no answer."""

    kind = "dropped_stream"
    retryable = True


class BadReply(EngineError):
    """The reply is not in the engine's wire format, or reports a failure of its own."""

    kind = "bad_reply"
    retryable = True


class EmptyAnswer(EngineError):
    """The engine ended in good order without a word."""

    kind = "empty_answer"
    retryable = True


class ModelNotFound(EngineError):
    """The host has no such model, or answered with another one."""

    kind = "model_not_found"


class ContextOverflow(EngineError):
    """The prompt does not fit the window. The message carries the engine's own numbers."""

    kind = "context_overflow"


class RequestRejected(EngineError):
    """The engine refuses the request as such (4xx): key, parameter, unsupported route."""

    kind = "request_rejected"


class AnswerCut(EngineError):
    """Reasoning used up `max_tokens`; there is no answer to show."""

    kind = "answer_cut"


class PaperTruncated(EngineError):
    """The reported prompt tokens show that the engine read less than was sent."""

    kind = "paper_truncated"
