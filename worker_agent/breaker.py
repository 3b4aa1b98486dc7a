"""When a host should stop taking work: a circuit breaker driven by real requests. Pure: time is given.

closed -> open after three failures in a row, or at once when nothing answers; open -> half-open when
a probe after a growing pause finds the engine; half-open lets one bundle through, whose outcome
closes or opens it again.
"""

from dataclasses import dataclass

FAILURES_IN_A_ROW = 3
FIRST_PAUSE_S = 1.0
MOST_TRIALS = 4  # that fail once the pause is the longest, before nothing is expected of the engine any more


@dataclass(slots=True)
class Breaker:
    """`longest_pause_s` bounds the pause between two probes (health_check_interval)."""

    longest_pause_s: float = 30.0
    state: str = "closed"
    reason: str = ""
    failures: int = 0
    pause_s: float = FIRST_PAUSE_S
    probe_at: float = 0.0
    trials: int = 0  # failed ones since the pause is the longest

    @property
    def closed(self) -> bool:
        return self.state == "closed"

    @property
    def spent(self) -> bool:
        """Trial after trial has failed for so long that the pause does not grow any more."""
        return self.pause_s >= self.longest_pause_s

    @property
    def hopeless(self) -> bool:
        """The engine answers its probes, and has failed one trial after the other since it is `spent`."""
        return self.trials >= MOST_TRIALS

    def succeeded(self) -> bool:
        """A request was answered. Returns whether that is news: more work may be taken now."""
        news = not self.closed
        self.state, self.reason, self.failures, self.pause_s = "closed", "", 0, FIRST_PAUSE_S
        self.trials = 0
        return news

    def failed(self, now: float, reason: str, *, absent: bool, busy: bool = False) -> bool:
        """A request failed; `absent`: nothing answers at the address, `busy`: there is no room. Returns
        whether work stops."""
        self.failures += 1
        self.reason = reason
        if self.state == "open":  # the other slots of one outage
            return True
        if self.state == "half-open" and self.spent and not (absent or busy):
            self.trials += 1
        if absent or self.state == "half-open" or self.failures >= FAILURES_IN_A_ROW:
            self._open(now)
        return self.state == "open"

    def probe_due(self, now: float) -> bool:
        return self.state == "open" and now >= self.probe_at

    def probed(self, now: float, *, answered: bool, reason: str = "") -> None:
        """A probe found the engine (one bundle may try), or did not (a longer pause)."""
        if answered:
            self.state = "half-open"
        else:
            self.reason = reason or self.reason
            self._open(now)

    def try_next(self) -> None:
        """Whoever comes next is a trial, without a pause."""
        self.state = "half-open"

    def _open(self, now: float) -> None:
        self.state = "open"
        self.probe_at = now + self.pause_s
        self.pause_s = min(self.pause_s * 2, self.longest_pause_s)
