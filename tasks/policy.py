"""Who should do what next, as pure functions of values."""

import random
from dataclasses import dataclass

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0
ELSEWHERE_S = 30.0  # how long a bundle that failed here goes to other hosts first


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows a failed attempt: the item `ends` as failed, or its bundle is given back, due
    after `backoff_s`, elsewhere first for `elsewhere_s`; `counted`: the attempt uses one up."""

    ends: bool
    counted: bool = True
    backoff_s: float = 0.0
    elsewhere_s: float = 0.0


def after_failure(
    *,
    retryable: bool,
    failed_before: int,
    max_retries: int,
    alone: bool,
    blame_host: bool,
    spread: float | None = None,
) -> Verdict:
    """`max_retries` 3 means four attempts. A failure that is the host's fault (its breaker is open
    now) uses up none. With other hosts about, they get the bundle at once; `alone`, the same host
    gets it after a pause that doubles (capped, with jitter: `spread` 0..1, random by default)."""
    if not retryable:
        return Verdict(ends=True)
    if failed_before >= max_retries and not blame_host:
        return Verdict(ends=True)
    if not alone:
        return Verdict(ends=False, counted=not blame_host, elsewhere_s=ELSEWHERE_S)
    jitter = 0.5 + (random.random() if spread is None else spread) / 2
    pause_s = min(FIRST_BACKOFF_S * 2**failed_before, LONGEST_BACKOFF_S) * jitter
    return Verdict(ends=False, counted=not blame_host, backoff_s=pause_s)
