"""When the thread of a held bundle counts as stuck."""

from typing import cast

import pytest

from tasks import lease
from tasks.lease import BETWEEN_CALLS_S, CALL_GRACE_S, Asking, Held
from tasks.ledger.claim import Claim
from worker_agent.completion import Limits
from worker_agent.engines import Call, dial

LIMITS = Limits(connect_s=10, first_token_s=600, between_tokens_s=120)
NOBODY = cast(Claim, None)


class Clock:
    """Stands still until it is told otherwise."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease, "clock", clock)
    monkeypatch.setattr(dial, "clock", clock)
    return clock


def test_a_call_may_be_silent_as_long_as_it_waits_itself(clock: Clock) -> None:
    """Until the first token as long as that may take, then from token to token, and a minute more."""
    held = Held(NOBODY)
    with held.calling(Asking(Call(LIMITS), 0, "m", 10)) as call:
        clock.now += 10 + 600 + CALL_GRACE_S
        assert not held.stuck
        call.heard(clock.now, LIMITS.between_tokens_s)
        clock.now += 120 + CALL_GRACE_S
        assert not held.stuck
        clock.now += 1
        assert held.stuck
        held.shut_call()
        assert call.cancelled
    assert not held.stuck, "it moves again"
    assert not held.stopped.is_set(), "the bundle may still be ours"


def test_after_a_cell_that_took_long_a_thread_has_two_minutes(clock: Clock) -> None:
    """To commit it: how long its requests took is no sign that it stands still."""
    held = Held(NOBODY)
    held.too_silent_s = lambda: 0.0
    clock.now += 10 * BETWEEN_CALLS_S
    held.too_silent_s = None
    held.kept()
    assert not held.stuck
    clock.now += BETWEEN_CALLS_S + 1
    assert held.stuck


def test_between_two_calls_a_thread_has_two_minutes(clock: Clock) -> None:
    """From the end of the last call; a good reason to wait stops the clock."""
    reasons = [True]
    held = Held(NOBODY, lambda: bool(reasons))
    clock.now += 10 * BETWEEN_CALLS_S
    assert not held.stuck, "it waits for a slot"
    reasons.clear()
    with held.calling(Asking(Call(LIMITS), 0, "m", 10)):
        clock.now += BETWEEN_CALLS_S
    clock.now += BETWEEN_CALLS_S
    assert not held.stuck
    clock.now += 1
    assert held.stuck
