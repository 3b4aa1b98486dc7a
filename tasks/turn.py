"""One item at its turn, what the engine answered, and the result that either comes to."""

from dataclasses import dataclass
from typing import Any

from tasks.answer import Answer, Question
from tasks.hosts import ServedModel
from tasks.intake.plan import CHARACTERS_A_TOKEN
from tasks.lease import Held
from tasks.livehost import LiveHost
from tasks.measures import measures, of_engine
from tasks.result import Failure, Result, content_id
from tasks.work import Manifest, item_id
from worker_agent.meters.metered import Metered


@dataclass(frozen=True, slots=True)
class Turn:
    """One item at its turn: which it is, how many come after it, and what it asks; in a later stage about the
    `parent`'s answer. `begun`: what the bundle needs is there, its paper's `text` too if it has one."""

    held: Held
    item: int
    more: int
    manifest: Manifest
    begun: bool = False
    text: str | None = None
    parent: Result | None = None

    @property
    def id(self) -> str:
        claim = self.held.claim
        return item_id(claim.run_id, claim.number, self.item)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Attempts that failed before."""
        return self.held.claim.failures.get(self.item, ())

    @property
    def attempts(self) -> int:
        """Tries with this one; a host that was busy or broken was none."""
        return 1 + sum(one.counted for one in self.failures)

    @property
    def question(self) -> Question:
        bundle = self.held.claim.bundle
        prompt, params = self.manifest.prompt_of(bundle, self.item), self.manifest.params_of(bundle)
        given = self.parent.answer if self.parent else None
        return Question(prompt, self.text, bundle.file, params, self.id, given)

    @property
    def tokens(self) -> int:
        """About how many there are to read."""
        given = len(self.parent.answer or "") // CHARACTERS_A_TOKEN if self.parent else 0
        return self.held.claim.bundle.tokens + given


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, the model that gave it, and what its engine used meanwhile."""

    model: ServedModel
    answer: Answer
    used: Metered


def answered(turn: Turn, live: LiveHost, reply: Reply) -> Result:
    """The result of an item that has an answer."""
    claim, model, last = turn.held.claim, reply.model, reply.answer.last
    wait_s = max(0.0, (claim.claimed_ms - claim.added_ms) / 1000)
    return Result(
        item_id=turn.id,
        host=live.host.id,
        attempts=turn.attempts,
        answer=last.text,
        reasoning=last.reasoning or None,
        engine=live.engine.name,
        engine_version=live.state.version,
        model=claim.bundle.model or model.name,
        model_digest=model.digest,
        simulated=last.simulated,
        finish_reason=last.finish_reason,
        cut=reply.answer.cut or bool(turn.parent and turn.parent.cut),
        windows=reply.answer.windows,
        failures=turn.failures,
        metrics=_circumstances(turn, live)
        | measures(reply.answer.completions, wait_s, model.window)
        | ({"quantization": model.quantization} if model.quantization else {})
        | reply.used.figures(),
        content=content_id(turn.parent.answer or "") if turn.parent else None,
        added_ms=claim.added_ms,
        ended_ms=claim.now_ms,
    )


def failed(turn: Turn, live: LiveHost, failure: Failure, metrics: dict[str, Any] | None = None) -> Result:
    """The result of an item that ends without one; `metrics`: what is known of its last attempt."""
    return Result(
        item_id=turn.id,
        host=live.host.id,
        attempts=turn.attempts,
        error=failure,
        engine=live.state.engine,
        engine_version=live.state.version,
        model=turn.held.claim.bundle.model,
        simulated=live.state.simulated,
        failures=(*turn.failures, failure),
        metrics=_circumstances(turn, live) | (metrics or {}),
    )


def _circumstances(turn: Turn, live: LiveHost) -> dict[str, Any]:
    """What a row tells of an attempt however it ended."""
    claim = turn.held.claim
    offset_s = round(claim.clock_offset_s, 3)
    known = {"enqueued_ms": claim.added_ms, "worker": live.worker, "clock_offset_s": offset_s}
    return known | of_engine(live.state)
