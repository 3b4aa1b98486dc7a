"""What this worker holds: leases renewed while an engine works, calls stopped when a lease is lost.

A thread that is stuck must not keep its bundle for ever: its lease is not renewed.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock

from tasks.ledger.claim import Claim
from tasks.ledger.ledger import Ledger
from worker_agent.engines.dial import Call, clock

log = logging.getLogger(__name__)

CALL_GRACE_S = 60.0  # beyond the silence that a call itself allows its engine
BETWEEN_CALLS_S = 120.0


@dataclass(frozen=True, slots=True)
class Asking:
    """An engine call under way: for which item, and about how many tokens `model` was given to read."""

    call: Call
    item: int
    model: str
    prompt_tokens: int

    @property
    def first_token_s(self) -> float | None:
        """How long the first token took; None: it is not there yet."""
        at = self.call.first_token_at
        return None if at is None else at - self.call.begun_at


class Held:
    """A claimed bundle and the engine call it waits for, if any. `stopped`: it is ours no longer. `lent`:
    others may take it while this worker still tries one item; `overtaken`: one of them was faster;
    `late_item`: so it was with this item, which is no reason to let the others go. While
    `waits` says so, its thread has a good reason to do nothing."""

    def __init__(self, claim: Claim, waits: Callable[[], bool] = lambda: False) -> None:
        self.claim = claim
        self._waits = waits
        self._moved_at = clock()
        self.stopped = Event()
        self.abandoned = False  # it was stuck: said once
        self.lent = False
        self.overtaken = False
        self.late_item: int | None = None
        self.asking: Asking | None = None
        self.too_silent_s: Callable[[], float] | None = None  # of a cell, which asks much at a time
        self._lock = Lock()

    @contextmanager
    def calling(self, asking: Asking) -> Iterator[Call]:
        """Within, `stop` shuts this call's connection."""
        with self._lock:
            self.asking = asking
        if self.stopped.is_set():
            asking.call.cancel()
        try:
            yield asking.call
        finally:
            with self._lock:
                self.asking = None
                self._moved_at = clock()

    @property
    def stuck(self) -> bool:
        """Its thread has shown no progress for longer than it may."""
        if self.too_silent_s:
            return self.too_silent_s() > CALL_GRACE_S
        with self._lock:
            if self.asking:
                return self.asking.call.too_silent_s > CALL_GRACE_S
            if self._waits():
                self._moved_at = clock()
            return clock() - self._moved_at > BETWEEN_CALLS_S

    def stop(self) -> None:
        """Work no further on this bundle; a running engine call ends at once."""
        self.stopped.set()
        self.shut_call()

    def shut_call(self) -> None:
        """A running engine call ends at once."""
        with self._lock:
            if self.asking:
                self.asking.call.cancel()

    def late(self, item: int) -> None:
        """Somebody else has answered `item`: if we are still asking it, that ends."""
        with self._lock:
            if self.asking and self.asking.item == item:
                self.late_item = item
                self.asking.call.cancel()

    def lost(self) -> None:
        """The lease is another's now. A lender may go on as long as tasks/overdue.py says."""
        if self.lent:
            self.overtaken = True
        else:
            self.stop()

    def kept(self) -> None:
        """An item is committed, or a cell's requests have ended, and the bundle is still ours."""
        self.lent = self.overtaken = False
        self._moved_at = clock()


class Holdings:
    """All bundles this worker holds, for one host."""

    def __init__(self, ledger: Ledger, host_id: str) -> None:
        self._ledger, self._host_id = ledger, host_id
        self._held: dict[str, Held] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def holding(self, claim: Claim, waits: Callable[[], bool] = lambda: False) -> Iterator[Held]:
        """Within, the claim's lease is renewed, unless its thread is stuck."""
        held = Held(claim, waits)
        with self._lock:
            self._held[claim.token] = held
        try:
            yield held
        finally:
            with self._lock:
                del self._held[claim.token]

    def all(self) -> list[Held]:
        with self._lock:
            return list(self._held.values())

    def queues(self) -> list[str]:
        """Of each bundle the queue it came from."""
        return [held.claim.queue for held in self.all()]

    def renew(self) -> int:
        """One round trip for all leases but those of stuck threads; returns how many these are. Raises redis
        errors: ask again soon."""
        stuck = [one for one in self.all() if one.stuck]
        for one in stuck:
            level = logging.DEBUG if one.abandoned else logging.WARNING
            log.log(level, "bundle %s-%s is stuck; its lease ends", one.claim.run_id, one.claim.number)
            one.abandoned = True
            one.shut_call()
        held = [one for one in self.all() if one not in stuck]
        answers = self._ledger.renew([one.claim for one in held], self._host_id) if held else []
        for one, answer in zip(held, answers, strict=True):
            if answer == "held" and one.lent:  # who came to help has given it back
                one.kept()
            elif answer not in ("held", "lent"):
                log.info("bundle %s-%s is %s", one.claim.run_id, one.claim.number, answer)
                one.lost()
        return len(stuck)

    def late(self, token: str, item: int) -> None:
        """As `Held.late`, for the one held under `token`."""
        with self._lock:
            held = self._held.get(token)
        if held:
            held.late(item)

    def stop_run(self, run_id: str) -> None:
        """A run was cancelled."""
        for held in self.all():
            if held.claim.run_id == run_id:
                held.stop()

    def stop_all(self) -> None:
        for held in self.all():
            held.stop()
