"""Bundles that several hosts have in hand, lent or taken over, against a real Redis."""

from dataclasses import replace

from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tasks.policy import Choice, Held
from tasks.runs import Runs
from tests.integration.bundles import FAILURE, answer, bundle, claim, claimed, start, take_over


def test_a_lent_bundle_has_two_who_try(ledger: Ledger, runs: Runs) -> None:
    """Another host takes a lent bundle and asks the lent item last; the lender's answer counts if it comes
    first, and ends its part."""
    start(ledger, bundle())
    lender = claimed(ledger)
    assert ledger.begin(lender, "a", 0) == "held"
    assert ledger.lend(lender, 0) == "lent"
    assert claim(ledger, "a") is None, "not to the lender's own host"
    assert ledger.renew([lender], "a") == ["lent"]
    helper = claimed(ledger, "b")
    assert helper.items == (1, 2, 0)
    assert ledger.renew([lender, helper], "b") == ["lent", "held"]
    assert ledger.commit(lender, 0, answer(lender, 0))[:2] == ("first", "lost")
    assert ledger.commit(helper, 1, answer(helper, 1, host="b"))[:2] == ("first", "held")
    assert ledger.commit(helper, 2, answer(helper, 2, host="b"))[:2] == ("first", "done")
    assert runs.status("r1").state == "done"


def test_a_lender_that_is_overtaken_hears_of_it(ledger: Ledger) -> None:
    """Once somebody else has answered the lent item, the lender's renewal says lost."""
    start(ledger, bundle())
    lender = claimed(ledger)
    ledger.lend(lender, 0)
    helper = claimed(ledger, "b")
    ledger.commit(helper, 0, answer(helper, 0, "quick"))
    assert ledger.renew([lender], "a") == ["lost"]
    assert ledger.commit(lender, 0, answer(lender, 0, "slow"))[:2] == ("late", "lost")


def test_a_lender_whom_nobody_helps_goes_on(ledger: Ledger, runs: Runs) -> None:
    """A lent bundle that nobody took is the lender's again with its next answer; if the lender dies, it is
    due as it was."""
    start(ledger, bundle(), bundle("b.txt"))
    lender = claimed(ledger)
    ledger.lend(lender, 0)
    assert ledger.commit(lender, 0, answer(lender, 0))[:2] == ("first", "held")
    assert runs.status("r1").held == 1
    ledger.lend(lender, 1)
    assert runs.status("r1").held == 0
    ahead = claimed(ledger, "b")
    assert ahead.number == 1, "what nobody tries goes first"
    helper = claimed(ledger, "b")
    assert (helper.number, helper.items) == (0, (2, 1))


def test_a_lender_that_fails_gives_its_try_back(ledger: Ledger, runs: Runs) -> None:
    """The failure is counted, whoever holds the bundle by then, and nobody loses it."""
    start(ledger, bundle())
    lender = claimed(ledger)
    ledger.lend(lender, 0)
    helper = claimed(ledger, "b")
    assert ledger.release(lender, elsewhere_s=30, item=0, failure=FAILURE) == "released"
    assert ledger.renew([lender], "a") == ["lost"]
    ledger.release(helper)
    third = claimed(ledger, "b")
    assert third.failures == {0: (FAILURE,)}
    assert third.items == (0, 1, 2)


def test_an_idle_host_takes_over_what_nobody_has_begun(ledger: Ledger, runs: Runs) -> None:
    """Whom it is taken over from keeps the item it is at; nothing is asked twice, and the last who has an
    item in hand holds the bundle again."""
    start(ledger, bundle())
    first = claimed(ledger)
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
    first = claimed(ledger)
    ledger.begin(first, "a", 0)
    second = take_over(ledger, first)
    assert ledger.commit(first, 0, answer(first, 0))[:2] == ("first", "lost")
    assert ledger.commit(second, 1, answer(second, 1)) == ("first", "held", 2, 0)


def test_a_bundle_that_has_not_begun_is_taken_whole(ledger: Ledger) -> None:
    """Its holder, still waiting for a slot, hears that it is lost and does not adopt it again."""
    start(ledger, bundle())
    first = claimed(ledger)
    second = take_over(ledger, first)
    assert second.items == (0, 1, 2)
    assert ledger.begin(first, "a", 0) == "lost"
    assert ledger.renew([first, second], "x") == ["lost", "held"]


def test_a_copy_runs_only_where_it_was_asked_for(ledger: Ledger) -> None:
    """With nothing unstarted, taking over is a copy of the item at work: the first result counts, the other
    is told at once."""
    start(ledger, bundle(items=1))
    first = claimed(ledger)
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
    first = claimed(ledger)
    ledger.begin(first, "a", 0)
    assert ledger.commit(replace(first, token="a stranger's"), 0, answer(first, 0))[0] == "first"
    assert ledger.next(first) == ("late", "held", 1, 1)


def test_a_takeover_of_yesterday_takes_nothing(ledger: Ledger) -> None:
    """What a slot saw a moment ago may have another holder by now: then it is not taken."""
    start(ledger, bundle())
    first = claimed(ledger)
    ledger.release(first)
    claimed(ledger, "b")
    stale = Choice(take=False, help_=(Held(0, first.token, "a", 0, 3, 0.0),))
    assert claim(ledger, "c", choice=stale) is None
