"""An attempt has failed: its host hears of it, and tasks/verdict.py says what follows."""

from collections.abc import Sequence

from tasks import verdict
from tasks.hosts import HostRecord
from tasks.livehost import LiveHost
from tasks.result import Failure
from tasks.turn import Turn
from worker_agent.errors import (
    AnswerCut,
    EngineError,
    LLMQError,
    ModelNotFound,
    PaperTruncated,
    RequestRejected,
)


def judge(
    turn: Turn, error: LLMQError, live: LiveHost, others: Sequence[HostRecord], max_retries: int
) -> tuple[Failure, verdict.Verdict]:
    """The failed attempt as it is kept, and what follows. `others`: who else has the turn's queue."""
    alone = not any(host.able for host in others)
    elsewhere = isinstance(error, ModelNotFound) and bool(others)
    if elsewhere:
        live.withdraw(turn.held.claim.bundle.model)
    broken = {host.id for host in others if host.trouble}
    blame_host = elsewhere or _blames_host(error, live)
    given_up = verdict.given_up(error, hopeless=live.breaker.hopeless, alone=alone)
    outcome = verdict.after_failure(
        retryable=(error.retryable or elsewhere) and not given_up,
        failed_before=verdict.tries(turn.failures, broken, max_retries),
        max_retries=max_retries,
        alone=alone,
        blame_host=blame_host,
        failures=len(turn.failures),
    )
    message = live.told(error)[: verdict.MESSAGE_CHARS]
    if given_up:
        live.try_next()
        message += f" ({live.host.id} fails every request: not asked again)"
    return Failure(live.host.id, error.kind, message, outcome.counted), outcome


def _blames_host(error: LLMQError, live: LiveHost) -> bool:
    """Tell the breaker; says whether the host is to blame."""
    if isinstance(error, RequestRejected | AnswerCut | PaperTruncated):
        live.succeeded()  # it answered in good order: the engine is well
    if not (isinstance(error, EngineError) and error.retryable):
        return False
    spent = live.breaker.spent
    return verdict.blames_host(error, opened=live.failed(error), spent=spent)
