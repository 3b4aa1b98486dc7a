"""The way of a claimed bundle through a worker: answer each item, commit it, or give the bundle back."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from tasks import verdict
from tasks.answer import BiggerElsewhere
from tasks.ask import Asker
from tasks.bench.carry import CellCarrier
from tasks.blame import judge
from tasks.errors import BrokerUnreachable, UnknownRun
from tasks.gauge import Gauge
from tasks.hosts import HostRecord
from tasks.intake.prompts import reads_paper
from tasks.invite import Invitation, invite
from tasks.lease import Held
from tasks.ledger.claim import Step
from tasks.ledger.ledger import Ledger
from tasks.livehost import LiveHost
from tasks.measures import of_failure
from tasks.queues import queue_of
from tasks.recent import RecentCommits
from tasks.result import Failure, Result
from tasks.reuse import kept
from tasks.runs import Runs
from tasks.served import sign
from tasks.settings import Settings
from tasks.slots import Seat, Slots
from tasks.texts import Texts
from tasks.turn import Reply, Turn, answered, failed
from tasks.work import Manifest, item_id, unreadable
from worker_agent.errors import CallCancelled, LLMQError
from worker_agent.meters.meter import Meter

log = logging.getLogger(__name__)

MOST_RUNS = 100  # whose manifests are kept at hand


class Broken(LLMQError):
    """llmq itself failed on an item; another try may not."""

    kind = "internal"
    retryable = True


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
    _asker: Asker = field(init=False)
    _cells: CellCarrier = field(init=False)
    _manifest: Callable[[str], Manifest] = field(init=False)
    _sign: Callable[[str], None] = field(init=False)

    def __post_init__(self) -> None:
        self._manifest = lru_cache(MOST_RUNS)(self.runs.manifest)
        self._sign = lru_cache(MOST_RUNS)(self._write_signature)
        self._asker = Asker(self.live, self.gauge, self.meter, self.others, self.settings)
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
            return self._answer_all(held, seat)
        except BrokerUnreachable:
            return "the worker stops while Redis is away; the lease ends by itself"
        except UnknownRun:
            return "the run is gone"

    def _answer_all(self, held: Held, seat: Seat) -> str:
        claim = held.claim
        after: Turn | str = Turn(held, claim.items[0], len(claim.items) - 1, self._manifest(claim.run_id))
        count = 0
        while isinstance(turn := after, Turn):
            try:
                after = self._take(turn, seat) if turn.begun else self._begin(turn, seat)
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
        """The first item of a bundle, once there is a slot for it; the next one, where that failed before
        it was asked."""
        held = turn.held
        turn = replace(turn, begun=True, text=self._text(held))
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

    def _take(self, turn: Turn, seat: Seat) -> "Turn | str":
        claim = turn.held.claim
        if self.stopping() or not self._sit(turn.held, seat):
            return self._give_back(turn.held)
        if not turn.more:
            self.slots.ending(seat)
        if turn.item == claim.suspect and claim.deaths >= verdict.MOST_DEATHS:
            return self._end(turn, verdict.poison(self.live.host.id, claim.deaths, "item"))
        if claim.bundle.parent is not None:
            turn = replace(turn, parent=self._parent(turn))
            if turn.parent is None:
                self.ledger.release(claim, backoff_s=1.0)
                return "given back: its parent's answer is not there"
        reply = self._ask(turn)
        if not isinstance(reply, Reply):
            return reply
        if not turn.more:
            self.slots.leave(seat)
        if self.live.succeeded():
            self.slots.wake()
        return self._commit(turn, answered(turn, self.live, reply))

    def _ask(self, turn: Turn) -> "Reply | Turn | str":
        """What the engine answers, or what follows where it does not."""
        try:
            return self._asker.ask(turn)
        except CallCancelled:
            if turn.held.late_item == turn.item:  # somebody else was faster with it
                return self._after(turn, self.ledger.next(turn.held.claim))
            return self._give_back(turn.held)
        except BiggerElsewhere as error:
            self.ledger.release(turn.held.claim, elsewhere_s=verdict.ELSEWHERE_S)
            return f"given back: {error}"
        except LLMQError as error:
            return self._failed(turn, error)

    def _failed(self, turn: Turn, error: LLMQError) -> "Turn | str":
        """A failed attempt: the item ends with its reason, or the bundle is tried again."""
        log.warning("%s: %s: %s", turn.id, error.kind, error)
        claim = turn.held.claim
        failure, outcome = judge(turn, error, self.live, self.others(claim.queue), self.settings.max_retries)
        if outcome.ends:
            return self._end(turn, failure, of_failure(error))
        self.ledger.release(
            claim,
            backoff_s=outcome.backoff_s,
            elsewhere_s=outcome.elsewhere_s,
            item=turn.item,
            failure=failure,
        )
        return f"given back: {failure.type}"

    def _commit(self, turn: Turn, result: Result) -> "Turn | str":
        claim = turn.held.claim
        self._sign(claim.run_id)
        place = kept(turn.manifest, claim.bundle, turn.item, result, self.texts.ttl_s)
        return self._after(turn, self.commits.commit(claim, turn.item, result, place))

    def _write_signature(self, run_id: str) -> None:
        """The run knows that this host has part in it."""
        self.ledger.patiently(lambda: sign(self.ledger.redis, run_id, self.live.record(), self.settings))

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
        return self._commit(turn, failed(turn, self.live, failure, metrics))

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
