"""What follows a failed attempt."""

from tasks.policy import ELSEWHERE_S, LONGEST_BACKOFF_S, Verdict, after_failure

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
