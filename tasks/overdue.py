"""A call that is silent for too long, before its first token or after: other hosts may have its bundle
while this one still tries."""

import logging
from collections.abc import Iterable

from tasks.hosts import HostRecord
from tasks.lease import Asking, Held
from tasks.ledger.ledger import Ledger
from tasks.livehost import LiveHost
from worker_agent.errors import EngineTimeout

log = logging.getLogger(__name__)


def look(held: Held, live: LiveHost, ledger: Ledger, others: Iterable[HostRecord]) -> None:
    """Lend a bundle whose call is overdue if another host could take it; end a call that was overtaken."""
    asking = held.asking
    if asking is None:
        return
    if held.overtaken:
        _end(held, asking, live)
    elif not held.lent:
        _lend(held, asking, live, ledger, [host for host in others if host.able])


def _lend(held: Held, asking: Asking, live: LiveHost, ledger: Ledger, others: list[HostRecord]) -> None:
    allowed_s = _allowed_s(asking, live, others)
    if others and allowed_s is not None and asking.call.silent_s > allowed_s:
        held.lent = ledger.lend(held.claim, asking.item) == "lent"
        log.warning(
            "bundle %s-%s: %s; others may try", held.claim.run_id, held.claim.number, _silence(asking)
        )


def _allowed_s(asking: Asking, live: LiveHost, others: list[HostRecord]) -> float | None:
    if asking.first_token_s is not None:
        return live.patience.stalled_s(asking.model)
    rates = (dict(host.first_token_rates).get(asking.model) for host in others)
    return live.patience.overdue_s(asking.model, asking.prompt_tokens, [rate for rate in rates if rate])


def _end(held: Held, asking: Asking, live: LiveHost) -> None:
    """It was slow, or it hangs: by its own history, that is a failure. Without a history it may go on, so
    that a machine that is merely slow gets one; and one that hangs takes no more work meanwhile."""
    first_token_s = asking.first_token_s
    if first_token_s is not None and asking.call.silent_s < live.patience.stalled_s(asking.model):
        live.patience.saw(asking.model, asking.prompt_tokens, first_token_s, None)
    elif live.patience.rate(asking.model) is None:
        return
    else:
        live.failed(EngineTimeout(f"{live.engine.where}: {_silence(asking)}; another host answered"))
    held.stop()


def _silence(asking: Asking) -> str:
    what = "first" if asking.first_token_s is None else "further"
    return f"no {what} token for {asking.call.silent_s:.0f} s"
