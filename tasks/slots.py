"""A host's slots: how many bundles run at a time, and who may claim the next one.

As many bundles sit as the host has slots, never more, because engines queue silently. One more may
be claimed and prepared once a sitting bundle has begun its last item, so that no slot idles between
two bundles.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

LOOK_AGAIN_S = 1.0


@dataclass(slots=True, eq=False)  # two seats that look alike are two
class Seat:
    """One bundle's place: claimed, then sitting, then on its last item."""

    sitting: bool = False
    ending: bool = False


class Slots:
    """`limit()` says how many bundles may be claimed now: all slots, one (a trial after a failure)
    or none (breaker open, drained); it is asked again every second."""

    def __init__(self, slots: int, limit: Callable[[], int]) -> None:
        self.slots = slots
        self._limit = limit
        self._seats: list[Seat] = []
        self._changed = Condition()
        self._closed = False
        self._whole: Seat | None = None  # it has all slots, or waits for them

    @property
    def reserved(self) -> bool:
        """One bundle has, or waits for, the whole host: nobody else may begin."""
        return self._whole is not None

    @property
    def sitting(self) -> int:
        """Bundles that hold a slot now."""
        return sum(seat.sitting for seat in self._seats)

    @property
    def full(self) -> bool:
        """Every slot has its bundle."""
        return self.sitting >= self.slots

    def rest(self, for_s: float) -> None:
        """Do nothing for so long, or until something changes."""
        with self._changed:
            if not self._closed:
                self._changed.wait(for_s)

    @property
    def taken(self) -> int:
        """Bundles that have a place; whoever lowers `limit` to none and then asks hears of every one that
        may still be claimed."""
        with self._changed:
            return len(self._seats)

    @contextmanager
    def seat(self) -> Iterator[Seat | None]:
        """Wait until one more bundle may be claimed. None: the worker closes."""
        seat = Seat()
        with self._changed:
            while not self._closed and not self._may_claim():
                self._changed.wait(LOOK_AGAIN_S)
            if not self._closed:
                self._seats.append(seat)
        try:
            yield None if self._closed else seat
        finally:
            with self._changed:
                if seat in self._seats:
                    self._seats.remove(seat)
                if self._whole is seat:
                    self._whole = None
                self._changed.notify_all()

    def sit(self, seat: Seat, given_up: Callable[[], bool]) -> bool:
        """Wait for a free slot. False: `given_up` says the bundle is no longer ours, or another has the whole
        host."""
        with self._changed:
            while self.sitting >= self.slots and not self._lost(given_up):
                self._changed.wait(LOOK_AGAIN_S)
            seat.sitting = not self._lost(given_up)
            return seat.sitting

    def sit_alone(self, seat: Seat, given_up: Callable[[], bool]) -> bool:
        """Have the whole host: from now on nobody else may begin; wait until nobody sits. False: another has
        or wants the same, or as `sit`."""
        with self._changed:
            if self._lost(given_up):
                return False
            self._whole = seat
            self._changed.notify_all()
            while self.sitting and not self._closed and not given_up():
                self._changed.wait(LOOK_AGAIN_S)
            seat.sitting = not self._closed and not given_up()
            return seat.sitting

    def _lost(self, given_up: Callable[[], bool]) -> bool:
        return self._closed or self._whole is not None or given_up()

    def ending(self, seat: Seat) -> None:
        """The bundle has begun its last item."""
        with self._changed:
            seat.ending = True
            self._changed.notify_all()

    def leave(self, seat: Seat) -> None:
        """The engine has answered the bundle's last item: the next may sit while that answer is committed."""
        with self._changed:
            seat.sitting = False
            self._changed.notify_all()

    def wake(self) -> None:
        """Something that `limit` or `given_up` depends on has changed."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody claims any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _may_claim(self) -> bool:
        if self._whole:
            return False
        limit = min(self._limit(), self.slots)
        spare = 1 if limit == self.slots and any(s.ending and s.sitting for s in self._seats) else 0
        return len(self._seats) < limit + spare
