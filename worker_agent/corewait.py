"""How long this thread has waited for a core, which is by how much its stamps are late where others use the
machine. Linux tells it, in `/proc/thread-self/schedstat`: time on a core, time waited for one, turns."""

from typing import NamedTuple

_TOLD_BY = "/proc/thread-self/schedstat"


class Turns(NamedTuple):
    """Of one thread, since it began."""

    waited_s: float
    number: int


def turns() -> Turns | None:
    """Those of the calling thread; None where nobody tells. It takes some 15 us."""
    try:
        with open(_TOLD_BY, "rb", buffering=0) as file:
            _, waited_ns, number = file.read().split()
        return Turns(int(waited_ns) / 1e9, int(number))
    except (OSError, ValueError):
        return None


def mean_wait_ms(since: Turns | None) -> float | None:
    """From being woken to running, by the calling thread, whose `turns` were `since` when it began."""
    now = turns()
    if since is None or now is None or now.number <= since.number:
        return None
    return 1000 * (now.waited_s - since.waited_s) / (now.number - since.number)
