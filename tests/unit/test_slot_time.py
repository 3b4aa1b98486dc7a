"""Where a run's time goes, from calls whose times are known."""

import pytest

from benchmarks.room import Machine, ideal_s
from benchmarks.slot_time import (
    BETWEEN,
    INSIDE,
    REFUSED,
    SLOWER,
    START,
    TAIL,
    VAIN,
    WHAT,
    WORK,
    Called,
    losses,
    pauses_ms,
    spent,
)

FLEET = (Machine("fast", 1.0, 1), Machine("slow", 4.0, 1))
CALLS = [
    Called("r-0-0", "fast", 0, 0.0, 1.0),
    Called("r-0-1", "fast", 0, 1.1, 2.1),  # a pause in a paper
    Called("r-1-0", "fast", 0, 2.2, 3.2),  # between two papers
    Called("r-2-0", "slow", 0, 0.5, 4.5),  # half a second before it began
    Called("r-2-1", "fast", 0, 3.7, 4.9),  # idle for half a second, and a fifth too slow
    Called("r-1-1", "slow", 0, 4.5, 6.0, "cancelled"),
    Called("r-1-1", "fast", 0, 5.0, 6.0),
]


def test_every_second_of_every_slot_has_its_cause() -> None:
    """Pauses, waits, slow and needless calls, and idleness at the end are told apart, and lose nothing."""
    seconds = dict.fromkeys(WHAT, 0.0)
    for part in spent(FLEET, CALLS, 0.0, 6.5):
        seconds[part.what] += part.seconds
    assert seconds == pytest.approx(
        {WORK: 9.0, SLOWER: 0.2, VAIN: 1.5, START: 0.5, INSIDE: 0.1, BETWEEN: 0.2, REFUSED: 0.5, TAIL: 1.0}
    )


def test_losses_explain_the_makespan() -> None:
    """Each in percent of the ideal: together they are what the makespan is over it."""
    lost = losses(FLEET, spent(FLEET, CALLS, 0.0, 6.5), 6)
    assert 1 + sum(lost.values()) / 100 == pytest.approx(6.5 / ideal_s(FLEET, 6))
    assert lost[VAIN] == pytest.approx(100 * 1.5 / 4 / 6), "a second of the slow host counts a quarter"


def test_pauses_are_those_of_one_slot() -> None:
    """In the order of its calls."""
    assert pauses_ms(CALLS, "slow") == pytest.approx([0.0])
    assert pauses_ms(CALLS, "fast") == pytest.approx([100.0, 100.0, 500.0, 100.0])
