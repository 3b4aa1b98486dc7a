"""For which of its models a host works: it stays while it can, nothing starves, and hosts spread out."""

import pytest

from tasks.staying import NEXT_S, STAY_S, Duty, Pile, Stay, free_of_cost, turn

LOAD_S = 2.0
ENDLESS = 1000.0


def on(current: str, *piles: Pile, dry_s: float = 0.0) -> str:
    return turn(piles, current, load_s=LOAD_S, dry_s=dry_s)


def test_it_stays_while_something_is_due() -> None:
    """However much there is for the other model."""
    assert on("a", Pile("a", 0.1), Pile("b", ENDLESS)) == "a"


def test_at_first_it_takes_the_largest() -> None:
    assert on("", Pile("a", 1.0), Pile("b", 5.0)) == "b"


def test_at_first_each_host_takes_another() -> None:
    """Nobody is on a model yet, and all see the same."""
    first = {on("", Pile("a", 5.0, rank=rank), Pile("b", 1.0, rank=rank)) for rank in range(2)}
    assert first == {"a", "b"}


def test_a_model_that_no_host_is_on_comes_first() -> None:
    assert on("", Pile("a", 50.0, hosts=1), Pile("b", 5.0)) == "b"


def test_of_models_that_others_are_on_the_longest_for_each() -> None:
    assert on("", Pile("a", 50.0, hosts=4), Pile("b", 30.0, hosts=1)) == "b"


def test_nothing_left_and_nothing_coming() -> None:
    """There is no reason to wait, however little there is to do."""
    assert on("a", Pile("a"), Pile("b", 0.1)) == "b"


def test_more_is_coming() -> None:
    """Papers are still being read: a little is not worth a load, until we were idle for as long as one takes;
    a backlog is worth it at once."""
    own = Pile("a", coming=True)
    assert on("a", own, Pile("b", LOAD_S), dry_s=LOAD_S / 2) == "a"
    assert on("a", own, Pile("b", LOAD_S), dry_s=LOAD_S) == "b"
    assert on("a", own, Pile("b", 4 * LOAD_S)) == "b"


def test_what_another_host_ends_before_a_load() -> None:
    assert on("a", Pile("a"), Pile("b", LOAD_S, hosts=1)) == "a"
    assert on("a", Pile("a"), Pile("b", 3 * LOAD_S, hosts=1)) == "b"


def test_nothing_waits_longer_than_it_may() -> None:
    """The host's own model has work without end."""
    endless = Pile("a", ENDLESS)
    assert on("a", endless, Pile("b", 0.1, waited_s=STAY_S - 1)) == "a"
    assert on("a", endless, Pile("b", 0.1, waited_s=STAY_S)) == "b"


def test_it_waits_for_the_host_that_is_there() -> None:
    assert on("a", Pile("a", ENDLESS), Pile("b", 0.1, hosts=1, waited_s=10 * STAY_S)) == "a"


def test_one_host_goes_at_a_time() -> None:
    """The second only where the first did not."""
    late = Pile("b", 0.1, waited_s=STAY_S, rank=1)
    assert on("a", Pile("a", ENDLESS), late) == "a"
    assert on("a", Pile("a", ENDLESS), Pile("b", 0.1, waited_s=STAY_S + NEXT_S, rank=1)) == "b"


def test_what_is_more_urgent_does_not_wait() -> None:
    """One host leaves its work at once, others where there is enough for them."""
    own = Pile("a", ENDLESS)
    assert on("a", own, Pile("b", 0.1, priority=1)) == "b"
    assert on("a", own, Pile("b", 0.1, priority=1, rank=1)) == "a"
    assert on("a", own, Pile("b", 0.1, priority=1, hosts=1)) == "a"
    assert on("a", own, Pile("b", 100.0, priority=1, hosts=1, rank=1)) == "b"
    assert on("a", Pile("a", ENDLESS, priority=1), Pile("b", ENDLESS, waited_s=STAY_S - 1)) == "a"


@pytest.mark.parametrize(("load_s", "free"), [(None, False), (0.01, True), (2.0, False)])
def test_a_load_that_takes_no_time(load_s: float | None, free: bool) -> None:
    """An engine that holds all its models: they take turns as they come."""
    assert free_of_cost(load_s, item_s=1.0) is free


def stay(current: str) -> Stay:
    made = Stay()
    made.claimed(current)
    return made


def test_its_bundles_are_done_before_it_turns() -> None:
    """Two models at once would load each other away with every request; and more of the old keeps it no
    longer."""
    host = stay("a")
    assert host.next([Pile("a", coming=True), Pile("b", 4 * LOAD_S)], {"a"}, LOAD_S, 0.0) == Duty(None)
    again = [Pile("a", 1.0, coming=True), Pile("b", 4 * LOAD_S)]
    assert host.next(again, {"a"}, LOAD_S, 1.0) == Duty(None)
    assert host.next(again, set(), LOAD_S, 2.0) == Duty("b")


def test_it_does_not_wait_for_what_others_have_taken() -> None:
    """What it was about to turn to is gone."""
    host = stay("a")
    host.next([Pile("a"), Pile("b", 4 * LOAD_S)], {"a"}, LOAD_S, 0.0)
    assert host.next([Pile("a", 1.0), Pile("b")], {"a"}, LOAD_S, 1.0) == Duty("a")


def test_it_helps_others_when_it_has_nothing_to_do() -> None:
    """Not while it has work, nor when more may come in a moment."""
    assert stay("a").next([Pile("a"), Pile("b")], set(), LOAD_S, 0.0) == Duty("a", helps=True)
    assert stay("a").next([Pile("a"), Pile("b")], {"a"}, LOAD_S, 0.0) == Duty("a")
    assert stay("a").next([Pile("a", coming=True), Pile("b")], set(), LOAD_S, 0.0) == Duty("a")


def test_a_small_run_gets_its_turn_among_endless_ones() -> None:
    """Two models without end and a third with a little, on one host: none waits much longer than it may, and
    the host does not go back and forth."""
    host, turns, last_at = Stay(), 0, {"a": 0.0, "b": 0.0, "c": 0.0}
    for second in range(1000):
        piles = [Pile("a", ENDLESS), Pile("b", ENDLESS), Pile("c", 0.5)]
        before = host.current
        now = host.next(piles, set(), LOAD_S, float(second)).model
        assert now
        host.claimed(now)
        turns += now != before
        last_at[now] = float(second)
        assert max(second - at for at in last_at.values()) <= 2 * STAY_S + 1
    assert turns <= 1000 / STAY_S * 2


def test_another_host_on_it_ends_the_wait() -> None:
    """And where that one is gone, the wait begins anew."""
    host = stay("a")
    endless = Pile("a", ENDLESS)
    for now_s, hosts, model in [
        (0.0, 0, "a"),
        (50.0, 1, "a"),
        (70.0, 0, "a"),
        (129.0, 0, "a"),
        (131.0, 0, "b"),
    ]:
        assert host.next([endless, Pile("b", 0.1, hosts=hosts)], set(), LOAD_S, now_s).model == model
