"""How long a host's engine may be silent: what its own history says, else that of other hosts, else a
generous default. Pure but for the history it keeps.

A first token takes as long as its prompt is read, so times are kept per token of the prompt.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from worker_agent.completion import Limits

KEEP = 50  # requests that count as history
FIXED_TOKENS = 500  # what a request costs before its first prompt token, in tokens
LEAST_OVERDUE_S = 20.0
OVERDUE = 3.0  # times the slowest first token known
GIVEN_UP = 10.0  # times the same; by then the call has failed
LEAST_FIRST_TOKEN_S, LEAST_BETWEEN_S = 60.0, 30.0
STALLED_TOKENS, SILENT_TOKENS = 30.0, 100.0  # a pause as long as so many tokens take: overdue, failed


@dataclass(slots=True)
class Patience:
    """One host's history, by model. `rate`: seconds a first token took at most, per token."""

    _rates: dict[str, deque[float]] = field(default_factory=dict)
    _gaps: dict[str, deque[float]] = field(default_factory=dict)

    def saw(self, model: str, prompt_tokens: int, first_token_s: float, between_s: float | None) -> None:
        """A request was answered: `first_token_s` after it was sent, then a token every `between_s`."""
        rates = self._rates.setdefault(model, deque(maxlen=KEEP))
        rates.append(first_token_s / (FIXED_TOKENS + prompt_tokens))
        if between_s:
            self._gaps.setdefault(model, deque(maxlen=KEEP)).append(between_s)

    def rate(self, model: str) -> float | None:
        """The slowest of late; None: no history."""
        return max(self._rates[model]) if model in self._rates else None

    def rates(self) -> dict[str, float]:
        """All models of which there is history."""
        return {model: max(rates) for model, rates in list(self._rates.items())}

    def limits(self, model: str, prompt_tokens: int) -> Limits:
        """When a call has failed."""
        most = Limits()
        rate, gaps = self.rate(model), self._gaps.get(model)
        expected_s = rate * (FIXED_TOKENS + prompt_tokens) if rate else most.first_token_s
        between_s = SILENT_TOKENS * max(gaps) if gaps else most.between_tokens_s
        return Limits(
            first_token_s=min(max(GIVEN_UP * expected_s, LEAST_FIRST_TOKEN_S), most.first_token_s),
            between_tokens_s=min(max(between_s, LEAST_BETWEEN_S), most.between_tokens_s),
        )

    def stalled_s(self, model: str) -> float:
        """After how long without a further token another host may have the work too."""
        return max(LEAST_OVERDUE_S, STALLED_TOKENS * max(self._gaps.get(model, ()), default=0.0))

    def overdue_s(self, model: str, prompt_tokens: int, others: Iterable[float]) -> float | None:
        """The same without a first token. `others`: the rates of the run's other hosts, where this one has
        none. None: nobody knows yet."""
        rate = self.rate(model) or max(others, default=None)
        if rate is None:
            return None
        return max(LEAST_OVERDUE_S, OVERDUE * rate * (FIXED_TOKENS + prompt_tokens))
