"""Samples memory and energy beside the engine, once a second while calls run, in one thread for all of them.

Every look is that thread's: whatever hangs or breaks there costs a call at most `LAST_LOOK_S`, and figures.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from worker_agent.completion import ModelMemory
from worker_agent.errors import LLMQError
from worker_agent.meters.energy import Joules, Shares
from worker_agent.meters.find import find_sources
from worker_agent.meters.listener import Listener
from worker_agent.meters.metered import Metered
from worker_agent.meters.recording import Recording
from worker_agent.meters.source import NOTHING, Seen, Source

log = logging.getLogger(__name__)

TICK_S = 1.0
MOST_CPU = 0.002  # of a core; where a look costs more than that of a tick, ticks are longer
MOST_TICK_S = 5.0
LINGER_S = 3.0  # looking on after a call, for the next one's first figures
LAST_LOOK_S = 0.05  # that the end of a call waits for one more
FIRST_READING_S = 2.0  # that a recording waits before its requests; sources are looked for meanwhile
LAST_READING_S = 2.5  # and after them: a source that prints once a second has done so
MODEL_LOOK_S = 30.0


class Meter:
    """Shared by all threads of a worker. Where the engine is on another machine it sees nothing: what it
    could measure would be the client. `model_memory` asks the engine for a model by its name there."""

    def __init__(
        self,
        url: str,
        model_memory: Callable[[str], ModelMemory | None] = lambda model: None,
        sources: Callable[[], Sequence[Source]] = find_sources,
    ) -> None:
        self._url, self._model_memory, self._find_sources = url, model_memory, sources
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._open: set[Metered] = set()
        self._recordings: set[Recording] = set()
        self._wanted = self._all_wanted = self._off = self._closed = False
        self._looked_at = self._ended_at = float("-inf")
        self._cost_s, self._tick_s = 0.0, TICK_S
        self._joules, self._shares = Joules(), Shares()
        self._last: dict[Source, Seen] = {}
        self._models: dict[str, tuple[float, ModelMemory | None]] = {}

    @contextmanager
    def during(self, model: str = "", *, shared: bool = True) -> Iterator[Metered]:
        """The time of one call to `model`, or with `shared=False` of many together; its figures are there
        when it ends. Never raises."""
        metered = Metered(model, shared)
        self._begin(metered)
        try:
            yield metered
        finally:
            self._end(metered)

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """The time of many requests that are told what each used when all are over (`energy_of`). Waits for a
        first reading, FIRST_READING_S at most. Never raises."""
        recording = Recording()
        with self._changed:
            self._start()
            self._recordings.add(recording)
            asked_at = self._want_all()
            self._changed.wait_for(lambda: self._off or self._looked_at >= asked_at, FIRST_READING_S)
        try:
            yield recording
        finally:
            with self._changed:
                self._recordings.discard(recording)
                self._ended_at = time.monotonic()

    @contextmanager
    def asking(self, recording: Recording, item: int) -> Iterator[None]:
        """The time of one of its requests; waits for nothing."""
        key = recording, item
        with self._changed:
            begun_at = time.monotonic()
            self._shares.begin(key, self._joules.at(begun_at))
        try:
            yield
        finally:
            with self._changed:
                now = time.monotonic()
                self._shares.end(key, self._joules.at(now))  # so that calls beside it have theirs alone
                recording.spans[item] = begun_at, now

    def energy_of(self, recording: Recording) -> dict[int, dict[str, Any]]:
        """The figures of its requests, which are over (`Recording.figures`). Where anything was read, waits
        for a reading after them, LAST_READING_S at most."""
        with self._changed:
            over_at = self._want_all()
            readings = recording.readings
            self._changed.wait_for(
                lambda: self._off or not readings or readings[-1].at >= over_at, LAST_READING_S
            )
            running = [(one.began_at, time.monotonic()) for one in self._open if one.shared]
        return recording.figures(running)

    def close(self) -> None:
        """No more looks; children end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(timeout=TICK_S)

    def _begin(self, metered: Metered) -> None:
        with self._changed:
            now = metered.began_at = time.monotonic()
            self._start()
            if self._fresh(now):
                metered.saw(*self._last.values())
            else:
                self._want()
            self._settle(now)
            if metered.shared:
                self._shares.begin(metered, self._joules.at(now))
            metered.used_j = self._joules.read_j if (sum_j := self._joules.at(now)) is None else sum_j
            self._open.add(metered)

    def _end(self, metered: Metered) -> None:
        with self._changed:
            now = time.monotonic()
            if not self._off and not self._fresh(now):
                self._want()
                self._changed.wait_for(lambda: self._off or self._looked_at >= now, LAST_LOOK_S)
            now = time.monotonic()
            self._settle(now)
            metered.took_s = now - metered.began_at
            sum_j = self._joules.at(now)
            metered.used_j = None if sum_j is None else sum_j - (metered.used_j or 0.0)
            if metered.shared:
                metered.part_j = self._shares.end(metered, sum_j)
            metered.engine_says = self._models.get(metered.model, (0.0, None))[1]
            self._open.discard(metered)
            self._ended_at = now
            for recording in self._recordings if metered.shared else ():
                recording.others.append((metered.began_at, now))

    def _settle(self, now: float) -> None:
        self._shares.settle(self._joules.at(now))

    def _fresh(self, now: float) -> bool:
        """A look half a tick old stands for now: many short calls need no more than two a tick."""
        return now - self._looked_at < self._tick_s / 2

    def _want(self) -> None:
        self._wanted = True
        self._changed.notify_all()

    def _want_all(self) -> float:
        """Of all sources, whenever each was read last. The instant at which that was said."""
        self._all_wanted = True
        self._want()
        return time.monotonic()

    def _start(self) -> None:
        if not self._thread:
            self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._sample()
        except Exception:
            log.exception("memory and energy are measured no more")
        with self._changed:
            self._off = True
            self._changed.notify_all()

    def _sample(self) -> None:
        listener = Listener(self._url)
        if not listener.local:
            return
        due = dict.fromkeys(self._find_sources(), float("-inf"))
        while self._wait(due):
            begun_s = time.thread_time()
            self._look(listener, due)
            self._cost_s += (time.thread_time() - begun_s - self._cost_s) / 8  # the first is dear
            self._tick_s = min(max(TICK_S, self._cost_s / MOST_CPU), MOST_TICK_S)
        for source in due:
            source.close()

    def _wait(self, due: dict[Source, float]) -> bool:
        """Until it is time to look; says whether it is."""
        with self._changed:
            if not self._busy and time.monotonic() - self._ended_at > LINGER_S:
                self._rest(due)
                self._changed.wait_for(lambda: self._busy or self._closed)
            else:
                self._changed.wait_for(lambda: self._wanted or self._closed, self._tick_s)
            if self._all_wanted:
                due |= dict.fromkeys(due, float("-inf"))
            self._wanted = self._all_wanted = False
            return not self._closed

    @property
    def _busy(self) -> bool:
        return bool(self._open or self._recordings)

    def _rest(self, due: dict[Source, float]) -> None:
        """What is used while nobody asks the engine is nobody's."""
        self._settle(time.monotonic())
        self._joules.rest()
        self._last.clear()
        self._looked_at = float("-inf")
        for source in due:
            source.close()
            due[source] = float("-inf")

    def _look(self, listener: Listener, due: dict[Source, float]) -> None:
        engine = listener.processes()
        models = self._look_at_models() if listener.here else {}
        now = time.monotonic()
        seen: dict[Source, Seen] = {}
        read_at: dict[Source, float] = {}
        for source in [source for source, at in due.items() if now >= at]:
            seen[source] = self._read(source, engine, due)
            read_at[source] = time.monotonic()
        if not listener.here:  # nobody is there, or somebody who hands on what comes
            seen = dict.fromkeys(self._last | seen, NOTHING)
        with self._changed:
            now = self._looked_at = time.monotonic()
            self._last |= seen
            self._models |= models
            for one in seen.values():
                if one.counter_j is not None:
                    self._joules.counter(now, one.counter_j)
                if one.power_w is not None:
                    self._joules.power(now, one.power_w)
            self._settle(now)
            for metered in self._open:
                metered.saw(*self._last.values())
            for recording in self._recordings:
                for source, one in seen.items():
                    recording.saw(read_at.get(source, now), one)
            self._changed.notify_all()

    def _read(self, source: Source, engine: Sequence[int], due: dict[Source, float]) -> Seen:
        due[source] = time.monotonic() + source.every_s * 0.9  # a tick is never on the dot
        try:
            return source.read(engine)
        except Exception as error:
            log.warning("%s is measured no more: %s", type(source).__name__, error)
            del due[source]
            return NOTHING

    def _look_at_models(self) -> dict[str, tuple[float, ModelMemory | None]]:
        """What the engine says of the models that are asked: at every look until it knows one."""
        with self._changed:
            now = time.monotonic()
            names = {metered.model for metered in self._open if metered.model}
            known = {name: self._models.get(name, (float("-inf"), None)) for name in names}
        old = [name for name, (at, says) in known.items() if not says or now - at > MODEL_LOOK_S]
        return {name: (now, self._ask_engine(name)) for name in old}

    def _ask_engine(self, model: str) -> ModelMemory | None:
        try:
            return self._model_memory(model)
        except LLMQError:
            return None
