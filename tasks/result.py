"""How a WorkItem ended, as values: Result, Failure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

UPSTREAM_FAILED = "upstream_failed"  # the type of error of an item whose parent has no answer


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed: where, with which kind of error, and its message. `counted`: it used up
    one of the item's tries, as a busy or broken host does not."""

    host: str
    type: str
    message: str
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """How a WorkItem ended: `answer` or `error`, never both. `metrics` are the columns of
    docs/results.md, None where unknown. `windows`: into how many the paper had to be cut. `content`: sha256
    of the answer that a later stage's item read. `added_ms` and `ended_ms`: when its bundle could be claimed
    and when it was answered, by the clock of Redis."""

    item_id: str
    host: str
    attempts: int
    answer: str | None = None
    reasoning: str | None = None
    error: Failure | None = None
    engine: str | None = None
    engine_version: str | None = None
    model: str | None = None
    model_digest: str | None = None
    simulated: bool = False
    finish_reason: str | None = None
    cut: bool = False
    windows: int = 1
    reused_from: str | None = None
    failures: tuple[Failure, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    content: str | None = None
    added_ms: int | None = None
    ended_ms: int | None = None

    @property
    def answer_tokens(self) -> int | None:
        """As they were counted; None: unknown, or no answer of its own."""
        own = self.success and self.reused_from is None
        return self.metrics.get("completion_tokens") if own else None

    @property
    def success(self) -> bool:
        return self.error is None

    def to_json(self, finished_at: str) -> str:
        """As an ordinary Celery result (JSON backend): `AsyncResult(item_id).get()` returns the
        fields of a success and raises for a failure."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["failures"] = [asdict(one) for one in self.failures]
        if self.error:
            fields["error"] = asdict(self.error)
            fields |= {
                "exc_type": self.error.type,
                "exc_module": "llmq",
                "exc_message": [self.error.message],
            }
        meta: dict[str, Any] = {
            "task_id": self.item_id,
            "status": "SUCCESS" if self.success else "FAILURE",
            "result": fields,
            "traceback": None,
            "children": [],
            "date_done": finished_at,
        }
        return json.dumps(meta)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        fields = json.loads(text)["result"]
        for name in ("exc_type", "exc_module", "exc_message"):
            fields.pop(name, None)
        if fields["error"]:
            fields["error"] = Failure(**fields["error"])
        fields["failures"] = failures(fields["failures"])
        return cls(**fields)


def failures(records: Sequence[dict[str, Any]]) -> tuple[Failure, ...]:
    """Failures from their JSON objects."""
    return tuple(Failure(**record) for record in records)


def content_id(answer: str) -> str:
    """By which a later stage's answer key knows what it reads."""
    return hashlib.sha256(answer.encode("utf-8", "surrogatepass")).hexdigest()
