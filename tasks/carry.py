"""The way of a claimed bundle through a worker: answer each item, commit it, or give the bundle back."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tasks import verdict
from tasks.answer import Answer, BiggerElsewhere, Question, TokenScale, answer
from tasks.bench.carry import CellCarrier
from tasks.errors import BrokerUnreachable, UnknownRun
from tasks.gauge import Gauge
from tasks.hosts import HostRecord, ServedModel
from tasks.intake.plan import CHARACTERS_A_TOKEN
from tasks.intake.prompts import reads_paper
from tasks.invite import Invitation, invite
from tasks.lease import Asking, Held
from tasks.ledger.claim import Step
from tasks.ledger.ledger import Ledger
from tasks.livehost import LiveHost
from tasks.measures import measures
from tasks.recent import RecentCommits
from tasks.reuse import kept
from tasks.runs import Runs
from tasks.served import sign
from tasks.settings import Settings
from tasks.slots import Seat, Slots
from tasks.texts import Texts
from tasks.work import Failure, Manifest, Result, content_id, item_id, queue_of, unreadable
from worker_agent.completion import Completion, Limits, Request
from worker_agent.engines import Call
from worker_agent.errors import (
    AnswerCut,
    CallCancelled,
    EngineError,
    LLMQError,
    ModelNotFound,
    PaperTruncated,
    RequestRejected,
)
from worker_agent.meters.meter import Meter

log = logging.getLogger(__name__)

MOST_DEATHS = 3  # holders that died while one item ran, before it is set aside
MOST_MANIFESTS = 100
MESSAGE_CHARS = 500


class Broken(LLMQError):
    """llmq itself failed on an item; another try may not."""

    kind = "internal"
    retryable = True


@dataclass(frozen=True, slots=True)
class Turn:
    """One item at its turn: which it is, how many come after it, and what it asks; in a later stage about the
    `parent`'s answer."""

    held: Held
    item: int
    more: int
    manifest: Manifest
    text: str | None
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


@dataclass(slots=True)
class Carrier:
    """Shared by the threads of one worker. `others` are the other live hosts that have a queue, able to
    take work now or not. What an item's methods return is the next turn, or why there is none."""

    live: LiveHost
    ledger: Ledger
    commits: RecentCommits
    runs: Runs
    texts: Texts
    slots: Slots
    gauge: Gauge
    meter: Meter
    others: Callable[[str], list[HostRecord]]
    stopping: Callable[[], bool]
    settings: Settings
    _scale: TokenScale = field(default_factory=TokenScale)
    _manifests: dict[str, Manifest] = field(default_factory=dict)
    _signed: set[str] = field(default_factory=set)
    _cells: CellCarrier = field(init=False)

    def __post_init__(self) -> None:
        self._cells = CellCarrier(
            self.live,
            self.ledger,
            self.commits,
            self.slots,
            self.meter,
            self.stopping,
            self.settings,
            self._sign,
        )

    def carry(self, held: Held, seat: Seat) -> str:
        """Do what this bundle needs. Never raises: a bundle that cannot be finished is due again."""
        bundle = held.claim.bundle
        try:
            if bundle.error:
                return self._end_unreadable(held)
            if bundle.copies:
                return self._copy(held)
            if bundle.load:
                return self._cells.carry(held, seat, self._manifest(held.claim.run_id))
            ended = self._answer_all(held, seat)
            self._pass_place_on(held)
            return ended
        except BrokerUnreachable:
            return "the worker stops while Redis is away; the lease ends by itself"
        except UnknownRun:
            return "the run is gone"

    def _answer_all(self, held: Held, seat: Seat) -> str:
        claim = held.claim
        after: Turn | str = Turn(
            held, claim.items[0], len(claim.items) - 1, self._manifest(claim.run_id), None
        )
        count = 0
        while isinstance(turn := after, Turn):
            try:
                after = self._take(turn, seat) if count else self._begin(turn, seat)
            except (BrokerUnreachable, UnknownRun):
                raise
            except LLMQError as error:
                after = self._failed(turn, error)
            except Exception as error:
                log.exception("%s failed inside llmq", turn.id)
                after = self._failed(turn, Broken(f"{type(error).__name__}: {error}"))
            count += 1
        return f"{count} items, {after}"

    def _begin(self, turn: Turn, seat: Seat) -> "Turn | str":
        """The first item of a bundle, once there is a slot for it."""
        held = turn.held
        turn = replace(turn, text=self._text(held))
        if not self._sit(held, seat):
            return self._give_back(held)
        if held.claim.begun:
            return self._take(turn, seat)
        if (state := self.ledger.begin(held.claim, self.live.host.id, turn.item)) != "held":
            return f"the bundle is {state}"
        return self._take(turn, seat)

    def _sit(self, held: Held, seat: Seat) -> bool:
        """Have a slot, or wait for one, also where the last item was not the last. False: given up."""
        return seat.sitting or self.slots.sit(seat, lambda: held.stopped.is_set() or self.stopping())

    def _pass_place_on(self, held: Held) -> None:
        """Where a run limits how many are at work, claims were refused for it and their invitations are
        gone: ask for the next one now, and not at the steward's next tick."""
        claim = held.claim
        if self._manifest(claim.run_id).max_concurrent:
            again = [Invitation(claim.run_id, claim.number, claim.queue)]
            self.ledger.patiently(lambda: invite(self.ledger.redis, again, again=True))

    def _take(self, turn: Turn, seat: Seat) -> "Turn | str":
        claim = turn.held.claim
        if self.stopping() or not self._sit(turn.held, seat):
            return self._give_back(turn.held)
        if not turn.more:
            self.slots.ending(seat)
        if turn.item == claim.suspect and claim.deaths >= MOST_DEATHS:
            return self._end(turn, self._poison(claim.deaths))
        if claim.bundle.parent is not None:
            turn = replace(turn, parent=self._parent(turn))
            if turn.parent is None:
                self.ledger.release(claim, backoff_s=1.0)
                return "given back: its parent's answer is not there"
        try:
            model = self.live.prepare(self.live.model(claim.bundle.model))
            largest = self._largest_window(claim.queue, model)
            begun = time.monotonic()
            with self.meter.during(model.local) as used:
                reply = answer(partial(self._ask, turn), model, turn.question, self._scale, largest)
                self._learn_speed(turn, model, reply, time.monotonic() - begun)
        except CallCancelled:
            if turn.held.late_item == turn.item:  # somebody else was faster with it
                return self._after(turn, self.ledger.next(claim))
            return self._give_back(turn.held)
        except BiggerElsewhere as error:
            self.ledger.release(claim, elsewhere_s=verdict.ELSEWHERE_S)
            return f"given back: {error}"
        except LLMQError as error:
            return self._failed(turn, error)
        if not turn.more:
            self.slots.leave(seat)
        if self.live.succeeded():
            self.slots.wake()
        return self._commit(turn, self._result(turn, model, reply, used.figures()))

    def _learn_speed(self, turn: Turn, model: ServedModel, reply: Answer, took_s: float) -> None:
        first_token_s = (reply.completions[0].timing.ttft_ms or 0.0) / 1000
        claim = turn.held.claim
        self.live.speeds.saw(
            model.name,
            tokens=turn.tokens,
            answer=reply.last.counts.completion_tokens or len(reply.last.text) // CHARACTERS_A_TOKEN,
            first_token_s=first_token_s,
            rest_s=took_s - first_token_s,
            first=turn.item == claim.items[0] or turn.parent is not None,
        )

    def _ask(self, turn: Turn, request: Request) -> Completion:
        tokens = len(request.prompt) // CHARACTERS_A_TOKEN
        limits = self.live.patience.limits(request.model, tokens)
        if silence_s := self.live.host.timeout_s or self.settings.request_timeout:
            limits = Limits(first_token_s=silence_s, between_tokens_s=silence_s)
        with (
            turn.held.calling(Asking(Call(limits), turn.item, request.model, tokens)) as call,
            self.gauge.calling(call),
        ):
            completion = self.live.engine.complete(request, call)
        timing = completion.timing
        if timing.ttft_ms is not None:
            between_s = timing.itl_ms / 1000 if timing.itl_ms else None
            self.live.patience.saw(request.model, tokens, timing.ttft_ms / 1000, between_s)
        return completion

    def _failed(self, turn: Turn, error: LLMQError) -> "Turn | str":
        """A failed attempt: the item ends with its reason, or the bundle is tried again."""
        claim = turn.held.claim
        others = self.others(claim.queue)
        alone = not any(host.able for host in others)
        log.warning("%s: %s: %s", turn.id, error.kind, error)
        elsewhere = isinstance(error, ModelNotFound) and bool(others)
        if elsewhere:
            self.live.withdraw(claim.bundle.model)
        broken = {host.id for host in others if host.trouble}
        outcome = verdict.after_failure(
            retryable=error.retryable or elsewhere,
            failed_before=verdict.tries(turn.failures, broken, self.settings.max_retries),
            max_retries=self.settings.max_retries,
            alone=alone,
            blame_host=elsewhere or self._engine_failed(error),
            failures=len(turn.failures),
        )
        failure = Failure(
            self.live.host.id, error.kind, self.live.told(error)[:MESSAGE_CHARS], outcome.counted
        )
        if outcome.ends:
            status = getattr(error, "http_status", None)
            return self._end(turn, failure, {"http_status": status} if status else {})
        self.ledger.release(
            claim,
            backoff_s=outcome.backoff_s,
            elsewhere_s=outcome.elsewhere_s,
            item=turn.item,
            failure=failure,
        )
        return f"given back: {failure.type}"

    def _engine_failed(self, error: LLMQError) -> bool:
        """Tell the breaker; says whether the host is to blame."""
        if isinstance(error, RequestRejected | AnswerCut | PaperTruncated):
            self.live.succeeded()  # it answered in good order: the engine is well
        if not (isinstance(error, EngineError) and error.retryable):
            return False
        spent = self.live.breaker.spent
        return verdict.blames_host(error, opened=self.live.failed(error), spent=spent)

    def _result(self, turn: Turn, model: ServedModel, reply: Answer, used: dict[str, Any]) -> Result:
        claim, last = turn.held.claim, reply.last
        wait_s = max(0.0, (claim.claimed_ms - claim.added_ms) / 1000)
        return Result(
            item_id=turn.id,
            host=self.live.host.id,
            attempts=turn.attempts,
            answer=last.text,
            reasoning=last.reasoning or None,
            engine=self.live.engine.name,
            engine_version=self.live.state.version,
            model=claim.bundle.model or model.name,
            model_digest=model.digest,
            simulated=last.simulated,
            finish_reason=last.finish_reason,
            cut=reply.cut or bool(turn.parent and turn.parent.cut),
            windows=reply.windows,
            failures=turn.failures,
            metrics=self._circumstances(turn)
            | measures(reply.completions, wait_s, model.window)
            | ({"quantization": model.quantization} if model.quantization else {})
            | used,
            content=content_id(turn.parent.answer or "") if turn.parent else None,
            added_ms=claim.added_ms,
            ended_ms=claim.now_ms,
        )

    def _circumstances(self, turn: Turn) -> dict[str, Any]:
        """What a row tells of an attempt however it ended."""
        return {"enqueued_ms": turn.held.claim.added_ms, "worker": self.live.worker}

    def _commit(self, turn: Turn, result: Result) -> "Turn | str":
        claim = turn.held.claim
        self._sign(claim.run_id)
        place = kept(turn.manifest, claim.bundle, turn.item, result, self.texts.ttl_s)
        return self._after(turn, self.commits.commit(claim, turn.item, result, place))

    def _sign(self, run_id: str) -> None:
        """The run knows that this host has part in it."""
        if run_id not in self._signed:
            self.ledger.patiently(lambda: sign(self.ledger.redis, run_id, self.live.record(), self.settings))
            if len(self._signed) >= MOST_MANIFESTS:
                self._signed.clear()
            self._signed.add(run_id)

    def _after(self, turn: Turn, step: Step) -> "Turn | str":
        """The next item of the bundle, if there is one and it is still ours."""
        if step.bundle == "done":
            self._invite_later(turn)
        if step.bundle != "held" or step.next_item is None:
            return f"the bundle is {step.bundle}"
        turn.held.kept()
        return replace(turn, item=step.next_item, more=step.more)

    def _invite_later(self, turn: Turn) -> None:
        """The bundle is done, and what waited for its answers is due: ask now, and not at the steward's next
        tick."""
        claim = turn.held.claim
        later = [
            Invitation(claim.run_id, claim.number, queue_of(stage.model, stage.host))
            for stage in turn.manifest.stages
            if stage.after == claim.bundle.stage
        ]
        if later:
            self.ledger.patiently(lambda: invite(self.ledger.redis, later))

    def _end(self, turn: Turn, failure: Failure, metrics: dict[str, Any] | None = None) -> "Turn | str":
        result = Result(
            item_id=turn.id,
            host=self.live.host.id,
            attempts=turn.attempts,
            error=failure,
            engine=self.live.state.engine,
            engine_version=self.live.state.version,
            model=turn.held.claim.bundle.model,
            simulated=self.live.state.simulated,
            failures=(*turn.failures, failure),
            metrics=self._circumstances(turn) | (metrics or {}),
        )
        return self._commit(turn, result)

    def _end_unreadable(self, held: Held) -> str:
        claim = held.claim
        for item in claim.items:
            result = unreadable(claim.run_id, claim.number, item, claim.bundle, self.live.host.id)
            self.ledger.commit(claim, item, result)
        return f"{len(claim.items)} items of an unreadable paper"

    def _copy(self, held: Held) -> str:
        """Items whose answer key came before in this run take that result."""
        claim = held.claim
        originals = self.runs.results(claim.run_id, claim.bundle.copies)
        for item in claim.items:
            original = originals[item]
            if original is None:
                self.ledger.release(claim, backoff_s=1.0)
                return "given back: the original is not there yet"
            own = item_id(claim.run_id, claim.number, item)
            copy = replace(original, item_id=own, reused_from=original.item_id)
            self.ledger.commit(claim, item, copy)
        return f"{len(claim.items)} items with the answers of an equal paper"

    def _give_back(self, held: Held) -> str:
        return f"given back: {self.ledger.release(held.claim)}"

    def _poison(self, deaths: int) -> Failure:
        message = f"{deaths} workers died while this item ran; it is set aside"
        return Failure(self.live.host.id, "poison", message)

    def _parent(self, turn: Turn) -> Result | None:
        """The answer this item reads; None: Redis came back without it."""
        claim = turn.held.claim
        (parent,) = self.runs.results(claim.run_id, [(claim.bundle.parent or 0, turn.item)])
        return parent if parent and parent.success else None

    def _text(self, held: Held) -> str | None:
        claim = held.claim
        stage = self._manifest(claim.run_id).stage_of(claim.bundle)
        paper = claim.bundle.paper if stage.after is None or reads_paper(stage.template or "") else None
        return self.ledger.patiently(lambda: self.texts.read(paper)) if paper else None

    def _manifest(self, run_id: str) -> Manifest:
        if run_id not in self._manifests:
            if len(self._manifests) >= MOST_MANIFESTS:
                self._manifests.clear()
            self._manifests[run_id] = self.runs.manifest(run_id)
        return self._manifests[run_id]

    def _largest_window(self, queue: str, model: ServedModel) -> int | None:
        """The largest window among the live hosts for this work, ours included."""
        others = (
            m.window or 0
            for host in self.others(queue)
            if host.able
            for m in host.models
            if m.name == model.name
        )
        return max([*others, model.window or 0]) or None
