"""How many bundles sit, and who may claim the next."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from queue import Queue
from threading import Thread

import pytest

from tasks.slots import Seat, Slots

SOON_S = 0.2


@contextmanager
def claiming(slots: Slots) -> Iterator["Queue[Seat | None]"]:
    """A thread that claims a seat and keeps it until the block ends."""
    seats: Queue[Seat | None] = Queue()
    leave: Queue[None] = Queue()

    def claim() -> None:
        with slots.seat() as seat:
            seats.put(seat)
            leave.get()

    thread = Thread(target=claim, daemon=True)
    thread.start()
    try:
        yield seats
    finally:
        leave.put(None)
        slots.wake()


def empty(seats: "Queue[Seat | None]") -> bool:
    """Nobody got a seat, given a moment."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - queue.Empty
        seats.get(timeout=SOON_S)
    return True


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def sitting(slots: Slots, stack: ExitStack) -> Seat:
    seat = stack.enter_context(claiming(slots)).get(timeout=2)
    assert seat
    assert slots.sit(seat, lambda: False)
    return seat


def test_no_more_sit_than_slots_and_one_prepares(stack: ExitStack) -> None:
    """With both slots busy nobody claims; once one bundle begins its last item, exactly one does, and
    it does not sit before that slot is free."""
    slots = Slots(2, lambda: 2)
    first = sitting(slots, stack)
    sitting(slots, stack)
    third = stack.enter_context(claiming(slots))
    assert empty(third)
    slots.ending(first)
    prepared = third.get(timeout=2)
    assert prepared
    assert slots.sitting == 2
    assert empty(stack.enter_context(claiming(slots)))


def test_the_limit_holds(stack: ExitStack) -> None:
    """A host on trial claims one, a host that is down none."""
    allowed = [1]
    slots = Slots(2, lambda: allowed[0])
    sitting(slots, stack)
    second = stack.enter_context(claiming(slots))
    assert empty(second)
    allowed[0] = 2
    slots.wake()
    assert second.get(timeout=2)


def test_seats_that_look_alike_are_two() -> None:
    """Whoever leaves takes its own seat, or a slot would be lost for ever."""
    slots = Slots(2, lambda: 2)
    with slots.seat() as first, ExitStack() as second:
        other = second.enter_context(slots.seat())
        assert first
        assert other
        slots.sit(first, lambda: False)
        slots.sit(other, lambda: False)
        second.close()
        slots.ending(first)
    assert slots.sitting == 0
    with slots.seat() as one, slots.seat() as two:
        assert one
        assert two


def test_a_closing_worker_claims_nothing(stack: ExitStack) -> None:
    """Who waits hears that the worker closes."""
    slots = Slots(1, lambda: 0)
    waiting = stack.enter_context(claiming(slots))
    slots.close()
    assert waiting.get(timeout=2) is None


def test_who_lost_the_bundle_does_not_sit(stack: ExitStack) -> None:
    """A bundle that was cancelled while it waited for a slot gives up."""
    slots = Slots(1, lambda: 1)
    first = sitting(slots, stack)
    slots.ending(first)
    seat = stack.enter_context(claiming(slots)).get(timeout=2)
    assert seat
    assert not slots.sit(seat, lambda: True)


def test_one_bundle_may_have_the_whole_host() -> None:
    """It waits until nobody sits; from its wish on nobody else begins or claims, nor wants the same; when it
    leaves, others do."""
    slots = Slots(2, lambda: 2)
    with ExitStack() as stack:
        sitting, alone = Queue[Seat](), Queue[bool]()
        first = stack.enter_context(slots.seat())
        assert first
        assert slots.sit(first, lambda: False)

        def want() -> None:
            with slots.seat() as seat:
                assert seat
                alone.put(slots.sit_alone(seat, lambda: False))
                sitting.put(seat)
                done.get()

        done: Queue[None] = Queue()
        thread = Thread(target=want, daemon=True)
        thread.start()
        with pytest.raises(Exception):  # noqa: B017, PT011 - queue.Empty
            alone.get(timeout=SOON_S)
        assert slots.reserved
        other = Seat()
        assert not slots.sit(other, lambda: False), "nobody else begins"
        assert not slots.sit_alone(other, lambda: False), "nor wants the same"
        slots.leave(first)
        assert alone.get(timeout=5)
        stack.close()
        with claiming(slots) as seats:
            assert empty(seats), "nobody claims while it is at work"
            done.put(None)
            thread.join(timeout=5)
            assert not slots.reserved
            assert seats.get(timeout=5)
