"""Which models a simulated engine holds in memory, and the loads that takes."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker_agent.simulator.answer import dice_for
from worker_agent.simulator.line import Line
from worker_agent.simulator.profile import Profile


def load_time_s(profile: Profile, seed: int, model: str, number: int) -> float:
    """What the machine's `number`-th load takes, if it is of that model. Pure."""
    spread = dice_for(seed, "load", model, number).lognormvariate(0, profile.load_spread)
    return profile.load_s * profile.time_scale / profile.speed * spread


class Models:
    """At most `resident` models at a time. For another, the one that was used longest ago goes, once its
    requests are done; whoever comes meanwhile waits behind. `forget` is called after each load."""

    def __init__(self, profile: Profile, forget: Callable[[], None], seed: int = 0) -> None:
        self._profile, self._forget, self._seed = profile, forget, seed
        self._most = profile.resident or len(profile.models)
        there = profile.models[: self._most] if profile.load_s == 0 else ()
        self._loaded: dict[str, int] = dict.fromkeys(there, profile.window)  # longest unused first; -> window
        self.loads = 0
        self._users: Counter[str] = Counter()
        self._loading = threading.Lock()
        self._changed = threading.Condition()

    @property
    def loaded(self) -> dict[str, int]:
        """Those in memory, each with its window."""
        with self._changed:
            return dict(self._loaded)

    @contextmanager
    def using(self, model: str, window: int, line: Line, *, again: bool = False) -> Iterator[float]:
        """`model` is there with that window for the time of the block; gives the seconds a load took. Another
        window than the loaded one is a load, too; `again`: so is one that is there."""
        load_s = self._begin(model, window, line, again)
        try:
            yield load_s
        finally:
            with self._changed:
                self._users[model] -= 1
                self._changed.notify_all()

    def _begin(self, model: str, window: int, line: Line, again: bool) -> float:
        started = time.perf_counter()
        with self._loading:
            load_s = 0.0
            if again or self._loaded.get(model) != window:
                self._load(model, window, line)
                load_s = time.perf_counter() - started
            with self._changed:
                self._loaded[model] = self._loaded.pop(model)
                self._users[model] += 1
            return load_s

    def _load(self, model: str, window: int, line: Line) -> None:
        line.wait_for(lambda timeout_s: self._make_room(model, timeout_s))
        self.loads += 1
        line.wait_until(time.perf_counter() + load_time_s(self._profile, self._seed, model, self.loads))
        self._loaded[model] = window
        self._forget()

    def _make_room(self, model: str, timeout_s: float) -> bool:
        """Whether there is room for `model` now."""
        with self._changed:
            others = [name for name in self._loaded if name != model]
            if len(others) < self._most:
                return True
            idle = [name for name in others if not self._users[name]]
            if idle:
                del self._loaded[idle[0]]
            else:
                self._changed.wait(timeout_s)
            return len(others) - len(idle[:1]) < self._most
