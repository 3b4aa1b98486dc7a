"""Joules from readings, and who gets them."""

import pytest

from worker_agent.meters.energy import HELD_S, Joules, Shares


def test_powers_are_added_by_the_trapezoid_rule():
    """From 10 W to 20 W in two seconds are 30 J."""
    joules = Joules()
    joules.power(100.0, 10.0)
    joules.power(102.0, 20.0)
    assert joules.at(102.0) == pytest.approx(30.0)


def test_the_last_power_holds_until_the_next_reading_but_not_for_ever():
    """A call that ends between two readings has its energy; a meter that fell silent adds no more."""
    joules = Joules()
    joules.power(0.0, 8.0)
    assert joules.at(0.5) == pytest.approx(4.0)
    assert joules.at(1000.0) == pytest.approx(8.0 * HELD_S)


def test_a_counter_counts_from_its_first_reading():
    """Whatever it had counted before is not ours; and one that began again loses nothing but a moment."""
    joules = Joules()
    assert joules.at(0.0) is None
    joules.counter(1.0, 5000.0)
    assert joules.at(1.0) == 0.0
    joules.counter(2.0, 5012.0)
    assert joules.at(2.0) == pytest.approx(12.0)
    joules.counter(3.0, 1.0)
    assert joules.at(3.0) == pytest.approx(12.0)
    joules.counter(4.0, 4.0)
    assert joules.at(4.0) == pytest.approx(15.0)


def test_what_is_used_while_nobody_looks_is_nobodys():
    """An hour of idling between two runs is on no call's bill."""
    for read in (Joules.counter, Joules.power):
        joules = Joules()
        read(joules, 0.0, 10.0)
        read(joules, 1.0, 20.0)
        before = joules.read_j
        joules.rest()
        read(joules, 3600.0, 9000.0)
        assert joules.read_j == pytest.approx(before)


def test_overlapping_calls_share_and_their_parts_add_up():
    """A alone 10 J, A and B 20 J, B alone 5 J: 20 and 15, together 35."""
    shares = Shares()
    shares.begin("a", 100.0)
    shares.begin("b", 110.0)
    a = shares.end("a", 130.0)
    b = shares.end("b", 135.0)
    assert (a, b) == (pytest.approx(20.0), pytest.approx(15.0))


def test_what_comes_while_nobody_runs_is_nobodys():
    """Between two calls the machine still uses power."""
    shares = Shares()
    shares.begin("a", 0.0)
    assert shares.end("a", 1.0) == pytest.approx(1.0)
    shares.settle(50.0)
    shares.begin("b", 60.0)
    assert shares.end("b", 62.0) == pytest.approx(2.0)


def test_many_calls_in_any_order_add_up():
    """The sum over calls is the total, whoever came and went when."""
    shares, total, parts = Shares(), 0.0, []
    running = []
    for step in range(200):
        total += 1.7
        if step % 3 or len(running) < 2:
            running.append(step)
            shares.begin(step, total)
        else:
            parts.append(shares.end(running.pop(step % len(running)), total))
    parts += [shares.end(key, total) for key in running]
    assert sum(parts) == pytest.approx(total - 1.7)
