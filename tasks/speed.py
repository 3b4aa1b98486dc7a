"""How fast a host is, learned from its own requests: what tasks/policy.py compares."""

from collections import deque
from dataclasses import dataclass, field
from statistics import fmean

from tasks.policy import Speed

KEEP = 20  # requests that count


@dataclass(slots=True)
class _Seen:
    """Seconds a token, of late: read for the first time, read again, written."""

    read: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP))
    again: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP))
    write: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP))


class Speeds:
    """One host's, by model."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def saw(
        self, model: str, *, tokens: int, answer: int, first_token_s: float, rest_s: float, first: bool
    ) -> None:
        """An item was answered. `tokens` is the bundle's own estimate, as it is what estimates are made of;
        `first`: of its bundle, so that the prompt was not in the engine's prefix cache."""
        seen = self._seen.setdefault(model, _Seen())
        (seen.read if first else seen.again).append(first_token_s / max(tokens, 1))
        seen.write.append(rest_s / max(answer, 1))

    def of(self, model: str) -> Speed | None:
        """None: nothing has been answered yet."""
        seen = self._seen.get(model)
        if seen is None or not seen.write:
            return None
        # Until a second item of a bundle was seen, the engine is thought to have a prefix cache.
        again_s = fmean(seen.again) if seen.again else 0.0
        return Speed(fmean(seen.read or seen.again), again_s, fmean(seen.write))

    def all(self) -> dict[str, Speed]:
        """Of every model of which anything is known."""
        return {model: speed for model in list(self._seen) if (speed := self.of(model))}
