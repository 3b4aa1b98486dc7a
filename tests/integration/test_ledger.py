"""The ledger's rules, each against a real Redis."""

import json
import time
from dataclasses import replace
from datetime import datetime

import pytest
import redis

from tasks.connection import connect
from tasks.errors import UnknownRun
from tasks.intake.prompts import Prompt
from tasks.ledger import keys
from tasks.ledger.claim import Claim, new_token
from tasks.ledger.ledger import ANY, Ledger
from tasks.lifetime import remove
from tasks.policy import Backlog, Choice, Held
from tasks.queues import queue_of
from tasks.recent import RecentCommits
from tasks.result import Failure, Result
from tasks.runs import Runs
from tasks.work import Bundle, Entry, Manifest, Params, item_id

QUEUE = queue_of("m")
FAILURE = Failure("a", "timeout", "silent")


def manifest(run_id: str = "r1", **changes: object) -> Manifest:
    prompts = tuple(Prompt(name, f"{name}?") for name in ("one", "two", "three"))
    return replace(Manifest(run_id, prompts, ("m",), Params()), **changes)  # type: ignore[arg-type]


def bundle(file: str = "a.txt", items: int = 3, **changes: object) -> Bundle:
    return replace(Bundle(file, f"hash of {file}", "m", tuple(range(items))), **changes)  # type: ignore[arg-type]


@pytest.fixture
def ledger(redis_url: str) -> Ledger:
    return Ledger(connect(redis_url), lease_s=0.4)


@pytest.fixture
def runs(ledger: Ledger) -> Runs:
    return Runs(ledger)


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


def answer(of: Claim, item: int, text: str = "yes", host: str = "a") -> Result:
    return Result(item_id(of.run_id, of.number, item), host, 1, answer=text)


def wait_for_lease(ledger: Ledger, run_id: str = "r1") -> None:
    """Until the steward takes something back (the quiet time after its first tick included)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        ledger.expire(run_id)
        if not ledger.redis.hget(keys.bundle_prefix(run_id) + "0", "holder"):
            return
        time.sleep(0.05)
    raise AssertionError("the lease never ended")


def test_a_bundle_has_one_holder(ledger: Ledger) -> None:
    """A second invitation for a held bundle is refused; the holder itself may ask again."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    assert first.items == (0, 1, 2)
    assert claim(ledger, "b") is None
    again = ledger.claim("r1", QUEUE, first.token, "a", alone=False)
    assert again
    assert again.token == first.token


def test_any_invitation_serves_any_due_bundle_of_its_queue(ledger: Ledger) -> None:
    """An invitation for a bundle that is taken grants the next one that is due in the same queue."""
    start(ledger, bundle(), bundle("b.txt", model="other"), bundle("c.txt"))
    assert claim(ledger)
    second = claim(ledger, "b")
    assert second
    assert second.number == 2


def test_a_claim_whose_reply_was_lost_is_asked_again(ledger: Ledger) -> None:
    """Asked twice under one token it holds one bundle, also if it was granted another than invited."""
    start(ledger, bundle(), bundle("b.txt"), bundle("c.txt"))
    assert claim(ledger, "b")
    first = ledger.claim("r1", QUEUE, "token", "a", alone=False)
    again = ledger.claim("r1", QUEUE, "token", "a", alone=False)
    assert first
    assert again
    assert first.number == again.number == 1
    assert ledger.redis.hget(keys.counts("r1"), "held") == "2"


def test_first_result_wins_and_counts_once(ledger: Ledger, runs: Runs) -> None:
    """Two holders commit the same item: the first result stays, the second is late, one is counted."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    assert ledger.commit(first, 0, answer(first, 0, "first"))[:2] == ("first", "held")
    assert ledger.commit(first, 0, answer(first, 0, "second"))[0] == "late"
    assert runs.results("r1", [(0, 0)])[0].answer == "first"  # type: ignore[union-attr]
    assert runs.status("r1").successful == 1


def test_a_result_is_an_ordinary_celery_result(ledger: Ledger, redis_url: str) -> None:
    """AsyncResult gives a success, and raises for a failure."""
    from celery import Celery

    start(ledger, bundle())
    held = claim(ledger)
    assert held
    ledger.commit(held, 0, answer(held, 0, "42"))
    ledger.commit(held, 1, Result(item_id("r1", 0, 1), "a", 1, error=FAILURE))
    app = Celery(broker=redis_url, backend=redis_url)
    assert app.AsyncResult("r1-0-0").get(timeout=2)["answer"] == "42"
    assert app.AsyncResult("r1-0-1").state == "FAILURE"
    with pytest.raises(Exception, match="silent"):
        app.AsyncResult("r1-0-1").get(timeout=2)


def test_a_run_is_done_when_nothing_is_owed(ledger: Ledger, runs: Runs) -> None:
    """The last commit ends the run, takes its bundles off, and leaves only what reading it needs."""
    start(ledger, bundle(items=2))
    held = claim(ledger)
    assert held
    ledger.commit(held, 0, answer(held, 0))
    assert runs.status("r1").state == "open"
    assert ledger.commit(held, 1, answer(held, 1))[:2] == ("first", "done")
    status = runs.status("r1")
    assert (status.state, status.successful, status.held, status.waiting) == ("done", 2, 0, {})
    left = {key.split(":")[1] for key in ledger.redis.keys("llmq:*")}
    assert left == {"run", "plan", "counts", "done", "runs", "same", "ended"}


def test_an_ended_lease_makes_the_bundle_due_again(ledger: Ledger) -> None:
    """What its holder no longer renews goes to another, without the items that have a result."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    ledger.commit(first, 0, answer(first, 0))
    wait_for_lease(ledger)
    second = claim(ledger, "b")
    assert second
    assert second.items == (1, 2)
    assert ledger.renew([first], "a") == ["lost"]
    assert ledger.commit(first, 1, answer(first, 1, "late but paid"))[:2] == ("first", "lost")
    assert ledger.commit(second, 1, answer(second, 1))[:2] == ("late", "held")


def test_renewed_leases_last(ledger: Ledger) -> None:
    """A holder that renews keeps its bundle through many leases."""
    start(ledger, bundle())
    held = claim(ledger)
    assert held
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        assert ledger.renew([held], "a") == ["held"]
        ledger.expire("r1")
        time.sleep(0.1)
    assert claim(ledger, "b") is None


def test_a_steward_that_was_away_lets_holders_renew_first(ledger: Ledger) -> None:
    """After an outage nothing is taken back for one lease."""
    start(ledger, bundle())
    held = claim(ledger)
    assert held
    ledger.redis.hset(keys.TICK, mapping={"last": 1, "quiet_until": 1})
    time.sleep(0.5)
    ledger.expire("r1")
    assert ledger.renew([held], "a") == ["held"]


def test_deaths_name_the_item_that_ran(ledger: Ledger) -> None:
    """A holder that dies with an item running makes it a suspect; a commit clears the suspicion."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    ledger.commit(first, 0, answer(first, 0))
    wait_for_lease(ledger)
    second = claim(ledger, "b")
    assert second
    assert (second.suspect, second.deaths) == (1, 1)
    ledger.commit(second, 1, answer(second, 1))
    ledger.release(second)
    third = claim(ledger)
    assert third
    assert (third.suspect, third.deaths) == (None, 0)


def test_a_failed_bundle_goes_elsewhere_first(ledger: Ledger) -> None:
    """Where it failed it is not granted again while others can; alone, it is."""
    start(ledger, bundle())
    held = claim(ledger)
    assert held
    assert ledger.release(held, elsewhere_s=30, item=0, failure=FAILURE) == "released"
    assert claim(ledger, "a") is None
    other = claim(ledger, "b")
    assert other
    assert other.failures == {0: (FAILURE,)}
    ledger.release(other)
    assert claim(ledger, "a", alone=True)


def test_backoff_delays(ledger: Ledger) -> None:
    """A bundle given back with a pause is due after it, not before."""
    start(ledger, bundle())
    held = claim(ledger)
    assert held
    ledger.release(held, backoff_s=0.3)
    assert claim(ledger, "b") is None
    time.sleep(0.35)
    assert claim(ledger, "b")


def test_max_concurrent_holds(ledger: Ledger) -> None:
    """No more bundles of a run are held at once than it allows."""
    start(ledger, bundle(), bundle("b.txt"), bundle("c.txt"), max_concurrent=2)
    held = [claim(ledger) for n in range(3)]
    assert [one is not None for one in held] == [True, True, False]
    ledger.release(held[0])  # type: ignore[arg-type]
    assert claim(ledger)


def test_copies_wait_for_their_original(ledger: Ledger) -> None:
    """A bundle behind another is due when that one is done, and at once if it is done already."""
    copy = bundle("copy.txt", copies=((0, 0), (0, 1), (0, 2)))
    start(ledger, bundle(), copy, done=False)
    first = claim(ledger)
    assert first
    assert claim(ledger, "b") is None
    for item in range(3):
        ledger.commit(first, item, answer(first, item))
    assert claim(ledger, "b")
    ledger.add("r1", "me", 2, 2, [Entry(copy, QUEUE)])
    assert claim(ledger, "b")


def test_cancel_owes_nothing_and_keeps_what_was_paid(ledger: Ledger, runs: Runs) -> None:
    """A cancelled run has no bundles; a late result of one that ran is still kept."""
    start(ledger, bundle(), bundle("b.txt"))
    held = claim(ledger)
    assert held
    assert ledger.cancel("r1") == 2
    assert ledger.cancel("r1") == -1
    assert runs.status("r1").state == "cancelled"
    assert ledger.renew([held], "a") == ["gone"]
    assert claim(ledger) is None
    assert ledger.commit(held, 0, answer(held, 0))[:2] == ("first", "gone")
    assert runs.results("r1", [(0, 0)])[0] is not None


def test_the_same_request_finds_the_open_run(ledger: Ledger) -> None:
    """Open: found. Fresh, or ended: a new one."""
    start(ledger, bundle(items=1))
    assert ledger.create(manifest("r2"), "same r1", "you", fresh=False) == "r1"
    assert ledger.create(manifest("r3"), "same r1", "you", fresh=True) == "r3"
    held = claim(ledger)
    assert held
    ledger.commit(held, 0, answer(held, 0))
    assert ledger.create(manifest("r4"), "same r1", "you", fresh=False) == "r3"


def test_an_interrupted_submission_is_incomplete_and_goes_on(ledger: Ledger, runs: Runs) -> None:
    """One command submits at a time; when it is gone, the next one takes over where it stopped."""
    start(ledger, bundle(), done=False)
    assert runs.status("r1").state == "submitting"
    assert ledger.resume("r1", "you") == ("busy", 0)
    time.sleep(0.5)
    assert runs.status("r1").state == "incomplete"
    assert ledger.resume("r1", "you") == ("yours", 1)
    assert ledger.add("r1", "me", 2, 1, [Entry(bundle("b.txt"), QUEUE)]) == "lost"
    assert ledger.add("r1", "you", 2, 1, [Entry(bundle("b.txt"), QUEUE)]) == "added"
    assert ledger.add("r1", "you", 2, 1, [Entry(bundle("b.txt"), QUEUE)]) == "added"  # said twice
    assert runs.status("r1").total == 6
    assert ledger.add("r1", "you", 9, 7, [Entry(bundle("z.txt"), QUEUE)]) == "behind"
    assert ledger.submitted("r1", "you") == "submitted"
    assert ledger.resume("r1", "me")[0] == "submitted"


def test_a_new_worker_takes_back_what_its_predecessor_held(ledger: Ledger) -> None:
    """A host that comes back at once need not wait for the lease of its dead worker."""
    start(ledger, bundle())
    assert claim(ledger)
    assert ledger.reap("a", "another") == 1
    assert claim(ledger, "b")


def test_two_runs_do_not_disturb_each_other(ledger: Ledger, runs: Runs) -> None:
    """Cancelling one leaves the other as it was."""
    start(ledger, bundle())
    start(ledger, bundle(), run_id="r2")
    assert claim(ledger, run_id="r2")
    ledger.cancel("r1")
    assert runs.status("r2").held == 1
    assert runs.open_ids() == ["r2"]


def test_removing_a_run_gives_everything_back(ledger: Ledger, runs: Runs) -> None:
    """Nothing of it is left but what does not belong to it; its late results are refused."""
    start(ledger, bundle(items=1))
    held = claim(ledger)
    assert held
    ledger.commit(held, 0, answer(held, 0))
    remove(runs, "r1")
    assert {key for key in ledger.redis.keys("*") if "r1" in key} == set()
    assert ledger.commit(held, 0, answer(held, 0))[:2] == ("unknown", "gone")
    with pytest.raises(UnknownRun):
        runs.status("r1")


def test_adoption_after_redis_lost_its_last_second(ledger: Ledger, redis_client: redis.Redis) -> None:
    """Redis came back without the claim: who still works keeps the bundle."""
    start(ledger, bundle())
    names = ("llmq:bundle:r1:0", "llmq:counts:r1", "llmq:owed:r1", keys.due("r1", QUEUE))
    before = {key: redis_client.dump(key) for key in names}
    held = claim(ledger)
    assert held
    counts = ledger.redis.hgetall(keys.counts("r1"))
    for key, value in before.items():
        redis_client.restore(key, 0, value, replace=True)
    assert ledger.renew([held], "a") == ["held"]
    assert ledger.redis.hgetall(keys.counts("r1")) == counts


def test_a_renewal_that_crosses_a_release_holds_nothing(ledger: Ledger) -> None:
    """Given back is given back, even if a renewal was already on its way."""
    start(ledger, bundle())
    held = claim(ledger)
    assert held
    ledger.release(held)
    assert ledger.renew([held], "a") == ["lost"]
    assert claim(ledger, "b")


def test_one_steward_leads(ledger: Ledger) -> None:
    """The lead passes on when it is not renewed, or at once by resigning."""
    assert ledger.lead("x", 0.3)
    assert not ledger.lead("y", 0.3)
    time.sleep(0.35)
    assert ledger.lead("y", 5)
    ledger.lead("y", 0)
    assert ledger.lead("x", 5)


def test_a_patient_ledger_waits(redis_url: str) -> None:
    """Its closing ends the wait with an error that names Redis."""
    from tasks.errors import BrokerUnreachable

    ledger = Ledger(redis.Redis(port=1, socket_connect_timeout=0.1), patient=True)
    ledger.closing.set()
    with pytest.raises(BrokerUnreachable):
        ledger.cancel("r1")


def test_an_item_is_a_suspect_only_once_it_is_asked(ledger: Ledger) -> None:
    """A holder that dies while its bundle still waits for a slot blames no item."""
    start(ledger, bundle())
    waiting = claim(ledger)
    assert waiting
    wait_for_lease(ledger)
    second = claim(ledger, "b")
    assert second
    assert (second.suspect, second.deaths) == (None, 0)
    assert ledger.begin(second, "b", 0) == "held"
    wait_for_lease(ledger)
    third = claim(ledger, "c")
    assert third
    assert (third.suspect, third.deaths) == (0, 1)


def test_suspects_do_not_share_a_host(ledger: Ledger) -> None:
    """Two bundles whose holder died are not held by one host at a time: one of them may be the reason, and
    the other must not die with it again. Bundles above suspicion are granted beside a suspect."""
    start(ledger, bundle("a.txt"), bundle("b.txt"), bundle("c.txt"))
    both = [claim(ledger) for n in (0, 1)]
    for held in both:
        assert held
        ledger.begin(held, "a", 0)
    assert ledger.reap("a", "another incarnation") == 2
    first = claim(ledger, "b")
    second = claim(ledger, "b")
    assert first
    assert first.deaths == 1
    assert second
    assert (second.number, second.deaths) == (2, 0)
    assert claim(ledger, "b") is None
    elsewhere = claim(ledger, "c")
    assert elsewhere
    assert elsewhere.number == 1
    ledger.commit(first, 0, answer(first, 0))
    ledger.release(elsewhere)
    assert claim(ledger, "b"), "what is committed clears the first"


def test_a_lent_bundle_has_two_who_try(ledger: Ledger, runs: Runs) -> None:
    """Another host takes a lent bundle and asks the lent item last; the lender's answer counts if it comes
    first, and ends its part."""
    start(ledger, bundle())
    lender = claim(ledger)
    assert lender
    assert ledger.begin(lender, "a", 0) == "held"
    assert ledger.lend(lender, 0) == "lent"
    assert claim(ledger, "a") is None, "not to the lender's own host"
    assert ledger.renew([lender], "a") == ["lent"]
    helper = claim(ledger, "b")
    assert helper
    assert helper.items == (1, 2, 0)
    assert ledger.renew([lender, helper], "b") == ["lent", "held"]
    assert ledger.commit(lender, 0, answer(lender, 0))[:2] == ("first", "lost")
    assert ledger.commit(helper, 1, answer(helper, 1, host="b"))[:2] == ("first", "held")
    assert ledger.commit(helper, 2, answer(helper, 2, host="b"))[:2] == ("first", "done")
    assert runs.status("r1").state == "done"


def test_a_lender_that_is_overtaken_hears_of_it(ledger: Ledger) -> None:
    """Once somebody else has answered the lent item, the lender's renewal says lost."""
    start(ledger, bundle())
    lender = claim(ledger)
    assert lender
    ledger.lend(lender, 0)
    helper = claim(ledger, "b")
    assert helper
    ledger.commit(helper, 0, answer(helper, 0, "quick"))
    assert ledger.renew([lender], "a") == ["lost"]
    assert ledger.commit(lender, 0, answer(lender, 0, "slow"))[:2] == ("late", "lost")


def test_a_lender_whom_nobody_helps_goes_on(ledger: Ledger, runs: Runs) -> None:
    """A lent bundle that nobody took is the lender's again with its next answer; if the lender dies, it is
    due as it was."""
    start(ledger, bundle(), bundle("b.txt"))
    lender = claim(ledger)
    assert lender
    ledger.lend(lender, 0)
    assert ledger.commit(lender, 0, answer(lender, 0))[:2] == ("first", "held")
    assert runs.status("r1").held == 1
    ledger.lend(lender, 1)
    assert runs.status("r1").held == 0
    ahead = claim(ledger, "b")
    assert ahead
    assert ahead.number == 1, "what nobody tries goes first"
    helper = claim(ledger, "b")
    assert helper
    assert (helper.number, helper.items) == (0, (2, 1))


def test_a_lender_that_fails_gives_its_try_back(ledger: Ledger, runs: Runs) -> None:
    """The failure is counted, whoever holds the bundle by then, and nobody loses it."""
    start(ledger, bundle())
    lender = claim(ledger)
    assert lender
    ledger.lend(lender, 0)
    helper = claim(ledger, "b")
    assert helper
    assert ledger.release(lender, elsewhere_s=30, item=0, failure=FAILURE) == "released"
    assert ledger.renew([lender], "a") == ["lost"]
    ledger.release(helper)
    third = claim(ledger, "b")
    assert third
    assert third.failures == {0: (FAILURE,)}
    assert third.items == (0, 1, 2)


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
    left = claim(ledger)
    assert left
    assert (left.number, left.items) == (1, (0, 2))
    ledger.commit(left, 0, answer(left, 0))
    assert ledger.commit(left, 2, answer(left, 2))[:2] == ("first", "done")
    assert runs.status("r1").state == "done"


def test_recent_commits_are_made_again(ledger: Ledger, redis_client: redis.Redis) -> None:
    """Redis comes back without the last results: those of a moment ago are committed again, older ones not
    sent twice."""
    start(ledger, bundle())
    held = claim(ledger)
    assert held
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
    held = claim(ledger)
    assert held
    ledger.commit(held, 0, answer(held, 0))
    row = json.loads(ledger.redis.get(keys.result("r1-0-0")))
    done_at = datetime.fromisoformat(row["date_done"]).timestamp()
    assert abs(done_at - real()) < 5


def take_over(ledger: Ledger, held: Claim, host: str = "b") -> Claim:
    choice = Choice(take=False, help_=(Held(held.number, held.token, "a", 0, 1, 0.0),))
    taken = claim(ledger, host, choice=choice)
    assert taken
    return taken


def test_an_idle_host_takes_over_what_nobody_has_begun(ledger: Ledger, runs: Runs) -> None:
    """Whom it is taken over from keeps the item it is at; nothing is asked twice, and the last who has an
    item in hand holds the bundle again."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    ledger.begin(first, "a", 0)
    second = take_over(ledger, first)
    assert second.items == (1, 2)
    ledger.begin(second, "b", 1)
    third = take_over(ledger, second, "c")
    assert third.items == (2,)
    ledger.begin(third, "c", 2)
    assert ledger.renew([first, second, third], "x") == ["lent", "lent", "held"]
    assert ledger.commit(third, 2, answer(third, 2)) == ("first", "lost", None, 0)
    assert ledger.commit(second, 1, answer(second, 1))[0] == "first"
    assert ledger.commit(first, 0, answer(first, 0))[:2] == ("first", "done")
    assert runs.status("r1").state == "done"
    assert runs.status("r1").held == 0
    assert not ledger.redis.keys("llmq:held:*")


def test_who_was_taken_over_from_lets_go_after_its_item(ledger: Ledger) -> None:
    """Its next item is another's; who took over hears from its commits what is left."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    ledger.begin(first, "a", 0)
    second = take_over(ledger, first)
    assert ledger.commit(first, 0, answer(first, 0))[:2] == ("first", "lost")
    assert ledger.commit(second, 1, answer(second, 1)) == ("first", "held", 2, 0)


def test_a_bundle_that_has_not_begun_is_taken_whole(ledger: Ledger) -> None:
    """Its holder, still waiting for a slot, hears that it is lost and does not adopt it again."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    second = take_over(ledger, first)
    assert second.items == (0, 1, 2)
    assert ledger.begin(first, "a", 0) == "lost"
    assert ledger.renew([first, second], "x") == ["lost", "held"]


def test_a_copy_runs_only_where_it_was_asked_for(ledger: Ledger) -> None:
    """With nothing unstarted, taking over is a copy of the item at work: the first result counts, the other
    is told at once."""
    start(ledger, bundle(items=1))
    first = claim(ledger)
    assert first
    ledger.begin(first, "a", 0)
    listener = ledger.redis.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(keys.LATE)
    listener.get_message(timeout=1)
    copy = take_over(ledger, first)
    assert copy.items == (0,)
    ledger.begin(copy, "b", 0)
    assert ledger.commit(copy, 0, answer(copy, 0, host="b"))[:2] == ("first", "done")
    told = listener.get_message(timeout=2)
    assert told
    assert told["data"] == f"{first.token} 0"
    assert ledger.renew([first], "a") == ["gone"]


def test_a_holder_that_is_overtaken_goes_on_with_another_item(ledger: Ledger) -> None:
    """Told that its item is answered, it asks for the next one."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    ledger.begin(first, "a", 0)
    assert ledger.commit(replace(first, token="a stranger's"), 0, answer(first, 0))[0] == "first"
    assert ledger.next(first) == ("late", "held", 1, 1)


def test_a_takeover_of_yesterday_takes_nothing(ledger: Ledger) -> None:
    """What a slot saw a moment ago may have another holder by now: then it is not taken."""
    start(ledger, bundle())
    first = claim(ledger)
    assert first
    ledger.release(first)
    second = claim(ledger, "b")
    assert second
    stale = Choice(take=False, help_=(Held(0, first.token, "a", 0, 3, 0.0),))
    assert claim(ledger, "c", choice=stale) is None


def test_longest_first_and_what_was_begun_before_it(ledger: Ledger) -> None:
    """Due bundles are granted by the length of their papers; a slow host asks for at most so many tokens, one
    whose speed nobody knows for the shortest; what a lost worker had begun goes first."""
    start(ledger, *(bundle(f"{n}.txt", tokens=n * 100) for n in (3, 9, 1, 5, 7)))
    first = claim(ledger)
    assert first
    assert first.bundle.tokens == 900
    fitting = claim(ledger, "b", choice=Choice(take=True, most=500))
    assert fitting
    assert fitting.bundle.tokens == 500
    probe = claim(ledger, "c", choice=Choice(take=True, probe=True))
    assert probe
    assert probe.bundle.tokens == 100
    ledger.release(probe)
    again = claim(ledger, "d")
    assert again
    assert again.bundle.tokens == 100


def test_a_look_says_what_there_is(ledger: Ledger) -> None:
    """Bundles, items and tokens that wait, how long answers are, and who holds what with how much unbegun."""
    start(
        ledger, bundle("a.txt", tokens=400), bundle("b.txt", tokens=100), bundle("c.txt", items=2, tokens=200)
    )
    first = claim(ledger)
    assert first
    ledger.begin(first, "a", 0)
    counted = replace(answer(first, 0), metrics={"completion_tokens": 30})
    ledger.commit(first, 0, counted)
    (look,) = ledger.look([QUEUE])
    assert look.due == Backlog(bundles=2, items=5, tokens=300, shortest=100, answer=30.0)
    (one,) = look.held
    assert (one.number, one.host, one.tokens, one.unstarted, one.copies) == (0, "a", 400, 1, 1)
    assert (one.answer, one.rest) == (None, None), "the other prompts have had no answer"
    other = claim(ledger)
    assert other
    ledger.begin(other, "a", 0)
    assert {held.number: held.answer for held in ledger.look([QUEUE])[0].held} == {0: None, 2: 30.0}
    ledger.release(other)
    second = take_over(ledger, first)
    (one,) = ledger.look([QUEUE])[0].held
    assert (one.token, one.unstarted, one.copies) == (second.token, 1, 2)
    assert not ledger.look([queue_of("other")])


def test_a_look_tells_of_every_run_in_the_order_they_are_asked(ledger: Ledger) -> None:
    """Higher priority first; of equal ones the one with the least at work, then the one without a claim for
    longer; nothing of a queue that a run never used, nor of what a run may not have more of."""
    start(ledger, bundle("a.txt"), bundle("b.txt"), bundle("c.txt"), run_id="first")
    start(ledger, bundle("d.txt"), bundle("e.txt"), bundle("f.txt"), run_id="second", done=False)
    start(ledger, bundle("g.txt"), run_id="low", priority="low")
    start(ledger, bundle("h.txt"), bundle("i.txt"), run_id="high", priority="high", max_concurrent=1)

    def order() -> list[str]:
        return [look.run_id for look in ledger.look([QUEUE, queue_of("other")])]

    assert order() == ["high", "first", "second", "low"]
    assert [look.coming for look in ledger.look([QUEUE])] == [False, False, True, False]
    for run_id in ("first", "second"):
        assert claim(ledger, run_id=run_id)
        time.sleep(0.002)
    assert claim(ledger, run_id="high")
    assert order() == ["high", "first", "second", "low"]  # both have one, and `first` claimed before
    assert claim(ledger, run_id="first")
    assert order() == ["high", "second", "first", "low"]
    high, second, *_ = ledger.look([QUEUE])
    assert (high.due.bundles, high.waiting, high.priority, len(high.held)) == (0, 1, 1, 1)
    assert (second.due.bundles, second.waiting) == (2, 2)
    assert sum(len(look.held) for look in ledger.look([QUEUE], 2)) == 2
    assert ledger.look([queue_of("other")]) == []
