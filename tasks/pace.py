"""How fast a run goes and when it may end, from counts over time. Pure."""

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOW_S = 60.0
MOST_BUNDLES = 2000  # beyond that, every slot is busy for so long that the last bundles do not matter


@dataclass(slots=True)
class Pace:
    """Items per second of each host over the last minute of what it was told."""

    _seen: deque[tuple[float, dict[str, int]]] = field(default_factory=deque)

    def saw(self, at_s: float, by_host: Mapping[str, int]) -> None:
        """Items finished by each host, as of `at_s` (any clock that only goes forward)."""
        self._seen.append((at_s, dict(by_host)))
        while len(self._seen) > 2 and at_s - self._seen[1][0] > WINDOW_S:
            self._seen.popleft()

    def rates(self) -> dict[str, float]:
        """Items per second by host, up to its last finished item: a host that has nothing to do is not
        slow. Hosts without a finished item in the window are left out."""
        if not self._seen:
            return {}
        rates = {}
        start, before = self._seen[0]
        for host, count in self._seen[-1][1].items():
            last = next(at for at, seen in self._seen if seen.get(host, 0) == count)
            if last > start:
                rates[host] = (count - before.get(host, 0)) / (last - start)
        return {host: rate for host, rate in rates.items() if rate > 0}


def eta_s(
    items_left: int, items_per_bundle: float, rates: Mapping[str, float], slots: Mapping[str, int]
) -> float | None:
    """Seconds until the last bundle ends, if each free slot takes the next one: a slow host that
    starts one late is counted. None while no rate is known."""
    if items_left <= 0:
        return 0.0
    if not rates:
        return None
    bundles = max(1, round(items_left / max(items_per_bundle, 1.0)))
    if bundles > MOST_BUNDLES:
        return items_left / sum(rates.values())
    # Per slot: when it falls free, and how long it takes for a bundle.
    free = [
        (0.0, items_per_bundle * slots.get(host, 1) / rate)
        for host, rate in rates.items()
        for _ in range(slots.get(host, 1))
    ]
    heapq.heapify(free)
    last = 0.0
    for _ in range(bundles):
        at, takes = heapq.heappop(free)
        last = max(last, at + takes)
        heapq.heappush(free, (at + takes, takes))
    return last
