"""What a worker runs beside Celery, for the one host it serves: leases, host record, probes, steward,
and the doorway through which an invitation becomes a bundle."""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import redis

from tasks import hosts, overdue
from tasks.carry import Carrier
from tasks.connection import connect
from tasks.hosts import HostRecord
from tasks.invite import Invitation
from tasks.lease import Holdings
from tasks.ledger import keys
from tasks.ledger.ledger import Ledger, new_token
from tasks.livehost import LiveHost
from tasks.recent import RecentCommits
from tasks.runs import Runs
from tasks.settings import Settings
from tasks.slots import Slots
from tasks.steward import Steward
from tasks.texts import Texts
from worker_agent.config import Host
from worker_agent.detect import differs
from worker_agent.errors import LLMQError

log = logging.getLogger(__name__)

NEIGHBOURS_S = 2.0
PROBE_LOOK_S = 0.5
WATCH_S = 1.0
UNKNOWN_SLOTS = 8


class Neighbours:
    """The other live hosts, as of a moment ago."""

    def __init__(self, ledger: Ledger, own_id: str) -> None:
        self._ledger, self._own_id = ledger, own_id
        self._seen_at, self._records = float("-inf"), list[HostRecord]()

    def of(self, queue: str) -> list[HostRecord]:
        """Those that have `queue`, able to take work now or not."""
        if time.monotonic() - self._seen_at > NEIGHBOURS_S:
            self._records = self._ledger.patiently(lambda: hosts.live_hosts(self._ledger.redis))
            self._seen_at = time.monotonic()
        return [one for one in self._records if queue in one.queues and one.id != self._own_id]


class Serving:
    """One worker's service of one host. `enter` makes it the host's worker; `stop`, then `leave` end it."""

    def __init__(self, host: Host, settings: Settings, redis_url: str) -> None:
        self._settings = settings
        ttl_s = int(settings.result_ttl_days * 86400)
        incarnation = secrets.token_hex(6)
        self.live = LiveHost(host, incarnation, health_check_interval=settings.health_check_interval)
        self.slots = Slots(self.live.slots, self.live.limit)
        self.on_change: Callable[[], None] = lambda: None  # the host may serve other queues than before
        self._ledger = Ledger(connect(redis_url), lease_s=settings.lease_s, patient=True)
        self._neighbours = Neighbours(self._ledger, host.id)
        self._holdings = Holdings(self._ledger, host.id)
        self._steward = Steward(self._ledger, incarnation, result_ttl_s=ttl_s)
        self._commits = RecentCommits(self._ledger)
        self._stopping = threading.Event()
        self._record = self.live.record()
        self._carrier = Carrier(
            live=self.live,
            ledger=self._ledger,
            commits=self._commits,
            runs=Runs(self._ledger),
            texts=Texts(connect(redis_url, decode=False), ttl_s=ttl_s),
            slots=self.slots,
            others=self._neighbours.of,
            stopping=self._stopping.is_set,
            settings=settings,
        )

    @property
    def threads(self) -> int:
        """One more than slots, to prepare the next bundle (tasks/slots.py); enough for whatever an engine
        that does not answer yet may turn out to carry."""
        known = self.live.host.slots or self.live.breaker.closed
        return (self.live.slots if known else max(self.live.slots, UNKNOWN_SLOTS)) + 1

    def serve(self, invitation: Invitation) -> str:
        """Follow an invitation; returns what came of it, for a person to read."""
        with self.slots.seat() as seat:
            if seat is None:
                return "not taken: the worker stops"
            claim = self._ledger.claim(
                invitation.run_id,
                [invitation.bundle],
                invitation.queue,
                new_token(self.live.incarnation),
                self.live.host.id,
                alone=not any(one.able for one in self._neighbours.of(invitation.queue)),
            )
            if claim is None:
                return "nothing due"
            with self._holdings.holding(claim) as held:
                return self._carrier.carry(held, seat)

    def enter(self) -> None:
        """Become the worker of this host. Raises HostTaken, BrokerUnreachable."""
        self._ledger.patiently(lambda: hosts.enter(self._ledger.redis, self._record))
        taken_back = self._ledger.reap(self.live.host.id, self.live.incarnation)
        if taken_back:
            log.info("took back %d bundles that a dead predecessor held", taken_back)
        threading.Thread(target=self._warm, name="_warm", daemon=True).start()
        for loop in (self._renew, self._probe, self._listen, self._watch):
            threading.Thread(target=self._keep, args=(loop,), name=loop.__name__, daemon=True).start()
        self._steward.start()

    def stop(self, grace_s: float) -> None:
        """Claim nothing more; running calls have `grace_s` to end, then they are shut. Returns at once."""
        self._stopping.set()
        self.slots.close()
        timer = threading.Timer(grace_s, self._give_up)
        timer.daemon = True
        timer.start()

    def _give_up(self) -> None:
        """The grace is over: calls end, and nobody waits for a Redis that is away."""
        self._holdings.stop_all()
        self._ledger.closing.set()
        for held in self._holdings.all():  # one that loads a model does not hear it
            with suppress(LLMQError):
                self._ledger.release(held.claim)

    def leave(self) -> None:
        """The host is free: its record goes, another steward leads."""
        self._steward.stop()
        self._ledger.closing.set()
        try:
            hosts.leave(self._ledger.redis, self._record)
        except redis.RedisError as error:
            log.warning("could not sign off, the record ends by itself: %s", error)

    def _keep(self, loop: Callable[[], None]) -> None:
        """Run a loop again if it breaks: a worker without one of them looks alive and is not."""
        while True:
            try:
                return loop()
            except Exception:
                log.exception("%s broke; it starts again", loop.__name__)
                time.sleep(1.0)

    def _renew(self) -> None:
        """Leases and host record live on. While the worker stops, until nothing is held any more."""
        while not self._stopping.is_set() or len(self._holdings):
            self._stopping.wait(self._renew_once())

    def _renew_once(self) -> float:
        """Returns after how many seconds to come again."""
        self.live.busy = self.slots.sitting
        self.slots.slots = self.live.slots  # an engine that was away says how many only now
        try:
            self._commits.met(str(self._ledger.redis.info("server")["run_id"]))
            self._holdings.renew()
            record = replace(self.live.record(), beat=self._record.beat)
            self._record = hosts.renew(self._ledger.redis, record)
        except redis.RedisError as error:
            log.warning("waiting for Redis: %s", error)
            self._stopping.wait(1.0)
            return 0.0
        finally:
            if self._stopping.is_set():
                time.sleep(0.5)  # the event no longer makes anybody wait
        return min(self._settings.lease_s, hosts.TTL_S) / 3

    def _warm(self) -> None:
        """Load the default model before work comes; its window then stands in the host record."""
        if other := differs(self.live.host):
            log.warning("configured as %s, but it answers like %s", self.live.host.engine, other)
        with suppress(LLMQError):
            self.live.prepare(self.live.model(None))

    def _probe(self) -> None:
        while not self._stopping.wait(PROBE_LOOK_S):
            if self.live.probe_if_due():
                log.info("the engine answers again")
                self.on_change()
                self.slots.wake()

    def _watch(self) -> None:
        """Look for calls that wait too long."""
        while not self._stopping.wait(WATCH_S):
            for held in self._holdings.all():
                if held.asking:
                    overdue.look(held, self.live, self._ledger, self._neighbours.of(held.claim.queue))

    def _listen(self) -> None:
        """Hear of cancelled runs at once; what is missed here, the next renewal notices."""
        while not self._stopping.is_set():
            try:
                self._hear()
            except redis.RedisError:
                self._stopping.wait(1.0)

    def _hear(self) -> None:
        with self._ledger.redis.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(keys.CANCELLED)
            while not self._stopping.is_set():
                if message := channel.get_message(timeout=1.0):
                    self._holdings.stop_run(message["data"])
                    self.slots.wake()
