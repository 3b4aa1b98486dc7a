"""A random walk through the ledger: whatever workers do, in whatever order, the books stay right."""

import random
import time
from collections import Counter
from dataclasses import replace

import pytest

from tasks.connection import connect
from tasks.intake.stages import Stage
from tasks.ledger import keys
from tasks.ledger.claim import Claim, new_token
from tasks.ledger.ledger import Ledger
from tasks.policy import Choice
from tasks.queues import queue_of
from tasks.result import UPSTREAM_FAILED, Failure, Result
from tasks.runs import Runs
from tasks.work import Bundle, Entry, item_id
from tests.integration.bundles import manifest

HOSTS = ("a", "b", "c", "d")
QUEUES = (*(queue_of(model) for model in ("m", "n")), queue_of("n", "d"))
STAGES = (Stage("one", "m"), Stage("two", "n", after=0), Stage("three", "n", after=1))
BLOCKED = 9e15
STEPS = 1500
FAILURE = Failure("a", "timeout", "silent")


class Walk:
    """Four hosts that do at random what workers do; some of their claims are stale."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger, self.dice = ledger, random.Random(seed)
        self.client = ledger.redis
        self.claims: list[Claim] = []
        self.bundles = 0
        self.links: dict[int, int] = {}  # later bundle -> its parent
        ledger.create(manifest("r1", stages=STAGES), "same", "me", fresh=False)

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
        entries = [Entry(bundle, queue_of(model), results)]
        for depth in range(1, self.dice.randint(0, 2) + 1):
            number = self.bundles + len(entries)
            self.links[number] = number - self.dice.randint(1, 1 if depth == 1 else 2)
            known = [n for n in known if self.dice.random() < 0.5 and entries[-1].known]
            results = tuple((n, self.result(number, n, well=True)) for n in known if self.well(entries, n))
            host = self.dice.choice([None, None, "d"])
            later = replace(
                bundle, model="n", host=host, tokens=0, stage=depth, depth=depth, parent=self.links[number]
            )
            entries.append(Entry(later, later.queue, results))
        self.ledger.add("r1", "me", 0, self.bundles, entries)
        self.bundles += len(entries)

    @staticmethod
    def well(entries: list[Entry], item: int) -> bool:
        """Every stage before has an answer."""
        return all(one.success for entry in entries for n, one in entry.known if n == item)

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

    def result(self, number: int, item: int, host: str = "z", *, well: bool = False) -> Result:
        own = item_id("r1", number, item)
        if not well and self.dice.random() < 0.15:
            return Result(own, host, 1, error=FAILURE)
        return Result(own, host, 1, answer="yes", metrics={"completion_tokens": 3})

    def check(self) -> None:
        """The books against each other."""
        owed = dict(self.client.zrange(keys.owed("r1"), 0, -1, withscores=True))
        owed.pop(keys.SUBMISSION, None)
        counts = Counter({k: int(v) for k, v in self.client.hgetall(keys.counts("r1")).items()})
        pipe = self.client.pipeline(transaction=False)
        for n in owed:
            pipe.hgetall(keys.bundle_prefix("r1") + n)
        open_ = dict(zip(owed, pipe.execute(), strict=True))
        assert all(open_.values()), "an owed bundle has its hash"
        assert len(self.client.keys(keys.bundle_prefix("r1") + "*")) == len(owed), "and nothing else has one"
        held = {n: one["host"] for n, one in open_.items() if "holder" in one}
        assert counts["held"] == len(held)
        for host in HOSTS:
            assert self.client.smembers(keys.held(host)) == {f"r1 {n}" for n in held if held[n] == host}
        for queue in QUEUES:
            due = dict(self.client.zrange(keys.due("r1", queue), 0, -1, withscores=True))
            theirs = {
                n: one
                for n, one in open_.items()
                if one["queue"] == queue and n not in held and "after" not in one
            }
            assert due == {n: owed[n] for n in theirs}
            assert counts[f"waiting:{queue}"] == len(due)
            assert counts[f"tokens:{queue}"] == sum(int(one["tokens"]) for one in theirs.values())
            assert counts[f"items:{queue}"] == sum(int(one["waits"]) for one in theirs.values())
        done = self.client.lrange(keys.done("r1"), 0, -1)
        assert len(done) == len(set(done)) == counts["successful"] + counts["failed"]
        for n, one in open_.items():
            blocked = owed[n] == BLOCKED
            assert blocked == ("after" in one) == (int(n) in self.links and str(self.links[int(n)]) in open_)
            assert not (blocked and n in held)
        ended = Counter(row.split(" ")[0] for row in done)
        for n, one in open_.items():
            assert int(one["left"]) == int(one["items"]) - ended[n] > 0

    def check_chains(self) -> None:
        """An item failed because of its parent if and only if that one failed."""
        runs, failed = Runs(self.ledger), 0
        bundles = runs.some_bundles("r1", self.links)
        for number, parent in self.links.items():
            every = range(len(bundles[number].prompts))
            theirs = runs.results("r1", [(parent, item) for item in every])
            for own, above in zip(
                runs.results("r1", [(number, item) for item in every]), theirs, strict=True
            ):
                assert own
                assert above
                upstream = own.error is not None and own.error.type == UPSTREAM_FAILED
                assert upstream == (above.error is not None)
                failed += upstream
        assert failed > 20

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
    walk.check_chains()


@pytest.mark.parametrize("seed", range(3, 5))
def test_a_cancelled_walk_owes_nothing(redis_url: str, seed: int) -> None:
    """Wherever it is cancelled: no bundle, no count of what waits is left; what comes late is kept."""
    ledger = Ledger(connect(redis_url), lease_s=0.05)
    walk = Walk(ledger, seed)
    for _ in range(STEPS // 3):
        walk.step()
    ledger.cancel("r1")
    for _ in range(100):
        walk.commit()
    status = Runs(ledger).status("r1")
    assert (status.state, status.held, status.waiting) == ("cancelled", 0, {})
    assert not ledger.redis.keys(keys.bundle_prefix("r1") + "*")
    assert not ledger.redis.keys(keys.due("r1", "*"))
    assert not ledger.redis.exists(keys.owed("r1"))
