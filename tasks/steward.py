"""The loop, led by one worker at a time, that takes back what was lost and invites again for what is due.

It keeps as many invitations in each queue as there are due bundles that nobody holds: a message that
Redis, Celery or a dead worker lost is missed at the next tick.
"""

import logging
from collections import Counter
from threading import Event, Thread

import redis

from tasks.errors import BrokerUnreachable
from tasks.invite import Invitation, invite
from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tasks.lifetime import settle
from tasks.queues import RETRY_SUFFIX
from tasks.runs import Runs

log = logging.getLogger(__name__)

TICK_S = 1.0
LEADER_TTL_S = 6.0
MOST_PER_TICK = 1000


class Steward:
    """Ticks in a thread of its own; every worker has one and one of them leads."""

    def __init__(self, ledger: Ledger, token: str, *, result_ttl_s: int) -> None:
        self._ledger, self._token, self._ttl_s = ledger, token, result_ttl_s
        self._runs = Runs(ledger)
        self._stop = Event()
        self._thread = Thread(target=self._loop, name="steward", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Resign, so that another worker leads at once."""
        self._stop.set()
        self._thread.join(timeout=LEADER_TTL_S)
        try:
            self._ledger.lead(self._token, 0)
        except redis.RedisError:
            log.debug("could not resign; the lead ends by itself")

    def _loop(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                if self._ledger.lead(self._token, LEADER_TTL_S):
                    self.tick()
            except (redis.RedisError, BrokerUnreachable) as error:
                log.warning("steward waits for Redis: %s", error)
            except Exception:
                log.exception("steward: a tick failed; the next one tries again")

    def tick(self) -> None:
        """Look at every open run once."""
        needed: Counter[str] = Counter()
        named: dict[str, list[tuple[str, int]]] = {}
        for run_id in self._runs.open_ids():
            due, waiting = self._ledger.expire(run_id)
            for queue, count in waiting.items():
                needed[queue] += min(count, due)
                named.setdefault(queue, []).append((run_id, min(count, due)))
        for queue, count in needed.items():
            self._fill(queue, count, named[queue])
        settle(self._runs, self._ttl_s)

    def _fill(self, queue: str, needed: int, runs: list[tuple[str, int]]) -> None:
        client = self._ledger.redis
        there = int(client.llen(queue)) + int(client.llen(queue + RETRY_SUFFIX))
        missing = min(needed - there, MOST_PER_TICK)
        for run_id, due in runs:
            if missing <= 0:
                return
            numbers = client.zrangebyscore(
                keys.due(run_id, queue), "-inf", f"({keys.FIRST_MOMENT}", start=0, num=min(missing, due)
            )
            invite(client, (Invitation(run_id, int(n), queue) for n in numbers), again=True)
            missing -= len(numbers)
            log.info("invited again for %d bundles of run %s", len(numbers), run_id)
