"""Who should do what next: what a free slot takes, refuses, and helps with."""

from dataclasses import replace

import pytest

from benchmarks.schedule_sim import cases, figures
from tasks.policy import Backlog, Held, Peer, Speed, choose

FAST = Speed(read_s=0.001, again_s=0.0001, write_s=0.01)  # 6,000 tokens, 200 of answer: 8 s, then 2.6 s
SLOW = Speed(read_s=0.02, again_s=0.002, write_s=0.2)  # twenty times slower
NEW, OURS, THEIRS = Peer("new", 1, None), Peer("slow", 1, SLOW), Peer("fast", 4, FAST)
NOTHING = Backlog(bundles=0, items=0, tokens=0, shortest=0, answer=200)


def backlog(bundles: int, *, shortest: int = 600) -> Backlog:
    """Bundles of five items about papers of 6,000 tokens on average."""
    return Backlog(bundles, bundles * 5, bundles * 6000, shortest, 200)


def held(number: int = 1, host: str = "slow", unstarted: int = 0, age_s: float = 0.0) -> Held:
    return Held(number, f"token-{number}", host, 6000, unstarted, age_s)


def test_a_host_that_does_not_know_its_speed_takes_the_shortest() -> None:
    """One short item tells how fast it is."""
    choice = choose(NEW, [THEIRS], backlog(10), [])
    assert choice.take
    assert choice.probe


def test_a_host_that_does_not_know_its_speed_helps_nobody() -> None:
    """It may be the slowest of all, and the work is in hand."""
    choice = choose(NEW, [OURS], NOTHING, [held(unstarted=4)])
    assert not choice.take
    assert not choice.help_


@pytest.mark.parametrize("bundles", [1, 1000])
def test_the_fastest_takes_the_longest(bundles: int) -> None:
    """However little is left: nobody would be done with it sooner."""
    choice = choose(THEIRS, [OURS], backlog(bundles), [])
    assert choice.take
    assert choice.most is None
    assert not choice.probe


def test_nearly_as_fast_is_fast_enough() -> None:
    """Equal hosts have measured different speeds; none of them leaves the last bundle to the others."""
    nearly = Speed(FAST.read_s * 1.8, FAST.again_s * 1.8, FAST.write_s * 1.8)
    choice = choose(Peer("near", 1, nearly), [THEIRS], backlog(1), [])
    assert choice.take
    assert choice.most is None


def test_alone_a_slow_host_takes_everything() -> None:
    """It is the fastest there is; peers of unknown speed count for nothing."""
    assert choose(OURS, [], backlog(3), []).most is None
    assert choose(OURS, [NEW], backlog(3), []).take


def test_a_slow_host_takes_what_ends_before_the_rest() -> None:
    """The longest it may take grows with what is due, and it would end within the time of all that is due."""
    little, much = (choose(OURS, [THEIRS], backlog(bundles), []) for bundles in (80, 120))
    assert little.take
    assert much.take
    assert little.most is not None
    assert much.most is not None
    assert 600 <= little.most < much.most
    fleet_s = 80 / (4 / FAST.bundle_s(6000, 5, 200) + 1 / SLOW.bundle_s(6000, 5, 200))
    assert SLOW.bundle_s(little.most, 5, 200) < fleet_s


def test_a_slow_host_begins_a_bundle_that_others_will_end() -> None:
    """No bundle ends in time with it, but an item of the shortest does; the rest is taken over."""
    choice = choose(OURS, [THEIRS], backlog(20), [])
    assert choice.take
    assert choice.probe


def test_a_slow_host_leaves_the_last_bundles_to_the_others() -> None:
    """Not even one item would end in time."""
    assert not choose(OURS, [THEIRS], backlog(2), []).take


def test_what_is_held_is_not_looked_at_while_something_is_due_for_us() -> None:
    """With a thousand hosts that would be most of the cost of a claim."""

    def never():
        raise AssertionError("asked for what is held")
        yield held()

    assert choose(THEIRS, [OURS], backlog(5), never()).take


def test_an_idle_host_helps_the_bundle_that_ends_last() -> None:
    """Three items wait at one slow host, one at another, none at a fast one."""
    bundles = [held(1, unstarted=1), held(2, unstarted=3), held(3, "fast")]
    assert [one.number for one in choose(THEIRS, [OURS], NOTHING, bundles).help_] == [2, 1]


def test_a_slow_host_does_not_help_a_fast_one() -> None:
    """Its holder would be done with the whole rest before."""
    assert not choose(OURS, [THEIRS], NOTHING, [held(host="fast", unstarted=4)]).help_


def test_hosts_alike_help_where_enough_is_left() -> None:
    """One more item is not worth reading the paper again; nine are."""
    alike = Peer("alike", 1, FAST)
    assert not choose(alike, [THEIRS], NOTHING, [held(host="fast", unstarted=1)]).help_
    assert choose(alike, [THEIRS], NOTHING, [held(host="fast", unstarted=9)]).help_


def test_a_fast_host_tries_what_a_slow_one_has_just_begun() -> None:
    """Nothing is unstarted: the running item itself ends sooner with us. Not if it is nearly done."""
    assert choose(THEIRS, [OURS], NOTHING, [held()]).help_
    assert not choose(THEIRS, [OURS], NOTHING, [held(age_s=150)]).help_


def test_an_item_that_runs_late_is_tried_by_a_host_as_fast() -> None:
    """Its holder may be dead, or hang: the longer it is silent, the longer it is thought to take."""
    alike = Peer("alike", 1, FAST)
    assert not choose(alike, [THEIRS], NOTHING, [held(host="fast", age_s=9)]).help_
    assert choose(alike, [THEIRS], NOTHING, [held(host="fast", age_s=30)]).help_


def test_a_long_answer_is_not_late() -> None:
    """What a prompt was answered before says how long it takes: 30 s are late for 200 tokens (8 s), and not
    for 3,000 (36 s)."""
    peer = Peer("other", 1, FAST)
    short, long = (replace(held(host="other", age_s=30.0), answer=length) for length in (200.0, 3000.0))
    assert choose(THEIRS, [peer], NOTHING, [short]).help_ == (short,)
    assert choose(THEIRS, [peer], NOTHING, [long]).help_ == ()


def test_prompts_that_take_long_are_helped_first() -> None:
    """Of two bundles with as much unbegun, the one whose prompts were answered at length ends last."""
    short, long = (replace(held(n, unstarted=2), rest=length) for n, length in ((1, 40.0), (2, 4000.0)))
    assert choose(THEIRS, [OURS], NOTHING, [short, long]).help_ == (long, short)


def test_a_holder_nobody_knows_is_helped_when_it_takes_longer_than_we_would() -> None:
    """It is gone, or has not answered anything yet."""
    assert not choose(THEIRS, [NEW], NOTHING, [held(host="new", age_s=5)]).help_
    assert choose(THEIRS, [NEW], NOTHING, [held(host="gone", age_s=30)]).help_


def test_a_slow_host_helps_while_what_is_due_is_not_for_it() -> None:
    """Two bundles are due that a fast host should take; meanwhile a still slower host's rest is worth it."""
    snail = Peer("snail", 1, Speed(0.4, 0.04, 4.0))
    choice = choose(OURS, [THEIRS, snail], backlog(2), [held(host="snail", unstarted=3)])
    assert not choice.take
    assert choice.help_


@pytest.mark.parametrize("case", ["five", "prefix", "two", "killed", "silent"])
def test_a_simulated_fleet_is_busy_to_the_end(case: str) -> None:
    """In virtual time: the bounds of benchmarks/schedule_sim.py, the small ones."""
    assert [figure.line() for figure in figures(cases()[case], seeds=5) if not figure.held] == []
