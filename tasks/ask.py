"""An item's turn at the engine: the model is made ready, the question put, and what it took is learned."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tasks.answer import Answer, TokenScale, answer
from tasks.gauge import Gauge
from tasks.hosts import HostRecord, ServedModel
from tasks.intake.plan import CHARACTERS_A_TOKEN
from tasks.lease import Asking
from tasks.livehost import LiveHost
from tasks.settings import Settings
from tasks.turn import Reply, Turn
from worker_agent.completion import Completion, Limits, Request
from worker_agent.engines import Call
from worker_agent.meters.meter import Meter


@dataclass(slots=True)
class Asker:
    """Shared by the threads of one worker. `others` are the other live hosts that have a queue."""

    live: LiveHost
    gauge: Gauge
    meter: Meter
    others: Callable[[str], list[HostRecord]]
    settings: Settings
    _scale: TokenScale = field(default_factory=TokenScale)

    def ask(self, turn: Turn) -> Reply:
        """What the engine makes of it. Raises LLMQError."""
        claim = turn.held.claim
        model = self.live.prepare(self.live.model(claim.bundle.model))
        largest = self._largest_window(claim.queue, model)
        begun = time.monotonic()
        with self.meter.during(model.local) as used:
            given = answer(partial(self._send, turn), model, turn.question, self._scale, largest)
            self._learn_speed(turn, model, given, time.monotonic() - begun)
        return Reply(model, given, used)

    def _send(self, turn: Turn, request: Request) -> Completion:
        tokens = len(request.prompt) // CHARACTERS_A_TOKEN
        limits = self.live.patience.limits(request.model, tokens)
        if silence_s := self.live.host.timeout_s or self.settings.request_timeout:
            limits = Limits(first_token_s=silence_s, between_tokens_s=silence_s)
        with (
            turn.held.calling(Asking(Call(limits), turn.item, request.model, tokens)) as call,
            self.gauge.calling(call),
        ):
            completion = self.live.engine.complete(request, call)
        timing = completion.timing
        if timing.ttft_ms is not None:
            between_s = timing.itl_ms / 1000 if timing.itl_ms else None
            self.live.patience.saw(request.model, tokens, timing.ttft_ms / 1000, between_s)
        return completion

    def _learn_speed(self, turn: Turn, model: ServedModel, given: Answer, took_s: float) -> None:
        first_token_s = (given.completions[0].timing.ttft_ms or 0.0) / 1000
        self.live.speeds.saw(
            model.name,
            tokens=turn.tokens,
            answer=given.last.counts.completion_tokens or len(given.last.text) // CHARACTERS_A_TOKEN,
            first_token_s=first_token_s,
            rest_s=took_s - first_token_s,
            first=turn.item == turn.held.claim.items[0] or turn.parent is not None,
        )

    def _largest_window(self, queue: str, model: ServedModel) -> int | None:
        """The largest window among the live hosts for this work, ours included."""
        others = (
            m.window or 0
            for host in self.others(queue)
            if host.able
            for m in host.models
            if m.name == model.name
        )
        return max([*others, model.window or 0]) or None
