"""What follows a failed attempt."""

from tasks.verdict import ELSEWHERE_S, LONGEST_BACKOFF_S, Verdict, after_failure, blames_host, given_up
from worker_agent.errors import BadReply, EmptyAnswer, EngineOverloaded, EngineTimeout, EngineUnavailable

FAILED = {"retryable": True, "failed_before": 0, "max_retries": 3, "alone": False, "blame_host": False}


def verdict(**changes: object) -> Verdict:
    return after_failure(**(FAILED | changes), spread=1.0)  # type: ignore[arg-type]


def test_what_would_fail_again_ends() -> None:
    """An error that another try cannot mend is the item's end."""
    assert verdict(retryable=False).ends


def test_max_retries_3_means_four_attempts() -> None:
    """Three failures before: the fourth is the last."""
    assert [verdict(failed_before=n).ends for n in range(5)] == [False, False, False, True, True]


def test_elsewhere_first() -> None:
    """Others can do it: at once, and not here for a while."""
    assert verdict() == Verdict(ends=False, counted=True, backoff_s=0.0, elsewhere_s=ELSEWHERE_S)


def test_alone_it_waits_longer_each_time() -> None:
    """Nobody else: the same host gets it again, after pauses that double and are capped."""
    pauses = [verdict(alone=True, failed_before=n, max_retries=100).backoff_s for n in (0, 1, 2, 20)]
    assert pauses == [1.0, 2.0, 4.0, LONGEST_BACKOFF_S]


def test_a_hosts_own_fault_uses_up_no_attempt() -> None:
    """Its breaker is open: the item is not to blame, however often."""
    blamed = verdict(blame_host=True, failed_before=9)
    assert not blamed.ends
    assert not blamed.counted


def test_a_host_that_is_away_or_full_is_to_blame() -> None:
    """Being down or busy never costs an attempt, whatever the breaker says."""
    assert blames_host(EngineUnavailable("refused"), opened=True, spent=False)
    assert blames_host(EngineOverloaded("503"), opened=False, spent=False)


def test_a_failure_counts_until_the_breaker_opens() -> None:
    """One bad reply may be the item's; the one that stops the host is the host's."""
    assert not blames_host(BadReply("500"), opened=False, spent=False)
    assert blames_host(EngineTimeout("silent"), opened=True, spent=False)
    assert not blames_host(EmptyAnswer("no words"), opened=True, spent=False)


def test_patience_ends() -> None:
    """Trial after trial has failed: attempts count, and the run comes to its end."""
    assert not blames_host(EngineOverloaded("503"), opened=True, spent=True)


def test_an_item_is_given_up_where_nothing_can_be_hoped() -> None:
    """Its host fails whatever it is asked and nobody else can take it; not where somebody can, and not where
    the host may come back by itself."""
    assert given_up(BadReply("500"), hopeless=True, alone=True)
    assert given_up(EngineTimeout("silent"), hopeless=True, alone=True)
    assert not given_up(BadReply("500"), hopeless=True, alone=False)
    assert not given_up(BadReply("500"), hopeless=False, alone=True)
    assert not given_up(EngineOverloaded("503"), hopeless=True, alone=True)
    assert not given_up(EngineUnavailable("refused"), hopeless=True, alone=True)
