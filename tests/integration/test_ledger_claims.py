"""Which bundle a host is granted, against a real Redis: due, allowed and in order; and what a look says."""

import time
from dataclasses import replace

from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tasks.policy import Backlog, Choice
from tasks.queues import queue_of
from tasks.work import Entry
from tests.integration.bundles import FAILURE, QUEUE, answer, bundle, claim, claimed, soon, start, take_over


def test_a_bundle_has_one_holder(ledger: Ledger) -> None:
    """A second invitation for a held bundle is refused; the holder itself may ask again."""
    start(ledger, bundle())
    first = claimed(ledger)
    assert first.items == (0, 1, 2)
    assert claim(ledger, "b") is None
    again = ledger.claim("r1", QUEUE, first.token, "a", alone=False)
    assert again
    assert again.token == first.token


def test_any_invitation_serves_any_due_bundle_of_its_queue(ledger: Ledger) -> None:
    """An invitation for a bundle that is taken grants the next one that is due in the same queue."""
    start(ledger, bundle(), bundle("b.txt", model="other"), bundle("c.txt"))
    assert claim(ledger)
    second = claimed(ledger, "b")
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


def test_a_failed_bundle_goes_elsewhere_first(ledger: Ledger) -> None:
    """Where it failed it is not granted again while others can; alone, it is."""
    start(ledger, bundle())
    held = claimed(ledger)
    assert ledger.release(held, elsewhere_s=30, item=0, failure=FAILURE) == "released"
    assert claim(ledger, "a") is None
    other = claimed(ledger, "b")
    assert other.failures == {0: (FAILURE,)}
    ledger.release(other)
    assert claim(ledger, "a", alone=True)


def test_backoff_delays(ledger: Ledger) -> None:
    """A bundle given back with a pause is due after it, not before."""
    start(ledger, bundle())
    begun = time.monotonic()
    ledger.release(claimed(ledger), backoff_s=0.3)
    soon(lambda: claim(ledger, "b"), "the pause ends")
    assert time.monotonic() - begun >= 0.3


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
    first = claimed(ledger)
    assert claim(ledger, "b") is None
    for item in range(3):
        ledger.commit(first, item, answer(first, item))
    assert claim(ledger, "b")
    ledger.add("r1", "me", 2, 2, [Entry(copy, QUEUE)])
    assert claim(ledger, "b")


def test_longest_first_and_what_was_begun_before_it(ledger: Ledger) -> None:
    """Due bundles are granted by the length of their papers; a slow host asks for at most so many tokens, one
    whose speed nobody knows for the shortest; what a lost worker had begun goes first."""
    start(ledger, *(bundle(f"{n}.txt", tokens=n * 100) for n in (3, 9, 1, 5, 7)))
    first = claimed(ledger)
    assert first.bundle.tokens == 900
    fitting = claimed(ledger, "b", choice=Choice(take=True, most=500))
    assert fitting.bundle.tokens == 500
    probe = claimed(ledger, "c", choice=Choice(take=True, probe=True))
    assert probe.bundle.tokens == 100
    ledger.release(probe)
    again = claimed(ledger, "d")
    assert again.bundle.tokens == 100


def test_a_look_says_what_there_is(ledger: Ledger) -> None:
    """Bundles, items and tokens that wait, how long answers are, and who holds what with how much unbegun."""
    start(
        ledger, bundle("a.txt", tokens=400), bundle("b.txt", tokens=100), bundle("c.txt", items=2, tokens=200)
    )
    first = claimed(ledger)
    ledger.begin(first, "a", 0)
    counted = replace(answer(first, 0), metrics={"completion_tokens": 30})
    ledger.commit(first, 0, counted)
    (look,) = ledger.look([QUEUE])
    assert look.due == Backlog(bundles=2, items=5, tokens=300, shortest=100, answer=30.0)
    (one,) = look.held
    assert (one.number, one.host, one.tokens, one.unstarted, one.copies) == (0, "a", 400, 1, 1)
    assert (one.answer, one.rest) == (None, None), "the other prompts have had no answer"
    other = claimed(ledger)
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
