"""Small runs for the tests of the ledger, and what workers do with their bundles."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tasks.intake.prompts import Prompt
from tasks.ledger import keys
from tasks.ledger.claim import Claim, new_token
from tasks.ledger.ledger import ANY, Ledger
from tasks.policy import Choice, Held
from tasks.queues import queue_of
from tasks.result import Failure, Result
from tasks.work import Bundle, Entry, Manifest, Params, item_id

QUEUE = queue_of("m")
FAILURE = Failure("a", "timeout", "silent")


def manifest(run_id: str = "r1", **changes: object) -> Manifest:
    prompts = tuple(Prompt(name, f"{name}?") for name in ("one", "two", "three"))
    return replace(Manifest(run_id, prompts, ("m",), Params()), **changes)  # type: ignore[arg-type]


def bundle(file: str = "a.txt", items: int = 3, **changes: object) -> Bundle:
    return replace(Bundle(file, f"hash of {file}", "m", tuple(range(items))), **changes)  # type: ignore[arg-type]


def start(ledger: Ledger, *bundles: Bundle, run_id: str = "r1", done: bool = True, **changes: object) -> str:
    ledger.create(manifest(run_id, **changes), f"same {run_id}", "me", fresh=False)
    ledger.add(run_id, "me", 1, 0, [Entry(one, queue_of(one.model)) for one in bundles])
    if done:
        ledger.submitted(run_id, "me")
    return run_id


def claim(
    ledger: Ledger, host: str = "a", *, alone: bool = False, run_id: str = "r1", choice: Choice = ANY
) -> Claim | None:
    return ledger.claim(run_id, QUEUE, new_token(host), host, alone=alone, choice=choice)


def claimed(ledger: Ledger, host: str = "a", **how: object) -> Claim:
    """As `claim`, where there must be something."""
    held = claim(ledger, host, **how)  # type: ignore[arg-type]
    assert held
    return held


def take_over(ledger: Ledger, held: Claim, host: str = "b") -> Claim:
    choice = Choice(take=False, help_=(Held(held.number, held.token, "a", 0, 1, 0.0),))
    return claimed(ledger, host, choice=choice)


def answer(of: Claim, item: int, text: str = "yes", host: str = "a") -> Result:
    return Result(item_id(of.run_id, of.number, item), host, 1, answer=text)


def wait_for_lease(ledger: Ledger, run_id: str = "r1") -> None:
    """Until the steward takes something back (the quiet time after its first tick included)."""

    def taken_back() -> bool:
        ledger.expire(run_id)
        return not ledger.redis.hget(keys.bundle_prefix(run_id) + "0", "holder")

    soon(taken_back, "the lease ends")


def soon(true: Callable[[], Any], what: str, within_s: float = 10.0) -> float:
    """Wait until something is; returns for how long it was not."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() < begun + within_s, what
        time.sleep(0.02)
    return time.monotonic() - begun
