"""How fast a host is, learned from its own requests: what tasks/policy.py compares."""

import time
from collections import deque
from dataclasses import dataclass, field
from statistics import fmean

from tasks.policy import Speed

KEEP = 20  # requests that count


@dataclass(slots=True)
class _Seen:
    """Seconds a token, of late: read for the first time, read again, written. `cold`: tokens, and seconds to
    the first token of the answer, of the last request that found the engine at another model."""

    read: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP))
    again: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP))
    write: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP))
    cold: tuple[int, float] | None = None

    @property
    def load_s(self) -> float | None:
        """What the first token took beyond the usual."""
        return max(0.0, self.cold[1] - self.cold[0] * fmean(self.read)) if self.cold and self.read else None


class Speeds:
    """One host's, by model."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._items: deque[float] = deque(maxlen=KEEP)  # seconds each
        self._model, self._warm_at = "", 0.0  # the model of the last answer, and since when

    def saw(
        self, model: str, *, tokens: int, answer: int, first_token_s: float, rest_s: float, first: bool
    ) -> None:
        """An item was answered just now. `tokens` is the bundle's own estimate, as it is what estimates are
        made of; `first`: of its bundle, so that the prompt was not in the engine's prefix cache."""
        now, seen = time.monotonic(), self._seen.setdefault(model, _Seen())
        if model != self._model:
            self._model, self._warm_at = model, now
        seen.write.append(rest_s / max(answer, 1))
        self._items.append(first_token_s + rest_s)
        if now - first_token_s - rest_s < self._warm_at:  # asked before the model's first answer
            seen.cold = max(tokens, 1), first_token_s
        else:
            (seen.read if first else seen.again).append(first_token_s / max(tokens, 1))

    def of(self, model: str) -> Speed | None:
        """None: nothing has been answered yet."""
        seen = self._seen.get(model)
        if seen is None or not seen.write:
            return None
        # Until a second item of a bundle was seen, the engine is thought to have a prefix cache.
        again_s = fmean(seen.again) if seen.again else 0.0
        read = seen.read or seen.again
        cold_s = seen.cold[1] / seen.cold[0] if seen.cold else 0.0
        return Speed(fmean(read) if read else cold_s, again_s, fmean(seen.write))

    def all(self) -> dict[str, Speed]:
        """Of every model of which anything is known."""
        return {model: speed for model in list(self._seen) if (speed := self.of(model))}

    @property
    def load_s(self) -> float | None:
        """What going to another model takes, at most; None: unknown."""
        known = [load_s for seen in list(self._seen.values()) if (load_s := seen.load_s) is not None]
        return max(known, default=None)

    @property
    def item_s(self) -> float:
        """What a request takes."""
        return fmean(self._items) if self._items else 0.0
