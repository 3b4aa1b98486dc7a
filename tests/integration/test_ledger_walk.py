"""A random walk through the ledger: whatever workers do, in whatever order, the books stay right."""

import random
import time
from collections import Counter

import pytest

from tasks.connection import connect
from tasks.ledger import keys
from tasks.ledger.ledger import Claim, Ledger, new_token
from tasks.policy import Choice
from tasks.runs import Runs
from tasks.work import Bundle, Entry, Failure, Result, item_id, queue_of
from tests.integration.test_ledger import manifest

HOSTS = ("a", "b", "c", "d")
QUEUES = tuple(queue_of(model) for model in ("m", "n"))
STEPS = 1500
FAILURE = Failure("a", "timeout", "silent")


class Walk:
    """Four hosts that do at random what workers do; some of their claims are stale."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger, self.dice = ledger, random.Random(seed)
        self.client = ledger.redis
        self.claims: list[Claim] = []
        self.bundles = 0
        ledger.create(manifest("r1", models=("m", "n")), "same", "me", fresh=False)

    def step(self) -> None:
        steps = [self.claim, self.claim, self.commit, self.commit, self.commit, self.begin, self.release]
        steps += [self.lend, self.renew, self.renew, self.next, self.reap, self.age, self.expire, self.add]
        self.dice.choice(steps)()

    def add(self) -> None:
        model = self.dice.choice("mn")
        items, tokens = self.dice.randint(1, 3), self.dice.randint(0, 500)
        bundle = Bundle(
            f"{self.bundles}.txt", f"hash {self.bundles}", model, tuple(range(items)), tokens=tokens
        )
        known = [n for n in range(items) if self.dice.random() < 0.2]
        results = tuple((n, self.result(self.bundles, n)) for n in known)
        self.ledger.add("r1", "me", 0, self.bundles, [Entry(bundle, queue_of(model), results)])
        self.bundles += 1

    def claim(self, host: str | None = None, *, alone: bool = False) -> bool:
        host, queue = host or self.dice.choice(HOSTS), self.dice.choice(QUEUES)
        helps = tuple(one for look in self.ledger.look([queue]) for one in look.held)
        helps = tuple(self.dice.sample(helps, len(helps))) if self.dice.random() < 0.6 else ()
        most = self.dice.choice([None, None, 100, 300])
        choice = Choice(self.dice.random() < 0.7 or alone, most, self.dice.random() < 0.2, helps)
        claim = self.ledger.claim("r1", queue, new_token(host), host, alone=alone, choice=choice)
        self.claims += [claim] if claim else []
        return claim is not None

    def some(self) -> Claim | None:
        return self.dice.choice(self.claims) if self.claims else None

    def commit(self) -> None:
        if claim := self.some():
            item = self.dice.choice(claim.items)
            self.ledger.commit(claim, item, self.result(claim.number, item, claim.token.split(".")[0]))

    def begin(self) -> None:
        if claim := self.some():
            self.ledger.begin(claim, claim.token.split(".")[0], self.dice.choice(claim.items))

    def release(self) -> None:
        if claim := self.some():
            item = self.dice.choice([None, claim.items[0]])
            self.ledger.release(
                claim,
                backoff_s=self.dice.choice([0, 0, 0.02]),
                elsewhere_s=self.dice.choice([0, 0.05]),
                item=item,
                failure=FAILURE if item is not None else None,
            )

    def lend(self) -> None:
        if claim := self.some():
            self.ledger.lend(claim, self.dice.choice(claim.items))

    def renew(self) -> None:
        if claim := self.some():
            self.ledger.renew([claim], claim.token.split(".")[0])

    def next(self) -> None:
        if claim := self.some():
            self.ledger.next(claim)

    def reap(self) -> None:
        if self.dice.random() < 0.2:
            host = self.dice.choice(HOSTS)
            self.ledger.reap(host, "another")

    def age(self) -> None:
        """Forget old claims, as dead workers do."""
        if len(self.claims) > 12:
            del self.claims[self.dice.randrange(len(self.claims))]

    def expire(self) -> None:
        self.ledger.expire("r1")

    def result(self, number: int, item: int, host: str = "z") -> Result:
        return Result(item_id("r1", number, item), host, 1, answer="yes", metrics={"completion_tokens": 3})

    def check(self) -> None:
        """The books against each other."""
        owed = dict(self.client.zrange(keys.owed("r1"), 0, -1, withscores=True))
        owed.pop(keys.SUBMISSION, None)
        counts = Counter({k: int(v) for k, v in self.client.hgetall(keys.counts("r1")).items()})
        open_ = {n: self.client.hgetall(keys.bundle_prefix("r1") + n) for n in owed}
        assert all(open_.values()), "an owed bundle has its hash"
        assert len(self.client.keys(keys.bundle_prefix("r1") + "*")) == len(owed), "and nothing else has one"
        held = {n: one["host"] for n, one in open_.items() if "holder" in one}
        assert counts["held"] == len(held)
        for host in HOSTS:
            assert self.client.smembers(keys.held(host)) == {f"r1 {n}" for n in held if held[n] == host}
        for queue in QUEUES:
            due = dict(self.client.zrange(keys.due("r1", queue), 0, -1, withscores=True))
            theirs = {n: one for n, one in open_.items() if one["queue"] == queue and n not in held}
            assert due == {n: owed[n] for n in theirs}
            assert counts[f"waiting:{queue}"] == len(due)
            assert counts[f"tokens:{queue}"] == sum(int(one["tokens"]) for one in theirs.values())
            assert counts[f"items:{queue}"] == sum(int(one["waits"]) for one in theirs.values())
        done = self.client.lrange(keys.done("r1"), 0, -1)
        assert len(done) == len(set(done)) == counts["successful"]
        for n, one in open_.items():
            answered = sum(row.split(" ")[0] == n for row in done)
            assert int(one["left"]) == int(one["items"]) - answered > 0

    def finish(self) -> None:
        """Everybody who is left works on until nothing is owed."""
        self.ledger.submitted("r1", "me")
        deadline = time.monotonic() + 20
        while self.client.exists(keys.owed("r1")):
            assert time.monotonic() < deadline, "the run comes to its end"
            self.ledger.expire("r1")
            while self.claim(alone=True):
                claim = self.claims[-1]
                for item in claim.items:
                    self.ledger.commit(claim, item, self.result(claim.number, item))


@pytest.mark.parametrize("seed", range(3))
def test_the_books_stay_right(redis_url: str, seed: int) -> None:
    """After every step each bundle is due, held or done, in all places alike; in the end every item has one
    result."""
    ledger = Ledger(connect(redis_url), lease_s=0.05)
    walk = Walk(ledger, seed)
    for _ in range(STEPS):
        walk.step()
        walk.check()
    walk.finish()
    status = Runs(ledger).status("r1")
    assert (status.state, status.finished) == ("done", status.total)
    assert status.total > 100
