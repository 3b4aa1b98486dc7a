"""The other live hosts, as this worker last read them."""

import time

from tasks import hosts
from tasks.hosts import HostRecord
from tasks.ledger.ledger import Ledger
from tasks.policy import crowd

BELIEVED_S = 2.0  # a crowd's records longer, for all read all


class Neighbours:
    """Read by one thread while there is work (`look`), so that no claim waits for it but the first."""

    def __init__(self, ledger: Ledger, own_id: str) -> None:
        self._ledger, self._own_id = ledger, own_id
        self._read_at, self._records = float("-inf"), list[HostRecord]()

    def of(self, queue: str) -> list[HostRecord]:
        """Those that have `queue`, able to take work now or not."""
        if self._read_at == float("-inf"):
            self.look()
        return [one for one in self._records if queue in one.queues and one.id != self._own_id]

    @property
    def crowd(self) -> float:
        """How many times less often each asks, because there are many."""
        return crowd(len(self._records))

    def look(self) -> None:
        """Read them again, if those we have are old."""
        if time.monotonic() - self._read_at > BELIEVED_S * self.crowd:
            self._records = self._ledger.patiently(lambda: hosts.live_hosts(self._ledger.redis))
            self._read_at = time.monotonic()
