"""One item through an engine: fit the paper to the window, ask, check that all of it was read.

Knows no ledger and no Celery; `ask` sends one request and returns its completion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from tasks.hosts import ServedModel
from tasks.intake import windows
from tasks.intake.prompts import (
    PAPER,
    PAPER_AND_TEXT,
    TEXT,
    Material,
    Prompt,
    before,
    reads_paper,
    render,
    render_later,
    wrap,
)
from tasks.work import Params
from worker_agent.completion import BrokenOff, Completion, Request
from worker_agent.engines.refusal import overflow_numbers
from worker_agent.errors import ContextOverflow, PaperTruncated

Ask = Callable[[Request], Completion]
TRIES_TO_FIT = 3


@dataclass(frozen=True, slots=True)
class Question:
    """What to put to a model: a prompt about a paper (`text` None: without one). A later stage's is about
    `given`, the answer before it, and about the paper too where the prompt says so."""

    prompt: Prompt
    text: str | None
    filename: str | None
    params: Params
    item_id: str
    given: str | None = None

    @property
    def material(self) -> Material:
        if self.given is None:
            return PAPER
        return PAPER_AND_TEXT if reads_paper(self.prompt.template) else TEXT

    @property
    def read(self) -> str | None:
        """What may have to be split to be read."""
        return self.given if self.material is TEXT else self.text

    @property
    def instruction(self) -> str:
        """What stands behind that. Raises InputError."""
        if self.given is None:
            return render(self.prompt, None if self.text is None else self.filename or "")
        asked = render_later(self.prompt, self.filename)
        return asked if self.material is TEXT else f"{wrap(self.given, TEXT)}\n\n{asked}"


@dataclass(frozen=True, slots=True)
class Answer:
    """`completions` in the order they were asked; the last one holds the answer. `windows`: how many
    parts the paper was read in."""

    completions: tuple[Completion, ...]
    windows: int = 1

    @property
    def last(self) -> Completion:
        return self.completions[-1]

    @property
    def cut(self) -> bool:
        """Some answer on the way stopped at `max_tokens`."""
        return any(completion.cut for completion in self.completions)


class BiggerElsewhere(ContextOverflow):
    """The paper does not fit here, and another live host has a larger window."""


@dataclass(slots=True)
class TokenScale:
    """Tokens a model really makes per estimated token, learned where an engine says so."""

    _scale: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, model: str) -> float:
        return self._scale.get(model, 1.0)

    def learn(self, model: str, reported: int, estimated: int) -> None:
        """An engine counted `reported` where we had estimated fewer; a margin of 5 % on top."""
        if estimated > 0:
            with self._lock:
                self._scale[model] = max(self.of(model), 1.05 * reported / estimated)


def answer(
    ask: Ask, model: ServedModel, question: Question, scale: TokenScale, largest: int | None
) -> Answer:
    """Ask in one piece if it fits `model`'s window, else as `params.overflow` says. `largest`: the
    largest window among the live hosts that serve this. Raises EngineError."""
    for _ in range(TRIES_TO_FIT):
        asking = _Asking(ask, model, question, scale)
        try:
            return asking.answer(largest)
        except BiggerElsewhere:
            raise
        except ContextOverflow as error:
            if question.read is None or not _learned(error, model, asking.sent_tokens, scale):
                raise
    return _Asking(ask, model, question, scale).answer(largest)


class _Asking:
    def __init__(self, ask: Ask, model: ServedModel, question: Question, scale: TokenScale) -> None:
        self._ask, self._model, self._question = ask, model, question
        self._scale = scale.of(model.local)
        self._completions: list[Completion] = []
        self._sent = ""

    @property
    def sent_tokens(self) -> int:
        """What the last request was estimated to take, unscaled."""
        return windows.estimate_tokens(self._sent)

    def answer(self, largest: int | None) -> Answer:
        question, window = self._question, self._model.window
        text = question.read
        if text is None or window is None or self._fits(text, window):
            alone = "", question.instruction
            system, prompt = alone if text is None else before(text, question.instruction, question.material)
            self._send(system, prompt, text)
            return Answer(tuple(self._completions))
        if largest is not None and largest > window:
            raise BiggerElsewhere(f"{self._need()}; a live host has a window of {largest}")
        if question.params.overflow == "error":
            raise ContextOverflow(f"{self._need()}; `--overflow split` reads it in parts")
        return self._in_parts(text)

    def _in_parts(self, text: str) -> Answer:
        instruction, material = self._question.instruction, self._question.material
        parts = windows.split(text, self._budget(windows.overhead_tokens(instruction)), self._scale)
        answers = []
        for number, part in enumerate(parts, 1):
            system, prompt = windows.part_prompt(instruction, part, number, len(parts), material)
            answers.append(self._send(system, prompt, part))
        while len(answers) > 1:
            answers = self._joined(answers, instruction)
        return Answer(tuple(self._completions), windows=len(parts))

    def _joined(self, answers: Sequence[str], instruction: str) -> list[str]:
        room = self._budget(windows.reduce_overhead_tokens(instruction))
        groups = windows.plan_reduce(answers, room, self._scale)
        return [
            group[0]
            if len(group) == 1
            else self._send(*windows.reduce_prompt(instruction, group, self._question.material), None)
            for group in groups
        ]

    def _send(self, system: str, prompt: str, text: str | None) -> str:
        params = self._question.params
        self._sent = system + prompt
        request = Request(
            model=self._model.local,
            prompt=prompt,
            system=system,
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            seed=params.seed,
            window=self._model.window,
            request_id=self._question.item_id,
        )
        completion = self._ask(request)
        reported = completion.counts.prompt_tokens
        if text and windows.revealed_truncation(reported, windows.at_least_tokens(text), self._model.window):
            raise _truncated(completion)
        self._completions.append(completion)
        return completion.text

    def _fits(self, text: str, window: int) -> bool:
        return self._estimate(text) + self._question.params.max_tokens <= window

    def _estimate(self, text: str) -> int:
        overhead = windows.overhead_tokens(self._question.instruction)
        return int((windows.estimate_tokens(text) + overhead) * self._scale)

    def _budget(self, overhead: int) -> int:
        window = self._model.window or 0
        return windows.budget(window, self._question.params.max_tokens, int(overhead * self._scale))

    def _need(self) -> str:
        question = self._question
        tokens, most = self._estimate(question.read or ""), question.params.max_tokens
        return (
            f"the {question.material.noun} takes about {tokens} tokens beside {most} for the "
            f"answer, and the window is {self._model.window}"
        )


def _truncated(completion: Completion) -> PaperTruncated:
    timing, counted = completion.timing, completion.counts.prompt_tokens
    error = PaperTruncated(
        f"the engine counted {counted} prompt tokens, less than the paper has: it was cut; set "
        "context_length for this host"
    )
    error.broken_off = BrokenOff(
        timing.started_at,
        timing.connect_ms or 0.0,
        timing.stream_end_s or 0.0,
        None if timing.ttft_ms is None else timing.ttft_ms / 1000,
        timing.e2e_s,
        timing.chunk_count or 0,
    )
    return error


def _learned(error: ContextOverflow, model: ServedModel, estimated: int, scale: TokenScale) -> bool:
    """Whether the engine's refusal taught us how many tokens what was sent really takes."""
    reported, _ = overflow_numbers(str(error))
    if reported is None or reported <= estimated * scale.of(model.local):
        return False
    scale.learn(model.local, reported, estimated)
    return True
