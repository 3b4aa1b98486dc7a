"""Looking at a run from beside it, in its Redis: who holds what, which results there are, who consumes."""

import json
import math
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import redis

from tasks.connection import Client
from tasks.ledger import keys
from tasks.queues import RETRY_SUFFIX

LOOK_S = 0.1


@dataclass(slots=True)
class Loss:
    """A bundle whose holder was struck, and after how many seconds it had another or was done."""

    run_id: str
    number: str
    holder: str
    since: float
    after_s: float | None = None


@dataclass
class Watch:
    """Follows the bundles of struck workers until they run again. Start it once, `close` it."""

    client: Client
    losses: list[Loss] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="watch", daemon=True)
        self._thread.start()

    def struck(self, host: str) -> int:
        """The worker of this host was struck just now. Returns how many bundles it held."""
        held = [member.split(" ") for member in self.client.smembers(keys.held(host))]
        holders = self._holders([(run_id, number) for run_id, number in held])
        now = time.monotonic()
        new = [
            Loss(run_id, number, holder, now)
            for (run_id, number), holder in zip(held, holders, strict=True)
            if holder
        ]
        self.losses += new
        return len(new)

    @property
    def open(self) -> int:
        """Struck bundles that do not run again yet."""
        return sum(loss.after_s is None for loss in self.losses)

    def redelivery_s(self, share: float) -> float:
        """This share of the struck bundles ran again within so many seconds (infinite: not all did)."""
        after_s = sorted(math.inf if loss.after_s is None else loss.after_s for loss in self.losses)
        return after_s[max(0, math.ceil(share * len(after_s)) - 1)] if after_s else math.inf

    def close(self) -> None:
        self._done.set()
        self._thread.join(10)

    def _loop(self) -> None:
        while not self._done.wait(LOOK_S):
            with suppress(redis.RedisError):
                self._look()

    def _look(self) -> None:
        open_ = [loss for loss in self.losses if loss.after_s is None]
        pipe = self.client.pipeline(transaction=False)
        for loss in open_:
            pipe.hget(keys.bundle_prefix(loss.run_id) + loss.number, "holder")
            pipe.exists(keys.bundle_prefix(loss.run_id) + loss.number)
        answers = pipe.execute() if open_ else []
        for loss, holder, exists in zip(open_, answers[::2], answers[1::2], strict=True):
            if not exists or (holder and holder != loss.holder):
                loss.after_s = time.monotonic() - loss.since

    def _holders(self, bundles: Sequence[tuple[str, str]]) -> list[str | None]:
        pipe = self.client.pipeline(transaction=False)
        for run_id, number in bundles:
            pipe.hget(keys.bundle_prefix(run_id) + number, "holder")
        return list(pipe.execute())


def results(client: Client, run_id: str) -> dict[str, str]:
    """Every result there is, to the byte, by item id."""
    ids = [f"{run_id}-{row.replace(' ', '-')}" for row in client.lrange(keys.done(run_id), 0, -1)]
    rows = client.mget([keys.result(one) for one in ids]) if ids else []
    return dict(zip(ids, rows, strict=True))


def ended(client: Client, run_id: str) -> bool:
    """The run owes nothing more; False while Redis is away."""
    try:
        return bool(client.hexists(keys.run(run_id), "ended"))
    except redis.RedisError:
        return False


def consumers(client: Client) -> set[int]:
    """The processes that live host records speak of."""
    rows = [client.get(keys.host(host)) for host in client.smembers(keys.HOSTS)]
    return {int(json.loads(row)["pid"]) for row in rows if row}


def queued_beyond_due(client: Client, run_id: str, queue: str) -> int:
    """Invitations in a queue beyond the bundles that are due there."""
    pipe = client.pipeline()
    pipe.llen(queue)
    pipe.llen(queue + RETRY_SUFFIX)
    pipe.zcard(keys.due(run_id, queue))
    new, again, due = pipe.execute()
    return int(new) + int(again) - int(due)
