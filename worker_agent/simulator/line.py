"""`Line`: the connection to one client, and waiting on it. A wait ends early when the client hangs up."""

import select
import socket
import time
from collections.abc import Callable

LONGEST_WAIT_S = 3600.0


class ClientGone(Exception):
    """The client closed its connection; whatever was being done for it ends."""


class Line:
    """Every wait is to an absolute moment of `time.perf_counter`, so that errors do not add up."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def wait_until(self, moment: float) -> None:
        """Returns at `moment`. Raises ClientGone as soon as the client hangs up."""
        while (left_s := moment - time.perf_counter()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left_s, LONGEST_WAIT_S))
            if readable:
                self._look()
                time.sleep(min(0.02, max(0.0, moment - time.perf_counter())))

    def wait_for(self, ready: Callable[[float], bool]) -> None:
        """Returns once `ready(timeout_s)` says true. Raises ClientGone within 50 ms of a hang-up."""
        while not ready(0.05):
            if select.select([self.connection], [], [], 0)[0]:
                self._look()

    def _look(self) -> None:
        """Bytes that wait are the next request of this connection: no hang-up."""
        try:
            if self.connection.recv(1, socket.MSG_PEEK):
                return
        except OSError:
            pass
        raise ClientGone
