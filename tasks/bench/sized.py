"""The prompts of one cell, where they are of a set length: made before they are due, and sized by what the
engine counted of those before."""

from collections.abc import Iterable, Sequence

from tasks.bench.cell import Load, length_words
from tasks.bench.drive import Asked
from tasks.bench.lengths import Size, words
from tasks.intake.windows import revealed_truncation
from worker_agent.completion import Completion
from worker_agent.engines.refusal import overflow_numbers
from worker_agent.errors import ContextOverflow, EngineError, PaperTruncated

OVERSHOT = 1.02  # of the length: a prompt that was refused beyond this says nothing of one that is not
MOST_CHARS = 6  # a token, of these texts, by any tokenizer in use


class Sized:
    """`length` in tokens, as the load says."""

    def __init__(self, load: Load, length: int, max_tokens: int, window: int | None) -> None:
        self._length, self._seed, self._window, self._max_tokens = length, load.seed, window, max_tokens
        self._size = Size(length, max_tokens, window)
        self._texts: dict[int, str] = {}

    @property
    def does_not_fit(self) -> str | None:
        """Why prompts of this length cannot be asked here, if they cannot. A window that nobody knows may
        hold them."""
        if self._window is None or self._length + self._max_tokens <= self._window:
            return None
        return (
            f"prompts of {length_words(self._length)} and {self._max_tokens} for the answer do not fit the "
            f"window of {self._window} here (the fleet file's context_length sets another one)"
        )

    def prepare(self, items: Iterable[int]) -> None:
        """Make the texts of these requests, while nothing is timed."""
        self._texts = {item: words(self._size.words, self._seed, item) for item in items}

    def before(self, item: int, instruction: str) -> str:
        """The prompt of a request that was prepared."""
        return f"{self._texts[item]}\n\n{instruction}"

    def check(self, item: int, completion: Completion) -> None:
        """Raises PaperTruncated if the engine read less than it was sent."""
        counted, at_least = completion.counts.prompt_tokens, len(self._texts[item]) // MOST_CHARS
        if revealed_truncation(counted, at_least, self._window):
            raise PaperTruncated(f"the engine counted {counted} prompt tokens, less than it was sent: it cut")

    def learn(self, asked: Sequence[Asked]) -> None:
        """By the engine's count of these the next ones get their length."""
        self._size.learn(_counts(asked))

    def refused(self, asked: Iterable[Asked]) -> EngineError | None:
        """Why a prompt of this length is not read whole, if the engine said so."""
        errors = (one.error for one in asked)
        return next((one for one in errors if isinstance(one, ContextOverflow | PaperTruncated)), None)

    def hopeless(self, asked: Sequence[Asked]) -> bool:
        """One was refused, and not because it came out longer than it was to be, by the estimate."""
        overshot = any(count > OVERSHOT * self._length for count in _counts(asked))
        return self.refused(asked) is not None and not overshot


def _counts(asked: Iterable[Asked]) -> list[int]:
    """Prompt tokens, as the engine said them with its answer or its refusal."""
    said = (
        one.completion.counts.prompt_tokens if one.completion else overflow_numbers(str(one.error))[0]
        for one in asked
        if one.completion or isinstance(one.error, ContextOverflow)
    )
    return [count for count in said if count]
