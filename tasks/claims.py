"""What a free slot of this host does next: asks the ledger what there is, tasks/policy.py what to want of it,
and claims that."""

import time
from collections.abc import Callable
from dataclasses import replace

from tasks.hosts import HostRecord
from tasks.ledger.ledger import Claim, Ledger, Outlook, new_token
from tasks.livehost import LiveHost
from tasks.policy import Peer, choose
from tasks.runs import Runs
from tasks.slots import Slots
from tasks.work import ANY_MODEL, queue_of_host

RUNS_S = 1.0  # how long the list of open runs is believed
ASK_AGAIN_S = 0.25  # while there is work and none of it is for us
CROWD = 50  # hosts; with more of them each asks less often
# Redis may have come back without the last claims and commits: holders say first what they have.
AFTER_OUTAGE_S = 3.0
STAY_S = 300.0  # how long a host stays on one model while another has work for it


class Claims:
    """Shared by the threads of one worker. `others`: the other live hosts that have a queue."""

    def __init__(
        self, live: LiveHost, ledger: Ledger, slots: Slots, others: Callable[[str], list[HostRecord]]
    ) -> None:
        self._live, self._ledger, self._slots, self._others = live, ledger, slots, others
        self._runs = Runs(ledger)
        self._open: list[str] = []
        self._open_at = float("-inf")
        self.plenty = False  # so much was due at the last claim that invitations wait for every slot
        self._queue, self._since = "", time.monotonic()

    def next(self, stopping: Callable[[], bool]) -> Claim | None:
        """Wait for something to do. None: no run has anything for this host, or it takes no work now."""
        while not stopping() and self._live.limit():
            claim, more = self._claim()
            if claim or not more:
                return claim
            crowd = len(self._others(self._queue or ANY_MODEL)) / CROWD
            self._slots.rest(ASK_AGAIN_S * max(1.0, crowd))
        return None

    def anything(self) -> bool:
        """Does any run have work, begun or not, for this host?"""
        return any(_busy(look) for queue in self._live.queues for _, look in self._outlooks(queue))

    def _claim(self) -> tuple[Claim | None, bool]:
        """A claim, and whether there is anything left to wait for."""
        more = False
        for queue in self._in_order():
            for run_id, look in self._outlooks(queue):
                more = more or _busy(look)
                if claim := self._try(run_id, queue, look):
                    if queue != self._queue:
                        self._queue, self._since = queue, time.monotonic()
                    return claim, True
        return None, more

    def _try(self, run_id: str, queue: str, look: Outlook) -> Claim | None:
        """What the policy wants of a run's queue, if the ledger grants it: something due, else help."""
        if time.monotonic() - self._ledger.back_at < AFTER_OUTAGE_S:
            return None
        others = [host for host in self._others(queue) if host.able]
        peers = [_peer(host, queue) for host in others]
        nothing = replace(look.due, bundles=0, items=0, tokens=0)
        for due in dict.fromkeys((look.due, nothing)):
            choice = choose(self._own(queue), peers, due, look.held)
            if self._slots.full:  # looking ahead, for when a slot falls free
                choice = replace(choice, help_=())
            if choice.take or choice.help_:
                token = new_token(self._live.incarnation)
                claim = self._ledger.claim(
                    run_id,
                    queue,
                    token,
                    self._live.host.id,
                    alone=not others,
                    choice=choice,
                    begin=not self._slots.full,
                )
                if claim:
                    self.plenty = due.bundles > self._slots.slots
                    return claim
        return None

    def _in_order(self) -> list[str]:
        """Our queues, the one we are at first: going to another may load another model."""
        queues = [queue for queue in self._live.queues if queue != queue_of_host(self._live.host.id)]
        stays = self._queue in queues and time.monotonic() - self._since < STAY_S
        if not stays and self._queue in queues:
            self._since = time.monotonic()
            return [*(queue for queue in queues if queue != self._queue), self._queue]
        return sorted(queues, key=lambda queue: queue != self._queue)

    def _outlooks(self, queue: str) -> list[tuple[str, Outlook]]:
        """Of each open run, those that have least at work first: runs share the fleet evenly."""
        if time.monotonic() - self._open_at > RUNS_S:
            self._open, self._open_at = self._runs.open_ids(), time.monotonic()
        looks = [(run_id, self._ledger.look(run_id, queue)) for run_id in self._open]
        return sorted(looks, key=lambda pair: pair[1].held_in_all)

    def _own(self, queue: str) -> Peer:
        models = self._live.models
        model = _model(queue, models[0].name if models else "")
        return Peer(self._live.host.id, self._live.slots, self._live.speeds.of(model))


def _busy(look: Outlook) -> bool:
    return bool(look.waiting or look.held)


def _peer(host: HostRecord, queue: str) -> Peer:
    speeds = {speed.model: speed.speed for speed in host.speeds}
    model = _model(queue, host.models[0].name if host.models else "")
    return Peer(host.id, host.slots, speeds.get(model))


def _model(queue: str, default: str) -> str:
    return default if queue == ANY_MODEL else queue.removeprefix("llmq.model.")
