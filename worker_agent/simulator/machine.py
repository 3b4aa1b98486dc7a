"""`Machine`: the simulated machine behind the wire. It loads models, grants slots, and streams an answer
at the profile's pace. It knows no wire format."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from worker_agent.simulator.answer import count_tokens, dice_for, draw_length, write_answer
from worker_agent.simulator.drift import Heat
from worker_agent.simulator.faults import Faults, bend, hang
from worker_agent.simulator.line import Line
from worker_agent.simulator.models import Models
from worker_agent.simulator.pace import Chunk, pace_of, schedule
from worker_agent.simulator.profile import Profile
from worker_agent.simulator.share import SharedClock
from worker_agent.simulator.slots import Slot, Slots, common_prefix


@dataclass(frozen=True, slots=True)
class Ask:
    """A chat request, whatever wire it came over. `window` is what it asks for; None: as loaded. `tag`: the
    client's own name for it, if any."""

    id: str
    model: str
    prompt: str
    max_tokens: int | None = None
    seed: int | None = None
    window: int | None = None
    stream: bool = True
    with_usage: bool = True
    truncate: bool = False
    tag: str = ""
    heard_at: float | None = None  # when it had been read, by time.perf_counter


@dataclass(frozen=True, slots=True)
class Served:
    """How an answer went: tokens, and seconds as measured here."""

    finish: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    load_s: float
    prefill_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be said, and when after the slot was granted: all that the seed decides."""

    chunks: list[Chunk]
    finish: str
    prompt_tokens: int
    cached_tokens: int


class Machine:
    """One simulated engine. The same seed and request give the same answer and intended times."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.profile = profile
        self.seed = seed
        self.slots = Slots(profile.slots)
        self.faults = Faults(profile.fault, profile.fault_count, profile.fault_rate, seed)
        self.models = Models(profile, self.slots.forget, seed)
        self.heat = Heat(profile)
        self.clock = SharedClock(profile.knee)

    @property
    def loaded(self) -> dict[str, int]:
        """The models in memory, each with its window."""
        return self.models.loaded

    def window_of(self, model: str, wanted: int | None = None) -> int:
        """Tokens a request of this model may use: what it asks for, else as loaded."""
        return min(wanted or self.loaded.get(model, self.profile.window), self.profile.window)

    def load(self, model: str, wanted: int | None, line: Line, *, again: bool = False) -> float:
        """Make `model` ready with that window, if it is not; returns the seconds it took.
        Another window than the loaded one reloads the model and empties the caches, as Ollama does; with
        `again` it is loaded even if it is there."""
        with self.models.using(model, self.window_of(model, wanted), line, again=again) as load_s:
            return load_s

    def answer(
        self, ask: Ask, line: Line, began: Callable[[], None], said: Callable[[str], None], fault: str = "ok"
    ) -> Served:
        """Queue for a slot, then call `began` once and `said` with each chunk when it is due.
        Raises ClientGone, or Dropped by a fault; either way the slot is free at once."""
        window = self.window_of(ask.model, ask.window)
        with self.models.using(ask.model, window, line) as load_s:
            return self._answer(ask, line, began, said, fault, load_s)

    def _answer(
        self,
        ask: Ask,
        line: Line,
        began: Callable[[], None],
        said: Callable[[str], None],
        fault: str,
        load_s: float,
    ) -> Served:
        prompt = f"{ask.model}\0{ask.prompt}"
        tokens, first = 0, None
        with self.slots.take(prompt, line, ask.tag, ask.heard_at) as slot, self.clock.running():
            started, began_s = time.perf_counter(), self.clock.now()
            plan = self.plan(ask, self._cached_tokens(slot, prompt), self.heat.slowdown())
            slot.held, slot.due_s = "", plan.chunks[0].due_s
            hang(fault, line)
            began()
            for chunk in bend(fault, plan.chunks, line):
                self.clock.wait_until(began_s + chunk.due_s, line)
                if slot.first_s is None:
                    slot.first_s = time.perf_counter() - started
                said(chunk.text)
                tokens += chunk.tokens
                first = first or time.perf_counter()
                slot.held = prompt  # not before: a prefill that was broken off is lost
            ended = time.perf_counter()
        first = first or ended
        timing = load_s, first - started, ended - first
        return Served(plan.finish, plan.prompt_tokens, tokens, plan.cached_tokens, *timing)

    def _cached_tokens(self, slot: Slot, prompt: str) -> int:
        """At least one token of a prompt is always computed, as in llama.cpp."""
        if not self.profile.prefix_cache:
            return 0
        return min(len(common_prefix(slot.held, prompt).encode()) // 4, count_tokens(prompt) - 1)

    def plan(self, ask: Ask, cached_tokens: int = 0, heat: float = 1.0) -> Plan:
        """Pure: the same machine, seed and request give the same plan, on any computer."""
        profile = self.profile
        dice = dice_for(self.seed, ask.model, ask.seed, ask.prompt)
        slowness = profile.time_scale / profile.speed * heat * dice.lognormvariate(0, profile.jitter)
        words = write_answer(
            ask.prompt, draw_length(profile.output_tokens, profile.output_spread, dice), dice
        )
        prompt_tokens = count_tokens(ask.prompt)
        room = self.window_of(ask.model, ask.window) - prompt_tokens
        allowed = max(1, min(ask.max_tokens or len(words), room))
        first, each = (dice.lognormvariate(0, s) for s in (profile.ttft_spread, profile.decode_spread))
        uncached, length = prompt_tokens - cached_tokens, min(allowed, len(words))
        pace = pace_of(profile, uncached, length, slowness, first=first, each=each)
        finish = "length" if allowed < len(words) else "stop"
        return Plan(schedule(words[:allowed], pace), finish, prompt_tokens, cached_tokens)
