"""`Heat`: how much slower a simulated machine has become since its first request."""

import threading
import time

from worker_agent.simulator.profile import Profile


def slowdown(profile: Profile, since_s: float) -> float:
    """By how much times are longer, so many seconds after the first request. Pure."""
    over_s = since_s - profile.throttle_after_s * profile.time_scale
    ramp_s = profile.throttle_over_s * profile.time_scale
    if over_s <= 0:
        return 1.0
    return 1 + (profile.throttle - 1) * (min(over_s / ramp_s, 1.0) if ramp_s else 1.0)


class Heat:
    """The clock of one machine; it starts with the first request."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._first: float | None = None
        self._lock = threading.Lock()

    def slowdown(self) -> float:
        """For a request that begins now."""
        with self._lock:
            now = time.perf_counter()
            self._first = now if self._first is None else self._first
            return slowdown(self._profile, now - self._first)
