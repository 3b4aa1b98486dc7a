"""What follows a failed attempt: pure functions of values.

Knows no ledger; `blame.py` asks.
"""

import random
from collections.abc import Container, Iterable
from dataclasses import dataclass

from tasks.result import Failure
from worker_agent.errors import EmptyAnswer, EngineError, EngineOverloaded, EngineUnavailable, LLMQError

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0
MOST_ROUNDS = 3  # of all tries, before an item is to blame for the hosts that broke
MOST_DEATHS = 3  # holders that died while one item, or one cell, ran, before it is set aside
MESSAGE_CHARS = 500  # of a failure's message that are kept
ELSEWHERE_S = 30.0  # how long a bundle that failed here goes to other hosts first


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows a failed attempt: the item `ends` as failed, or its bundle is given back, due
    after `backoff_s`, elsewhere first for `elsewhere_s`; `counted`: the attempt uses one up."""

    ends: bool
    counted: bool = True
    backoff_s: float = 0.0
    elsewhere_s: float = 0.0


def poison(host: str, deaths: int, what: str) -> Failure:
    """Of an item, or a cell, that is set aside."""
    return Failure(host, "poison", f"{deaths} workers died while this {what} ran; it is set aside")


def tries(failures: Iterable[Failure], broken: Container[str], max_retries: int) -> int:
    """How many of an item's tries are used up. Failures on hosts that are `broken` now were theirs; but an
    item that fails wherever it goes may be what breaks them, and ends."""
    counted = [one for one in failures if one.counted]
    if len(counted) >= MOST_ROUNDS * (max_retries + 1):
        return len(counted)
    return sum(one.host not in broken for one in counted)


def blames_host(error: EngineError, *, opened: bool, spent: bool) -> bool:
    """Whether a failure is the host's fault and not the item's. It is if nothing answers or there is no
    room, and if it `opened` the breaker (an answer without words is rather the item's). A host whose
    trials have failed for so long that its patience is `spent` may have met an item that breaks it: from
    then on attempts count, so that every run ends."""
    if spent:
        return False
    if isinstance(error, EngineUnavailable | EngineOverloaded):
        return True
    return opened and not isinstance(error, EmptyAnswer)


def given_up(error: LLMQError, *, hopeless: bool, alone: bool) -> bool:
    """Whether an item ends at its first failure: its host is `hopeless` and nobody else can take it. Of a
    hundred items each then costs one request, not four with half a minute between them. Who is away or has no
    room may come back by itself, and is waited for."""
    waits = isinstance(error, EngineUnavailable | EngineOverloaded)
    return hopeless and alone and isinstance(error, EngineError) and error.retryable and not waits


def after_failure(
    *,
    retryable: bool,
    failed_before: int,
    max_retries: int,
    alone: bool,
    blame_host: bool,
    failures: int = 0,
    spread: float | None = None,
) -> Verdict:
    """`max_retries` 3 means four attempts. A failure that is the host's fault (its breaker is open
    now) uses up none. With other hosts about, they get the bundle at once; `alone`, the same host
    gets it after a pause that doubles with every of its `failures`, counted or not (capped, with jitter:
    `spread` 0..1, random by default)."""
    if not retryable:
        return Verdict(ends=True)
    if failed_before >= max_retries and not blame_host:
        return Verdict(ends=True)
    if not alone:
        return Verdict(ends=False, counted=not blame_host, elsewhere_s=ELSEWHERE_S)
    jitter = 0.5 + (random.random() if spread is None else spread) / 2
    doublings = min(max(failures, failed_before), 10)
    pause_s = min(FIRST_BACKOFF_S * 2**doublings, LONGEST_BACKOFF_S) * jitter
    return Verdict(ends=False, counted=not blame_host, backoff_s=pause_s)
