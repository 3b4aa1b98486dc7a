"""What this worker holds: leases renewed while an engine works, calls stopped when a lease is lost."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

from tasks.ledger.ledger import Claim, Ledger
from worker_agent.engines.transport import Call

log = logging.getLogger(__name__)


class Held:
    """A claimed bundle and the engine call it waits for, if any. `stopped`: it is ours no longer."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.stopped = Event()
        self._call: Call | None = None
        self._lock = Lock()

    @contextmanager
    def calling(self, call: Call) -> Iterator[Call]:
        """Within, `stop` shuts this call's connection."""
        with self._lock:
            self._call = call
        if self.stopped.is_set():
            call.cancel()
        try:
            yield call
        finally:
            with self._lock:
                self._call = None

    def stop(self) -> None:
        """Work no further on this bundle; a running engine call ends at once."""
        self.stopped.set()
        with self._lock:
            if self._call:
                self._call.cancel()


class Holdings:
    """All bundles this worker holds, for one host."""

    def __init__(self, ledger: Ledger, host_id: str) -> None:
        self._ledger, self._host_id = ledger, host_id
        self._held: dict[str, Held] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[Held]:
        """Within, the claim's lease is renewed."""
        held = Held(claim)
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

    def renew(self) -> None:
        """One round trip for all leases. Raises redis errors: ask again soon."""
        held = self.all()
        answers = self._ledger.renew([one.claim for one in held], self._host_id) if held else []
        for one, answer in zip(held, answers, strict=True):
            if answer != "held":
                log.info("bundle %s-%s is %s", one.claim.run_id, one.claim.number, answer)
                one.stop()

    def stop_run(self, run_id: str) -> None:
        """A run was cancelled."""
        for held in self.all():
            if held.claim.run_id == run_id:
                held.stop()

    def stop_all(self) -> None:
        for held in self.all():
            held.stop()
