"""The way of a cell through a worker: take the whole host, send the requests, commit all results at once.

A cell counts whole or not at all. One that is interrupted is asked again from its start; until then a note
in its run says how far it was (tasks/bench/progress.py).
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.bench.arrivals import offsets
from tasks.bench.cell import CLOSED, MEASURE, Load, busted, phase_of
from tasks.bench.drive import Asked, Drive
from tasks.bench.progress import AWAY, LOADS, WAITS, note, unnote
from tasks.bench.sized import Sized
from tasks.hosts import ServedModel
from tasks.intake.prompts import render
from tasks.lease import Held
from tasks.ledger.ledger import Ledger
from tasks.livehost import LiveHost
from tasks.measures import measures, of_engine, of_failure, rounded
from tasks.recent import RecentCommits
from tasks.result import Failure, Result
from tasks.settings import Settings
from tasks.slots import Seat, Slots
from tasks.verdict import MESSAGE_CHARS, MOST_DEATHS, poison
from tasks.work import Manifest, item_id
from worker_agent.completion import Completion, Limits, Request
from worker_agent.engines.dial import Call, clock
from worker_agent.errors import ContextOverflow, EngineUnavailable, LLMQError
from worker_agent.meters.meter import Meter
from worker_agent.meters.recording import Recording

log = logging.getLogger(__name__)

NOTE_S = 1.0
AWAY_S = 60.0  # below what a thread may do nothing (tasks/lease.py)
MOST_GOES = 3  # at a cell in which its worker stands still
OF_REQUEST = ("energy_j", "power_w_mean", "energy_source")  # what the meter tells of each, not of all
AHEAD_S = 0.05  # for the threads of scheduled arrivals to be there before the first is due


@dataclass(slots=True)
class CellCarrier:
    """Shared by the threads of one worker. `sign` tells the run that this host has part in it."""

    live: LiveHost
    ledger: Ledger
    commits: RecentCommits
    slots: Slots
    meter: Meter
    stopping: Callable[[], bool]
    settings: Settings
    sign: Callable[[str], None]
    _away: bool = False  # its engine, for longer than a cell waits
    _last: str | None = None  # the model of the last cell: another one is loaded first

    def carry(self, held: Held, seat: Seat, manifest: Manifest) -> str:
        """Do a cell, or give it back. Raises BrokerUnreachable."""
        claim = held.claim
        load = claim.bundle.load
        assert load
        given_up = lambda: held.stopped.is_set() or self.stopping()  # noqa: E731
        sits = self.slots.sit if load.shared else self.slots.sit_alone
        if self.slots.sitting:
            note(self.ledger, claim.run_id, claim.number, 0, load.items, WAITS)
        if not sits(seat, given_up):
            unnote(self.ledger, claim.run_id, claim.number)
            return f"given back: {self.ledger.release(claim)}"
        if claim.suspect is not None and claim.deaths >= MOST_DEATHS:
            return self._end(held, poison(self.live.host.id, claim.deaths, "cell"))
        self.ledger.begin(claim, self.live.host.id, claim.items[0])
        note(self.ledger, claim.run_id, claim.number, 0, load.items, LOADS)
        self._wait_for_engine(held, given_up)
        try:
            model = self.live.prepare(self.live.model(claim.bundle.model))
        except LLMQError as error:
            return self._end(held, self._failure(error))
        return self._measure(_Cell(self, held, manifest, load, model))

    def _wait_for_engine(self, held: Held, given_up: Callable[[], bool]) -> None:
        """One that starts anew between two cells has a minute: all that are left would fail at once. Who is
        not back by then is waited for no more, until it answers."""
        deadline = time.monotonic() + (0.0 if self._away else AWAY_S)
        while not given_up():
            try:
                self.live.engine.state()
                self._away = False
                return
            except EngineUnavailable:
                if time.monotonic() > deadline:
                    self._away = True
                    return
            except LLMQError:
                return  # it is there; the cell will tell
            note(self.ledger, held.claim.run_id, held.claim.number, 0, len(held.claim.items), AWAY)
            held.stopped.wait(NOTE_S)

    def _measure(self, cell: "_Cell") -> str:
        if why_not := cell.does_not_fit:
            return self._commit(
                cell.held, [(item, cell.unasked(item, why_not)) for item in cell.not_asked([])]
            )
        just_loaded, self._last = self._last != cell.model.name, cell.model.name
        asked = cell.run()
        if asked is None:
            self._last = None
            return self._again(cell)
        self.sign(cell.held.claim.run_id)
        results = [(one.item, cell.result(one, just_loaded)) for one in asked]
        results += [(item, cell.unasked(item, cell.why_unasked(asked))) for item in cell.not_asked(asked)]
        return self._commit(cell.held, results)

    def _again(self, cell: "_Cell") -> str:
        """It was interrupted, and is asked from its start; where its worker fell asleep in it, not for
        ever."""
        held = cell.held
        if not cell.stood_still_s or held.stopped.is_set() or self.stopping():
            return f"given back: {self.ledger.release(held.claim)}"
        why = f"its worker stood still for {cell.stood_still_s:.0f} s while it ran"
        log.warning("cell %s-%s: %s", held.claim.run_id, held.claim.number, why)
        failure = Failure(self.live.host.id, "interrupted", why)
        if len(held.claim.failures.get(0, ())) + 1 >= MOST_GOES:
            return self._end(held, replace(failure, message=f"{why}, as {MOST_GOES - 1} times before"))
        return f"given back: {self.ledger.release(held.claim, item=0, failure=failure)}"

    def _commit(self, held: Held, results: list[tuple[int, Result]]) -> str:
        self.commits.commit_all(held.claim, sorted(results, key=lambda one: one[0]))
        unnote(self.ledger, held.claim.run_id, held.claim.number)
        return f"a cell of {len(results)} requests"

    def _end(self, held: Held, failure: Failure) -> str:
        """Nothing can be asked: every request fails with the reason."""
        self.sign(held.claim.run_id)
        items = range(len(held.claim.bundle.prompts))
        load = held.claim.bundle.load
        assert load
        common = {"worker": self.live.worker, **columns(load), **of_engine(self.live.state)}
        results = [
            (
                item,
                Result(
                    item_id(held.claim.run_id, held.claim.number, item),
                    self.live.host.id,
                    1,
                    error=failure,
                    engine=self.live.state.engine,
                    engine_version=self.live.state.version,
                    model=held.claim.bundle.model,
                    simulated=self.live.state.simulated,
                    failures=(failure,),
                    metrics=common | {"phase": phase_of(load, item, just_loaded=False)},
                ),
            )
            for item in items
        ]
        return self._commit(held, results)

    def _failure(self, error: Exception) -> Failure:
        kind = error.kind if isinstance(error, LLMQError) else "internal"
        return Failure(self.live.host.id, kind, self.live.told(error)[:MESSAGE_CHARS])


def columns(load: Load) -> dict[str, Any]:
    """What every row of a cell says of its load."""
    return {
        name: value
        for name, value in {
            "load_mode": load.mode,
            "concurrency": load.concurrency,
            "target_rps": load.rate_rps,
            "target_prompt_tokens": load.length,
            "cache_bust": load.cache_bust,
        }.items()
        if value is not None
    }


@dataclass(slots=True)
class _Cell:
    """One go at a cell."""

    carrier: CellCarrier
    held: Held
    manifest: Manifest
    load: Load
    model: ServedModel
    _drive: Drive = field(init=False)
    _starts: tuple[datetime, float] = field(init=False)  # wall and monotonic clock at one moment
    _noted_at: float = 0.0
    _used: dict[str, Any] = field(default_factory=dict)  # of the measured phase, the same in each row
    _energy: dict[int, dict[str, Any]] = field(default_factory=dict)  # of each request
    _recording: Recording = field(default_factory=Recording)
    _sized: Sized | None = None  # its prompts, where their length is set

    def __post_init__(self) -> None:
        live, settings = self.carrier.live, self.carrier.settings
        silence_s = live.host.timeout_s or settings.request_timeout
        limits = Limits(first_token_s=silence_s, between_tokens_s=silence_s) if silence_s else Limits()
        self._drive = Drive(self._ask, limits)
        self._starts = datetime.now(UTC), clock()
        if length := self.load.length:
            self._sized = Sized(self.load, length, self.manifest.params.max_tokens, self.model.window)

    @property
    def does_not_fit(self) -> str | None:
        """Why prompts of its length cannot be asked here, if they cannot."""
        return self._sized.does_not_fit if self._sized else None

    @property
    def stood_still_s(self) -> float:
        """For how long its worker was asleep in it."""
        return self._drive.stood_still_s

    def run(self) -> list[Asked] | None:
        """Warm up, then measure, unless the whole warm-up fails. None: it was interrupted."""
        self.held.too_silent_s = self._drive.too_silent_s
        try:
            with self.carrier.meter.recording() as self._recording:
                asked = self._ask_all()
                if self._drive.stopped:
                    return None
                self._energy = self.carrier.meter.energy_of(self._recording)
                return asked
        finally:
            self.held.kept()
            self.held.too_silent_s = None

    def _ask_all(self) -> list[Asked]:
        load = self.load
        asked = self._warm_up([0], 1)
        if self._sized and self._sized.hopeless(asked):
            return asked
        asked += self._warm_up(range(1, load.aside), load.at_once)
        if not (load.warmup and all(one.error for one in asked)) and not self._drive.stopped:
            if self._sized:
                self._sized.prepare(range(load.aside, load.items))
            with self.carrier.meter.during(self.model.local, shared=False) as used:
                asked += self._measured()
            self._used = {name: value for name, value in used.figures().items() if name not in OF_REQUEST}
        return asked

    def _warm_up(self, items: Sequence[int], at_once: int) -> list[Asked]:
        if self._sized:
            self._sized.prepare(items)
        asked = self._drive.run(items, at_once, look=self._look)
        if self._sized:
            self._sized.learn(asked)
        return asked

    def _measured(self) -> list[Asked]:
        load, items = self.load, range(self.load.aside, self.load.items)
        if load.mode == CLOSED or not load.rate_rps:
            return self._drive.run(items, load.at_once, look=self._look)
        self._starts = datetime.now(UTC), clock()
        first_at = self._starts[1] + AHEAD_S
        due = [first_at + at_s for at_s in offsets(load.mode, len(items), load.rate_rps, load.seed)]
        return self._drive.run(items, load.at_once, due, look=self._look)

    def _look(self) -> None:
        """Beside the requests: was the cell taken from us, and how far are we?"""
        held, carrier = self.held, self.carrier
        if self._drive.stopped:
            return
        done, failed = self._drive.done, self._drive.failed  # those that are shut now have not ended
        over = held.stopped.is_set() or held.abandoned or carrier.stopping()
        if over:
            self._drive.stop()
        if over or time.monotonic() - self._noted_at > NOTE_S:
            self._noted_at = time.monotonic()
            word = str(failed) if failed else ""
            note(carrier.ledger, held.claim.run_id, held.claim.number, done, self.load.items, word)

    def _ask(self, item: int, call: Call) -> Completion:
        params, claim = self.manifest.params, self.held.claim
        prompt = render(self.manifest.prompt_of(claim.bundle, item), None)
        if self._sized:
            prompt = self._sized.before(item, prompt)
        if self.load.cache_bust:
            prompt = busted(prompt, hashlib.sha256(f"{claim.token} {item}".encode()).hexdigest()[:12])
        request = Request(
            model=self.model.local,
            prompt=prompt,
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            seed=params.seed,
            window=self.model.window,
            request_id=item_id(claim.run_id, claim.number, item),
        )
        with self.carrier.meter.asking(self._recording, item):
            completion = self.carrier.live.engine.complete(request, call)
        if self._sized:
            self._sized.check(item, completion)
        return completion

    def not_asked(self, asked: list[Asked]) -> list[int]:
        return sorted(set(range(self.load.items)) - {one.item for one in asked})

    def why_unasked(self, asked: list[Asked]) -> str | None:
        """The engine's reason for which a prompt of the length is not read; None: the warm-up failed."""
        refused = self._sized.refused(asked) if self._sized else None
        return self.carrier.live.told(refused) if refused else None

    def unasked(self, item: int, too_long: str | None) -> Result:
        """Nobody was asked: the prompts do not fit, or else the warm-up failed."""
        host = self.carrier.live.host.id
        if too_long:
            failure = Failure(host, ContextOverflow.kind, too_long[:MESSAGE_CHARS])
            result = self._result(item, None, failure, just_loaded=False, more={})
            return replace(result, attempts=0, failures=())
        failure = Failure(host, "not_asked", "the whole warm-up failed, so nothing was measured")
        return self._result(item, None, failure, just_loaded=False, more={})

    def result(self, one: Asked, just_loaded: bool) -> Result:
        failure = self.carrier._failure(one.error) if one.error else None
        more = self._due(one) | (of_failure(one.error) if one.error else {})
        more |= self._energy.get(one.item, {})
        return self._result(one.item, one.completion, failure, just_loaded=just_loaded, more=more)

    def _result(
        self,
        item: int,
        completion: Completion | None,
        failure: Failure | None,
        *,
        just_loaded: bool,
        more: dict[str, Any],
    ) -> Result:
        live, claim = self.carrier.live, self.held.claim
        phase = phase_of(self.load, item, just_loaded=just_loaded)
        place = item - self.load.aside if phase == MEASURE else item
        prompts = len({*claim.bundle.prompts})
        common = (
            columns(self.load)
            | of_engine(live.state)
            | more
            | {
                "worker": live.worker,
                "clock_offset_s": round(claim.clock_offset_s, 3),
                "phase": phase,
                "repeat_index": place // max(1, prompts),
            }
        )
        figures: dict[str, Any] = {}
        if completion:
            figures = measures([completion], 0.0, self.model.window)
            del figures["queue_wait_s"]  # nobody waited for the queue
        if completion and phase == MEASURE:
            figures |= self._used
        if self.model.quantization:
            common["quantization"] = self.model.quantization
        return Result(
            item_id=item_id(claim.run_id, claim.number, item),
            host=live.host.id,
            attempts=1,
            answer=completion.text if completion else None,
            reasoning=(completion.reasoning or None) if completion else None,
            error=failure,
            engine=live.engine.name,
            engine_version=live.state.version,
            model=claim.bundle.model or self.model.name,
            model_digest=self.model.digest,
            simulated=completion.simulated if completion else live.state.simulated,
            finish_reason=completion.finish_reason if completion else None,
            cut=completion.cut if completion else False,
            failures=(failure,) if failure else (),
            metrics=figures | common,
            added_ms=claim.added_ms,
            ended_ms=claim.now_ms,
        )

    def _due(self, one: Asked) -> dict[str, Any]:
        """When it should have been sent, and how much later it was; its latency from then on."""
        if one.due_at is None:
            return {}
        wall, at = self._starts
        scheduled = wall + timedelta(seconds=one.due_at - at)
        timing = one.completion.timing if one.completion else None
        sent_at = one.begun_at + ((timing.connect_ms or 0.0) / 1000 if timing else 0.0)
        delay_s = max(0.0, sent_at - one.due_at)
        found: dict[str, Any] = {"dispatch_delay_s": delay_s}
        if timing and timing.e2e_s is not None:
            found["e2e_scheduled_latency_s"] = delay_s + timing.e2e_s
        return rounded(found) | {"scheduled_at": scheduled.isoformat(timespec="microseconds")}
