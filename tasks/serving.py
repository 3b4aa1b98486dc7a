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

from tasks import hosts, pause
from tasks.carry import Carrier
from tasks.claims import Claims
from tasks.connection import connect
from tasks.errors import BrokerUnreachable
from tasks.gauge import Gauge
from tasks.hosts import HostTaken
from tasks.lease import Holdings
from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tasks.livehost import LiveHost
from tasks.neighbours import Neighbours
from tasks.ownmodels import OwnModels
from tasks.queues import RETRY_SUFFIX
from tasks.recent import RecentCommits
from tasks.runs import Runs
from tasks.settings import Settings
from tasks.slots import Slots
from tasks.steward import Steward
from tasks.texts import Texts
from tasks.watch import Watch
from worker_agent.config import Host
from worker_agent.detect import differs
from worker_agent.errors import LLMQError
from worker_agent.meters.meter import Meter

log = logging.getLogger(__name__)

PROBE_LOOK_S = 0.5
WATCH_S = 1.0
GAUGE_S = 0.25
SOON_S = 0.5  # between renewals while somebody waits for the last bundle to end
UNKNOWN_SLOTS = 8
STOPS, NOTHING = "not taken: the worker stops", "nothing to do"
DEAF_S = 2.0  # for threads to hear that the worker ends
DEAD_S = 10.0  # for all the rest


class Serving:
    """One worker's service of one host. `enter` makes it the host's worker; `stop`, then `leave` end it.

    `on_failure` hears that it cannot go on, `on_deaf` that it has ended and a thread has not; by then
    `exit_code` is set."""

    def __init__(self, host: Host, settings: Settings, redis_url: str) -> None:
        self._settings = settings
        ttl_s = int(settings.result_ttl_days * 86400)
        incarnation = secrets.token_hex(6)
        self.live = LiveHost(host, incarnation, health_check_interval=settings.health_check_interval)
        self.slots = Slots(self.live.slots, self.live.limit)
        self._gauge = Gauge(self.live, self.slots)
        self._meter = Meter(host.url, lambda model: self.live.engine.model_memory(model))
        self.on_change: Callable[[], None] = lambda: None  # the host may serve other queues than before
        self.on_slots: Callable[[], None] = lambda: None  # there may be more or fewer than before
        self.on_failure: Callable[[], None] = lambda: None
        self.on_deaf: Callable[[], None] = lambda: None
        self.exit_code = 0
        self._ledger = Ledger(connect(redis_url), lease_s=settings.lease_s, patient=True)
        self._neighbours = Neighbours(self._ledger, host.id)
        self._holdings = Holdings(self._ledger, host.id)
        self._steward = Steward(self._ledger, incarnation, result_ttl_s=ttl_s)
        self._commits = RecentCommits(self._ledger)
        self._renew_now = threading.Event()
        models = OwnModels(self.live, self._neighbours, self._holdings.queues, self._renew_now.set)
        self._claims = Claims(self.live, self._ledger, self.slots, self._neighbours, models)
        self._watch = Watch(
            self.live, self._ledger, self.slots, self._neighbours, self._holdings, self._claims
        )
        self._stopping, self._graceless, self._left = (threading.Event() for _ in range(3))
        self._stuck_at: float | None = None  # since when every slot is
        self._record = self.live.record()
        self._carrier = Carrier(
            live=self.live,
            ledger=self._ledger,
            commits=self._commits,
            runs=Runs(self._ledger),
            texts=Texts(connect(redis_url, decode=False), ttl_s=ttl_s),
            slots=self.slots,
            gauge=self._gauge,
            meter=self._meter,
            others=self._neighbours.of,
            stopping=lambda: self._stopping.is_set() or self.live.drained,
            settings=settings,
        )

    @property
    def threads(self) -> int:
        """One more than slots, to prepare the next bundle (tasks/slots.py); enough for whatever an engine
        that does not answer yet may turn out to carry."""
        known = self.live.host.slots or self.live.breaker.closed
        return (self.live.most_slots if known else max(self.live.most_slots, UNKNOWN_SLOTS)) + 1

    def serve(self) -> str:
        """Take what there is to do, as somebody asked us to look; returns what came of it, for a person to
        read. Where no further invitation waits, look again: others may need help."""
        came: list[str] = []
        while not came or not (self._stopping.is_set() or self._claims.plenty or self._invited()):
            came.append(self._serve_once())
            if came[-1] in (NOTHING, STOPS):
                break
        return "; ".join(came)

    def _serve_once(self) -> str:
        with self.slots.seat() as seat:
            if seat is None:
                return STOPS
            claim = self._claims.next(lambda: self._stopping.is_set() or self.slots.reserved)
            if claim is None:
                return NOTHING
            with self._holdings.holding(claim, lambda: not seat.sitting or self.live.loading) as held:
                return self._carrier.carry(held, seat)

    def _invited(self) -> bool:
        """Do messages wait for us?"""

        def count() -> list[int]:
            pipe = self._ledger.redis.pipeline(transaction=False)
            for queue in self.live.queues:
                pipe.llen(queue)
                pipe.llen(queue + RETRY_SUFFIX)
            return list(pipe.execute())

        return any(self._ledger.patiently(count))

    def enter(self) -> None:
        """Become the worker of this host. Raises HostTaken, BrokerUnreachable."""
        self._ledger.patiently(self._look_whether_paused)
        self._record = self.live.record()
        self._ledger.patiently(lambda: hosts.enter(self._ledger.redis, self._record))
        taken_back = self._ledger.reap(self.live.host.id, self.live.incarnation)
        if taken_back:
            log.info("took back %d bundles that a dead predecessor held", taken_back)
            with suppress(redis.RedisError, BrokerUnreachable):
                self._steward.tick()  # the predecessor may have led: nobody else invites for them yet
        for once in (self._warm, self._end):
            threading.Thread(target=once, name=once.__name__, daemon=True).start()
        for loop in (self._renew, self._probe, self._listen, self._look_around, self._look_at_gauge):
            threading.Thread(target=self._keep, args=(loop,), name=loop.__name__, daemon=True).start()
        self._steward.start()

    def stop(self, grace_s: float) -> None:
        """Claim nothing more; running calls have `grace_s` to end, then they are shut. Returns at once."""
        self._close()
        timer = threading.Timer(grace_s, self.hurry)
        timer.daemon = True
        timer.start()

    def hurry(self) -> None:
        """The grace is over: give everything back now. Returns at once; a signal may call it."""
        self._graceless.set()

    def _close(self) -> None:
        self._stopping.set()
        self._renew_now.set()
        self.slots.close()

    def _end(self) -> None:
        """Calls end, and nobody waits for a Redis that is away, nor for a thread that hears nothing."""
        self._graceless.wait()
        self._close()
        self._ledger.closing.set()
        self._give_back()
        if not self._left.wait(DEAF_S) and (len(self._holdings) or not self._left.wait(DEAD_S)):
            self.on_deaf()

    def _give_back(self) -> None:
        self._holdings.stop_all()
        self.slots.wake()
        for held in self._holdings.all():  # one that loads a model does not hear it
            with suppress(LLMQError):
                self._ledger.release(held.claim)

    def _fail(self, reason: str) -> None:
        """Serving cannot go on: the work is given back, the worker stops, and its supervisor hears of it."""
        log.error("%s: this worker gives its work back and stops", reason)
        self.exit_code = 1
        self.hurry()
        self.on_failure()

    def leave(self) -> None:
        """The host is free: its record goes, another steward leads."""
        self._left.set()
        self._steward.stop()
        self._ledger.closing.set()
        self._meter.close()
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
            self._renew_now.wait(self._renew_once())
            self._renew_now.clear()

    def _renew_once(self) -> float:
        """Returns after how many seconds to come again."""
        self.slots.slots = self.live.slots  # an engine that was away says how many only now
        try:
            self._commits.met(str(self._ledger.redis.info("server")["run_id"]))
            self._end_if_stuck(self._holdings.renew())
            self._look_whether_paused()
            self.live.busy = self.slots.taken if self.live.drained else self.slots.sitting
            record = replace(self.live.record(), beat=self._record.beat)
            self._record = hosts.renew(self._ledger.redis, record)
        except HostTaken as error:
            if not self.exit_code:
                self._fail(str(error))
        except redis.RedisError as error:
            log.warning("waiting for Redis: %s", error)
            self._stuck_at = None  # threads that wait for it are not
            return 1.0
        if self._stopping.is_set() or (self.live.drained and self.live.busy):
            return SOON_S
        return min(self._settings.lease_s, hosts.TTL_S) / 3

    def _end_if_stuck(self, stuck: int) -> None:
        """Where no slot can work any more, another process has to: the supervisor starts one."""
        if stuck < self.slots.slots:
            self._stuck_at = None
            return
        self._stuck_at = self._stuck_at or time.monotonic()
        if time.monotonic() - self._stuck_at > 2 * self._settings.lease_s and not self.exit_code:
            self._fail(f"every slot of {self.live.host.id} is stuck")

    def _look_whether_paused(self) -> None:
        """Only the renewing thread looks: what it writes into the record is then what holds."""
        paused = pause.is_paused(self._ledger.redis, self.live.host.id)
        if paused != self.live.drained:
            self.live.drained = paused
            log.info("paused: takes no work until `llmq worker --resume`" if paused else "takes work again")
            self.slots.wake()

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

    def _look_around(self) -> None:
        while not self._stopping.wait(WATCH_S):
            self._watch.look()

    def _look_at_gauge(self) -> None:
        """For what no call tells: that slots are idle, and that it is time to find out again."""
        while self.live.knee and not self._stopping.wait(GAUGE_S):
            self._gauge.look()
            self.on_slots()  # always: Celery sets it anew when it connects again

    def _listen(self) -> None:
        """Hear of cancelled runs and of a pause at once; what is missed here, the next renewal notices."""
        while not self._stopping.is_set():
            try:
                self._hear()
            except redis.RedisError:
                self._stopping.wait(1.0)

    def _hear(self) -> None:
        with self._ledger.redis.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(keys.CANCELLED, keys.PAUSED, keys.LATE)
            while not self._stopping.is_set():
                if message := channel.get_message(timeout=1.0):
                    self._heard(message["channel"], message["data"])

    def _heard(self, channel: str, text: str) -> None:
        if channel == keys.LATE:
            token, item = text.rsplit(" ", 1)
            self._holdings.late(token, int(item))
            return
        told = pause.told(text, self.live.host.id)
        if channel == keys.CANCELLED:
            self._holdings.stop_run(text)
            self.slots.wake()
        elif told == pause.LOOK:
            self._renew_now.set()
        elif told == pause.SHUT and self.live.drained:
            self._give_back()
