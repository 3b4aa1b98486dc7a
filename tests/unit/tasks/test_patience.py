"""How long an engine may be silent."""

import pytest

from tasks.patience import Patience
from worker_agent.completion import Limits


def test_without_history_the_default_holds() -> None:
    """Nobody knows yet: the long default, and nothing is overdue."""
    patience = Patience()
    assert patience.limits("m", 1000) == Limits()
    assert patience.overdue_s("m", 1000, []) is None


def test_history_shortens_the_wait() -> None:
    """A host that answers within seconds is not waited for ten minutes, and never less than a minute."""
    patience = Patience()
    patience.saw("m", 1500, 4.0, 0.05)
    limits = patience.limits("m", 9500)
    assert limits.first_token_s == 10 * 4.0 * (9500 + 500) / (1500 + 500)
    assert limits.between_tokens_s == 30
    assert patience.limits("m", 10).first_token_s == 60
    assert patience.limits("other", 10) == Limits()


def test_a_slow_host_gets_its_time() -> None:
    """What is slow by nature is not overdue early, and no limit is longer than the default."""
    patience = Patience()
    patience.saw("m", 1500, 300.0, 5.0)
    assert patience.overdue_s("m", 1500, []) == pytest.approx(900)
    assert patience.limits("m", 1500) == Limits()
    assert patience.limits("m", 10**6) == Limits()


def test_the_slowest_of_late_counts() -> None:
    """A quick answer (a cached prompt) does not make the next one overdue; old slowness is forgotten."""
    patience = Patience()
    patience.saw("m", 500, 40.0, None)
    for _ in range(49):
        patience.saw("m", 500, 0.1, None)
    assert patience.overdue_s("m", 500, []) == 120
    patience.saw("m", 500, 0.1, None)
    assert patience.overdue_s("m", 500, []) == 20


def test_others_speak_for_a_host_without_history() -> None:
    """Its own history comes first; before there is any, the slowest of the others'."""
    patience = Patience()
    assert patience.overdue_s("m", 500, [0.001, 0.02]) == 60
    patience.saw("m", 500, 10.0, None)
    assert patience.overdue_s("m", 500, [1.0]) == 30


def test_a_stream_that_stops_is_overdue_too() -> None:
    """After 20 s, or as long as thirty of its tokens usually take."""
    patience = Patience()
    assert patience.stalled_s("m") == 20
    patience.saw("m", 500, 1.0, 2.0)
    assert patience.stalled_s("m") == 60
