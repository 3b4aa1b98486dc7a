"""The host as its worker knows it now: the engine, its models and windows, the breaker, the record."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from tasks.hosts import HostRecord, ModelSpeed, ServedModel
from tasks.patience import Patience
from tasks.queues import ANY_MODEL, queue_of, queue_of_host
from tasks.speed import Speeds
from worker_agent.breaker import Breaker
from worker_agent.completion import EngineState, ModelState
from worker_agent.config import Host, ModelName
from worker_agent.detect import connect
from worker_agent.engines.base import LOAD_S, Engine
from worker_agent.errors import EngineError, EngineOverloaded, EngineUnavailable, ModelNotFound
from worker_agent.knee import CAP, Knee
from worker_agent.locate import machine_of
from worker_agent.machine import about, hostname, machine_id
from worker_agent.version import git_sha, llmq_version, python_version

log = logging.getLogger(__name__)

LOAD_GRACE_S = 60.0  # beyond the time an engine has to load a model
MOST_AT_FIRST = 4  # slots, however many an engine reports, where they are to be found out


class LiveHost:
    """Shared by all threads of a worker. `incarnation` tells this start of the worker from others."""

    def __init__(self, host: Host, incarnation: str, *, health_check_interval: float) -> None:
        self.host, self.incarnation = host, incarnation
        self.worker = f"{host.id}@{hostname()}"  # Celery's name for it, if nobody named it otherwise
        self.breaker = Breaker(longest_pause_s=health_check_interval)
        self.patience = Patience()
        self.speeds = Speeds()
        self.drained = False
        self.only: frozenset[str] = frozenset()  # the queues to serve, where somebody named them
        self.busy = 0
        self.current = ""  # the model it works for
        self._engine: Engine | None = None
        self._state = EngineState(host.engine, None)
        self._ready: dict[str, ModelState] = {}
        self._gone: set[str] = set()  # models that the engine said it does not have
        self._look_at = 0.0
        self._loads, self._load_began = 0, 0.0
        self._engines_machine = machine_of(host.url)
        self._lock = threading.Lock()
        self.knee: Knee | None = None
        self.look()
        if host.slots == "auto":
            self.knee = Knee(self.most_slots, min(self._reported_slots or 1, MOST_AT_FIRST))

    @property
    def engine(self) -> Engine:
        """The adapter. Raises EngineError while an `auto` host has not answered yet."""
        if self._engine is None:
            self._engine = connect(self.host)
        return self._engine

    @property
    def slots(self) -> int:
        """Configured, or found out; else what the engine reports, else 1."""
        return self.knee.slots if self.knee else self.most_slots

    @property
    def most_slots(self) -> int:
        """As `slots`; while these are found out, what the engine carries."""
        if self.host.slots == "auto":
            return min(self._reported_slots or CAP, CAP)
        return self.host.slots or self._reported_slots or 1

    @property
    def _reported_slots(self) -> int | None:
        return self._state.slots or next((m.slots for m in self._state.models if m.slots), None)

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """What this host answers with, its default first."""
        found = {model.name: model for model in self._state.models}
        return tuple(self._served(name, found) for name in self._names() if name.fleet not in self._gone)

    @property
    def machine(self) -> str:
        """The one that the engine is on; nothing where it is simulated, for then one stands for many."""
        return "" if self._state.simulated else self._engines_machine

    @property
    def queues(self) -> tuple[str, ...]:
        """The host's own queue, one per model, and work for any model; of these `only` those named."""
        every = (queue_of_host(self.host.id), *(queue_of(model.name) for model in self.models), ANY_MODEL)
        return tuple(queue for queue in every if not self.only or queue in self.only)

    def model(self, name: str | None) -> ServedModel:
        """The model to answer with; the default where none is asked for. Raises ModelNotFound."""
        models = self.models
        for model in models:
            if name in (None, model.name):
                return model
        raise ModelNotFound(f"{self.host.id} does not serve {name or 'any model'}")

    def prepare(self, model: ServedModel) -> ServedModel:
        """Make the engine ready for `model`, once, and know its window. Raises EngineError."""
        ready = self._ready.get(model.local)
        if ready is None:
            with self._preparing():
                ready = self.engine.prepare(model.local, self.host.context_length)
            self._ready[model.local] = ready
        window = self.host.context_length or ready.window
        return replace(model, window=window, digest=ready.digest, quantization=ready.quantization)

    @property
    def loading(self) -> bool:
        """The engine makes a model ready, which may take it minutes (one at a time, others wait)."""
        with self._lock:
            return bool(self._loads) and time.monotonic() - self._load_began < LOAD_S + LOAD_GRACE_S

    @contextmanager
    def _preparing(self) -> Iterator[None]:
        with self._lock:
            self._loads, self._load_began = self._loads + 1, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._loads, self._load_began = self._loads - 1, time.monotonic()

    def withdraw(self, name: str | None) -> None:
        """The engine says it has no such model: offer it no more until a probe finds it."""
        offered = self.models
        gone = name or (offered[0].name if offered else "")
        self._gone.add(gone)
        self._look_at = time.monotonic() + self.breaker.longest_pause_s
        if not self.models:
            self.failed(ModelNotFound(f"{self.host.id} has no model to answer with: {gone} is gone"))

    def look(self) -> None:
        """Probe the engine; what it says replaces what we knew."""
        try:
            self._state = self.engine.state()
            self._gone.clear()
            if not self.models:
                raise ModelNotFound(f"{self.engine.where} has no model to answer with")
        except EngineError as error:
            self.failed(error)

    def succeeded(self) -> bool:
        """The engine answered; says whether the host may take more work now than before."""
        with self._lock:
            return self.breaker.succeeded()

    def failed(self, error: EngineError) -> bool:
        """Count a failure of the engine; says whether the host stops taking work."""
        absent = isinstance(error, EngineUnavailable | ModelNotFound)
        with self._lock:
            if absent:
                self._ready.clear()  # who comes back may have forgotten what it had loaded
            busy = isinstance(error, EngineOverloaded)
            return self.breaker.failed(time.monotonic(), self.told(error), absent=absent, busy=busy)

    def try_next(self) -> None:
        """Whoever comes next is a trial, without a pause."""
        with self._lock:
            self.breaker.try_next()

    def told(self, error: Exception) -> str:
        """What may leave this machine of an error: the host's name stands for its address."""
        url = self.host.url.rstrip("/")
        return str(error).replace(url, self.host.id).replace(urlsplit(url).netloc, self.host.id)

    def probe_if_due(self) -> bool:
        """Ask a host that takes no work whether it is back. Says whether anything changed."""
        with self._lock:
            due = self.breaker.probe_due(time.monotonic())
        if not due:
            return self._look_for_gone()
        try:
            self._state = self.engine.state()
            self._engines_machine = machine_of(self.host.url)  # now its name is known for certain
            self._gone.clear()
            answered, reason = bool(self.models), "no model to answer with"
        except EngineError as error:
            answered, reason = False, self.told(error)
        with self._lock:
            self.breaker.probed(time.monotonic(), answered=answered, reason=reason)
        return answered

    def _look_for_gone(self) -> bool:
        """A model that was withdrawn may be back: look now and then. Says whether one is."""
        if not self._gone or time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + self.breaker.longest_pause_s
        try:
            state = self.engine.state()
        except EngineError:
            return False
        has = {model.name for model in state.models}
        back = {name.fleet for name in self._names() if name.local in has} & self._gone
        self._gone -= back
        return bool(back)

    def limit(self) -> int:
        """How many bundles this host may hold now."""
        if self.drained or self.breaker.state == "open":
            return 0
        return 1 if self.breaker.state == "half-open" else self.slots

    def record(self) -> HostRecord:
        return HostRecord(
            id=self.host.id,
            incarnation=self.incarnation,
            machine=machine_id(),
            pid=os.getpid(),
            engine=self._state.engine,
            version=self._state.version,
            slots=self.slots,
            slots_are=("found" if self.knee.found else "being found out") if self.knee else "",
            queues=self.queues,
            models=self.models,
            simulated=self._state.simulated,
            time_scale=self._state.time_scale,
            unloaded=self._unloaded(),
            busy=self.busy,
            trouble="" if self.breaker.state != "open" else self.breaker.reason,
            drained=self.drained,
            current=self.current,
            first_token_rates=tuple(self.patience.rates().items()),
            speeds=tuple(ModelSpeed(model, speed) for model, speed in self.speeds.all().items()),
            about=about() | {"llmq": llmq_version(), "git": git_sha(), "python": python_version()},
            beside_engine=self._engines_machine == machine_id(),
            engine_machine=self.machine,
        )

    @property
    def state(self) -> EngineState:
        """What the last good probe found."""
        return self._state

    def _names(self) -> tuple[ModelName, ...]:
        """Configured; else loaded; else all there are (an engine that loads on demand)."""
        if self.host.models:
            return self.host.models
        loaded = [m for m in self._state.models if m.loaded] or self._state.models
        return tuple(ModelName(model.name, model.name) for model in loaded)

    def _unloaded(self) -> tuple[str, ...]:
        """What it could serve, were it named: once something is loaded, the rest is not offered."""
        offered = {name.local for name in self._names()}
        others = (model.name for model in self._state.models if model.name not in offered)
        return () if self.host.models else tuple(others)

    def _served(self, name: ModelName, found: dict[str, ModelState]) -> ServedModel:
        state = self._ready.get(name.local) or found.get(name.local)
        window = self.host.context_length or (state.window if state else None)
        digest, quantization = (state.digest, state.quantization) if state else (None, None)
        return ServedModel(name.fleet, name.local, window, digest, quantization)
