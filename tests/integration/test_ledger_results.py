"""What becomes of an answer, against a real Redis: the first stays, as a Celery result, and counts once."""

import json
import time
from datetime import datetime

import pytest
import redis

from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tasks.recent import RecentCommits
from tasks.result import Result
from tasks.runs import Runs
from tasks.work import Entry, item_id
from tests.integration.bundles import (
    FAILURE,
    QUEUE,
    answer,
    bundle,
    claimed,
    manifest,
    start,
)


def test_first_result_wins_and_counts_once(ledger: Ledger, runs: Runs) -> None:
    """Two holders commit the same item: the first result stays, the second is late, one is counted."""
    start(ledger, bundle())
    first = claimed(ledger)
    assert ledger.commit(first, 0, answer(first, 0, "first"))[:2] == ("first", "held")
    assert ledger.commit(first, 0, answer(first, 0, "second"))[0] == "late"
    assert runs.results("r1", [(0, 0)])[0].answer == "first"  # type: ignore[union-attr]
    assert runs.status("r1").successful == 1


def test_a_result_is_an_ordinary_celery_result(ledger: Ledger, redis_url: str) -> None:
    """AsyncResult gives a success, and raises for a failure."""
    from celery import Celery

    start(ledger, bundle())
    held = claimed(ledger)
    ledger.commit(held, 0, answer(held, 0, "42"))
    ledger.commit(held, 1, Result(item_id("r1", 0, 1), "a", 1, error=FAILURE))
    app = Celery(broker=redis_url, backend=redis_url)
    assert app.AsyncResult("r1-0-0").get(timeout=2)["answer"] == "42"
    assert app.AsyncResult("r1-0-1").state == "FAILURE"
    with pytest.raises(Exception, match="silent"):
        app.AsyncResult("r1-0-1").get(timeout=2)


def test_known_results_come_with_the_plan(ledger: Ledger, runs: Runs) -> None:
    """An entry's known items have results as soon as it is added and are not asked; an entry of which all is
    known is owed by nobody."""
    ledger.create(manifest(), "same", "me", fresh=False)
    whole, part = bundle("a.txt"), bundle("b.txt")

    def known(number: int, *items: int) -> tuple[tuple[int, Result], ...]:
        return tuple((n, Result(item_id("r1", number, n), "z", 1, answer="old")) for n in items)

    ledger.add("r1", "me", 2, 0, [Entry(whole, QUEUE, known(0, 0, 1, 2)), Entry(part, QUEUE, known(1, 1))])
    ledger.submitted("r1", "me")
    status = runs.status("r1")
    assert (status.successful, status.by_host, status.waiting) == (4, {"z": 4}, {QUEUE: 1})
    left = claimed(ledger)
    assert (left.number, left.items) == (1, (0, 2))
    ledger.commit(left, 0, answer(left, 0))
    assert ledger.commit(left, 2, answer(left, 2))[:2] == ("first", "done")
    assert runs.status("r1").state == "done"


def test_recent_commits_are_made_again(ledger: Ledger, redis_client: redis.Redis) -> None:
    """Redis comes back without the last results: those of a moment ago are committed again, older ones not
    sent twice."""
    start(ledger, bundle())
    held = claimed(ledger)
    recent = RecentCommits(ledger)
    assert recent.met("first start") == 0
    assert recent.commit(held, 0, answer(held, 0))[:2] == ("first", "held")
    redis_client.delete(keys.result("r1-0-0"), keys.done("r1"))
    redis_client.hset(keys.bundle_prefix("r1") + "0", "left", 3)
    redis_client.hset(keys.counts("r1"), "successful", 0)
    assert recent.met("first start") == 0, "the same Redis forgets nothing"
    assert recent.met("second start") == 1
    assert redis_client.exists(keys.result("r1-0-0"))
    assert Runs(ledger).status("r1").successful == 1
    recent.met("second start")
    assert recent.met("third start") == 0, "what two renewals have confirmed is let go"


def test_times_are_those_of_redis(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is an hour off dates its results by the clock of Redis."""
    start(ledger, bundle())
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    held = claimed(ledger)
    ledger.commit(held, 0, answer(held, 0))
    row = json.loads(ledger.redis.get(keys.result("r1-0-0")))
    done_at = datetime.fromisoformat(row["date_done"]).timestamp()
    assert abs(done_at - real()) < 5
