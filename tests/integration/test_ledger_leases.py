"""Who holds a bundle, for how long, and who is suspected when a holder dies, against a real Redis."""

import time
from itertools import count, pairwise

import pytest
import redis

from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tests.integration.bundles import (
    QUEUE,
    answer,
    bundle,
    claim,
    claimed,
    soon,
    start,
    wait_for_lease,
)
from tests.nearest import nearest


def test_an_ended_lease_makes_the_bundle_due_again(ledger: Ledger) -> None:
    """What its holder no longer renews goes to another, without the items that have a result."""
    start(ledger, bundle())
    first = claimed(ledger)
    ledger.commit(first, 0, answer(first, 0))
    wait_for_lease(ledger)
    second = claimed(ledger, "b")
    assert second.items == (1, 2)
    assert ledger.renew([first], "a") == ["lost"]
    assert ledger.commit(first, 1, answer(first, 1, "late but paid"))[:2] == ("first", "lost")
    assert ledger.commit(second, 1, answer(second, 1))[:2] == ("late", "held")


def test_renewed_leases_last(ledger: Ledger) -> None:
    """A holder that renews keeps its bundle through many leases."""
    runs = count()

    def renewed() -> tuple[float, list[str]]:
        """The longest time between two renewals, which a busy machine may stretch beyond a lease; what they
        said, and whether somebody else was granted the bundle in the end."""
        run_id = start(ledger, bundle(), run_id=f"r{next(runs)}")
        held = claimed(ledger, run_id=run_id)
        said, at = [], [time.monotonic()]
        while at[-1] < at[0] + 1.5:
            said += ledger.renew([held], "a")
            ledger.expire(run_id)
            time.sleep(0.1)
            at.append(time.monotonic())
        said.append("granted" if claim(ledger, "b", run_id=run_id) else "refused")
        at.append(time.monotonic())
        return max(later - earlier for earlier, later in pairwise(at)), said

    longest_s, said = nearest(renewed, lambda made: made[0], 0.3)
    assert longest_s < 0.4, "each renewal was in time"
    assert {*said[:-1]} == {"held"}
    assert said[-1] == "refused"


def test_a_steward_that_was_away_lets_holders_renew_first(ledger: Ledger) -> None:
    """After an outage nothing is taken back for one lease."""
    start(ledger, bundle())
    held = claimed(ledger)
    ledger.redis.hset(keys.TICK, mapping={"last": 1, "quiet_until": 1})
    time.sleep(0.5)
    ledger.expire("r1")
    assert ledger.renew([held], "a") == ["held"]


def test_a_new_worker_takes_back_what_its_predecessor_held(ledger: Ledger) -> None:
    """A host that comes back at once need not wait for the lease of its dead worker."""
    start(ledger, bundle())
    assert claim(ledger)
    assert ledger.reap("a", "another") == 1
    assert claim(ledger, "b")


def test_adoption_after_redis_lost_its_last_second(ledger: Ledger, redis_client: redis.Redis) -> None:
    """Redis came back without the claim: who still works keeps the bundle."""
    start(ledger, bundle())
    names = ("llmq:bundle:r1:0", "llmq:counts:r1", "llmq:owed:r1", keys.due("r1", QUEUE))
    before = {key: redis_client.dump(key) for key in names}
    held = claimed(ledger)
    counts = ledger.redis.hgetall(keys.counts("r1"))
    for key, value in before.items():
        redis_client.restore(key, 0, value, replace=True)
    assert ledger.renew([held], "a") == ["held"]
    assert ledger.redis.hgetall(keys.counts("r1")) == counts


def test_a_renewal_that_crosses_a_release_holds_nothing(ledger: Ledger) -> None:
    """Given back is given back, even if a renewal was already on its way."""
    start(ledger, bundle())
    held = claimed(ledger)
    ledger.release(held)
    assert ledger.renew([held], "a") == ["lost"]
    assert claim(ledger, "b")


def test_one_steward_leads(ledger: Ledger) -> None:
    """The lead passes on when it is not renewed, or at once by resigning."""
    begun = time.monotonic()
    assert ledger.lead("x", 0.3)
    soon(lambda: ledger.lead("y", 60), "the lead passes on")
    assert time.monotonic() - begun >= 0.3
    assert not ledger.lead("x", 0.3)
    ledger.lead("y", 0)
    assert ledger.lead("x", 5)


def test_a_patient_ledger_waits(redis_url: str) -> None:
    """Its closing ends the wait with an error that names Redis."""
    from tasks.errors import BrokerUnreachable

    ledger = Ledger(redis.Redis(port=1, socket_connect_timeout=0.1), patient=True)
    ledger.closing.set()
    with pytest.raises(BrokerUnreachable):
        ledger.cancel("r1")


def test_deaths_name_the_item_that_ran(ledger: Ledger) -> None:
    """A holder that dies with an item running makes it a suspect; a commit clears the suspicion."""
    start(ledger, bundle())
    first = claimed(ledger)
    ledger.commit(first, 0, answer(first, 0))
    wait_for_lease(ledger)
    second = claimed(ledger, "b")
    assert (second.suspect, second.deaths) == (1, 1)
    ledger.commit(second, 1, answer(second, 1))
    ledger.release(second)
    third = claimed(ledger)
    assert (third.suspect, third.deaths) == (None, 0)


def test_an_item_is_a_suspect_only_once_it_is_asked(ledger: Ledger) -> None:
    """A holder that dies while its bundle still waits for a slot blames no item."""
    start(ledger, bundle())
    claimed(ledger)
    wait_for_lease(ledger)
    second = claimed(ledger, "b")
    assert (second.suspect, second.deaths) == (None, 0)
    assert ledger.begin(second, "b", 0) == "held"
    wait_for_lease(ledger)
    third = claimed(ledger, "c")
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
    elsewhere = claimed(ledger, "c")
    assert elsewhere.number == 1
    ledger.commit(first, 0, answer(first, 0))
    ledger.release(elsewhere)
    assert claim(ledger, "b"), "what is committed clears the first"
