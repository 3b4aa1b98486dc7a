"""What a free slot of this host does next: asks the ledger what there is, tasks/ownmodels.py for which
model to work, tasks/policy.py what to want of it, and claims that."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

from tasks.ledger.claim import Claim, new_token
from tasks.ledger.ledger import IN_LINE, Ledger
from tasks.ledger.outlook import Outlook
from tasks.livehost import LiveHost
from tasks.neighbours import Neighbours
from tasks.ownmodels import OwnModels
from tasks.policy import Choice, Peer, choose
from tasks.queues import model_of
from tasks.slots import Slots

ASK_AGAIN_S = 0.25  # while there is work and none of it is for us
IN_LINE_S = (
    1.0  # likewise, while a cell waits for another's: who is measured next to us may hear no more of us
)
SHARED_S = 0.005  # a look that began so long before somebody asked will do for them too
# Redis may have come back without the last claims and commits: holders say first what they have.
AFTER_OUTAGE_S = 3.0
REFUSED_S = 1.0  # after we were granted nothing of what is due: for so long nothing is, for us
MOST_REFUSED = 1000

Chosen = tuple[Outlook, Choice]


class _Refusal(NamedTuple):
    """By which look a claim was refused, and since when that counts."""

    look: float
    at: float


class Claims:
    """Shared by the threads of one worker."""

    def __init__(
        self, live: LiveHost, ledger: Ledger, slots: Slots, neighbours: Neighbours, models: OwnModels
    ) -> None:
        self._live, self._ledger, self._slots = live, ledger, slots
        self._neighbours, self._models = neighbours, models
        self.plenty = False  # so much was due at the last claim that an invitation waits for every slot
        self._refused: dict[tuple[str, str], _Refusal] = {}  # by run and queue
        self._in_line = False  # at the last claim
        self._looking = Lock()
        self._looked_at, self._looks = float("-inf"), list[Outlook]()

    def next(self, stopping: Callable[[], bool]) -> Claim | None:
        """Wait for something to do. None: no run has anything for this host, or it takes no work now."""
        while not stopping() and self._live.limit():
            looks = self._look()
            if claim := self._claim(looks):
                return claim
            if not any(look.busy for look in looks):
                return None
            again_s = ASK_AGAIN_S * self._neighbours.crowd
            self._slots.rest(max(IN_LINE_S, again_s) if self._in_line else again_s)
        return None

    def anything(self) -> bool:
        """Does any run have work, begun or not, for this host?"""
        return any(look.busy for look in self._ledger.look(self._queues, 1))

    @property
    def _queues(self) -> list[str]:
        return list(self._live.queues)

    def _look(self) -> list[Outlook]:
        """One for all slots that ask at the same time."""
        asked_at = time.monotonic()
        with self._looking:
            if self._looked_at < asked_at - SHARED_S:
                began_at = time.monotonic()
                self._looks, self._looked_at = self._ledger.look(self._queues), began_at
            return self._looks

    def _claim(self, looks: Sequence[Outlook]) -> Claim | None:
        """What the policy wants of the runs, if the ledger grants it, run after run."""
        if time.monotonic() - self._ledger.back_at < AFTER_OUTAGE_S:
            return None
        for look, choice in self._ours([(look, self._choice(look)) for look in looks]):
            if (choice.take or choice.help_) and (claim := self._ask(look, choice)):
                self._models.claimed(look.queue)
                return claim
        return None

    def _choice(self, look: Outlook, load_s: float = 0.0) -> Choice:
        """What the policy wants of a run's queue: something due; help, where nothing due is granted."""
        own, peers = self._own(look.queue), self._peers(look.queue)
        choice = choose(own, peers, look.due, look.held, load_s=load_s)
        if self._slots.full:  # looking ahead, for when a slot falls free
            return replace(choice, help_=())
        if choice.take:
            nothing = replace(look.due, bundles=0, items=0, tokens=0)
            return replace(choice, help_=choose(own, peers, nothing, look.held, load_s=load_s).help_)
        return choice

    def _ask(self, look: Outlook, choice: Choice) -> Claim | None:
        token = new_token(self._live.incarnation)
        others, reasons = self._neighbours.of(look.queue), list[str]()
        alone = not any(host.able for host in others)
        claim = self._ledger.claim(
            look.run_id,
            look.queue,
            token,
            self._live.host.id,
            alone=alone,
            choice=choice,
            begin=not self._slots.full,
            machine=self._live.machine,
            refused=reasons.append,
        )
        self._in_line = IN_LINE in reasons
        if claim:
            # As many threads as this may each have taken an invitation and nothing of what is due.
            threads = sum(host.slots + 1 for host in others) + self._slots.slots + 1
            self.plenty = look.due.bundles > threads
        else:
            self._refuse(look)
        return claim

    def _refuse(self, look: Outlook) -> None:
        """Twice, by two looks, is a refusal; once, another slot that shared the look was faster."""
        if len(self._refused) > MOST_REFUSED:
            self._refused.clear()
        what = look.run_id, look.queue
        before = self._refused.get(what)
        again = before is not None and before.look != self._looked_at
        self._refused[what] = _Refusal(self._looked_at, time.monotonic() if again else float("-inf"))

    def _is_refused(self, look: Outlook) -> bool:
        refusal = self._refused.get((look.run_id, look.queue))
        return refusal is not None and time.monotonic() - refusal.at < REFUSED_S

    def _ours(self, chosen: Sequence[Chosen]) -> Sequence[Chosen]:
        """What there is for the model this host is on; where it has nothing to do, help for others too."""
        duty = self._models.duty(
            (look, choice.take and not self._is_refused(look)) for look, choice in chosen
        )
        if duty is None:
            return chosen
        ours = [one for one in chosen if self._models.of(one[0].queue) == duty.model]
        if not duty.helps:
            return ours
        load_s = self._models.load_s
        others = (look for look, _ in chosen if self._models.of(look.queue) != duty.model)
        return [*ours, *((look, replace(self._choice(look, load_s), take=False)) for look in others)]

    # -- who we are, and who the others -------------------------------------------------------

    def _own(self, queue: str) -> Peer:
        return Peer(self._live.host.id, self._live.slots, self._live.speeds.of(self._models.of(queue)))

    def _peers(self, queue: str) -> list[Peer]:
        """The others who take from it now: not those who are on another model."""
        made = []
        for host in self._neighbours.of(queue):
            model = model_of(queue, host.models[0].name if host.models else "")
            if host.able and host.current in ("", model):
                speeds = {one.model: one.speed for one in host.speeds}
                made.append(Peer(host.id, host.slots, speeds.get(model)))
        return made
