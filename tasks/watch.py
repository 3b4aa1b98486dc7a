"""What a worker looks at every second beside its slots: calls that wait too long, and idle slots."""

import logging

import redis

from tasks import overdue
from tasks.claims import Claims
from tasks.errors import BrokerUnreachable
from tasks.invite import Invitation, invite
from tasks.lease import Holdings
from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tasks.livehost import LiveHost
from tasks.neighbours import Neighbours
from tasks.queues import queue_of_host
from tasks.slots import Slots

log = logging.getLogger(__name__)


class Watch:
    """Over one worker; used by one thread."""

    def __init__(
        self,
        live: LiveHost,
        ledger: Ledger,
        slots: Slots,
        neighbours: Neighbours,
        holdings: Holdings,
        claims: Claims,
    ) -> None:
        self._live, self._ledger, self._slots = live, ledger, slots
        self._neighbours, self._holdings, self._claims = neighbours, holdings, claims

    def look(self) -> None:
        """Let others try what is overdue; ask for work where slots are idle."""
        for held in self._holdings.all():
            if held.asking:
                overdue.look(held, self._live, self._ledger, self._neighbours.of(held.claim.queue))
        self._let_waiting_go()
        try:
            if len(self._holdings):
                self._neighbours.look()
            self._invite_ourselves()
        except (redis.RedisError, BrokerUnreachable) as error:
            log.debug("waiting for Redis: %s", error)

    def _let_waiting_go(self) -> None:
        """Where every slot is overdue, a bundle that waits for one is better off elsewhere."""
        holding = self._holdings.all()
        if sum(one.lent for one in holding) >= self._slots.slots:
            for one in holding:
                if not one.lent and not one.asking:
                    one.stop()
            self._slots.wake()

    def _invite_ourselves(self) -> None:
        """A slot that nobody invites may still be of help to those who are at work."""
        client, own = self._ledger.redis, queue_of_host(self._live.host.id)
        free = min(self._live.limit(), self._slots.slots) - self._slots.taken
        if free <= 0 or not (runs := client.smembers(keys.OPEN)):
            return
        self._neighbours.look()
        if client.llen(own):
            return
        if self._claims.anything():
            invite(client, [Invitation(min(runs), 0, own, "help")] * free)
