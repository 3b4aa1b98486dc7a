"""Requests go when they are due, as many at a time as asked, and end when told to."""

import threading
import time
from itertools import pairwise

import pytest

from tasks.bench.drive import Asked, Drive
from tests.nearest import nearest
from worker_agent.completion import Completion, Limits, Timing
from worker_agent.engines.dial import Call, clock
from worker_agent.errors import CallCancelled, EngineTimeout

DONE = Completion("x", "", "m", "stop", Timing("2026-01-01T00:00:00+00:00"))


def test_as_many_at_a_time_as_asked() -> None:
    """Never more, and that many as soon as there are so many left."""
    at_work, most, lock = 0, 0, threading.Lock()
    four = threading.Barrier(4)

    def ask(item: int, call: Call) -> Completion:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        four.wait(20)
        with lock:
            at_work -= 1
        return DONE

    asked = Drive(ask, Limits()).run(range(20), 4)
    assert most == 4
    assert sorted(one.item for one in asked) == list(range(20))
    assert [one.error for one in asked] == [None] * 20


def test_nobody_is_asked_before_it_is_due_and_delay_is_told() -> None:
    """With room, requests leave on time; one thread that is busy makes them late, and the schedule stays."""

    def with_room() -> list[Asked]:
        start = clock() + 0.05
        due = [start + 0.04 * number for number in range(10)]
        asked = Drive(lambda item, call: DONE, Limits()).run(range(10), 10, due)
        assert [one.due_at for one in sorted(asked, key=lambda one: one.item)] == due
        return asked

    delays = delays_s(nearest(with_room, lambda asked: max(delays_s(asked)), 0.029))
    assert all(0 <= delay < 0.03 for delay in delays)

    def slow(item: int, call: Call) -> Completion:
        time.sleep(0.06)
        return DONE

    start = clock()
    late = Drive(slow, Limits()).run(range(5), 1, [start + 0.01 * number for number in range(5)])
    assert all(later > earlier + 0.03 for earlier, later in pairwise(delays_s(late)))


def delays_s(asked: list[Asked]) -> list[float]:
    return [one.begun_at - (one.due_at or 0) for one in asked]


def test_a_failure_is_an_outcome_and_a_stop_ends_all() -> None:
    """An error is kept with its item; `stop` cancels calls and asks nobody else."""

    def fails(item: int, call: Call) -> Completion:
        if item % 2:
            raise EngineTimeout("silent")
        return DONE

    asked = Drive(fails, Limits()).run(range(4), 1)
    assert [type(one.error) for one in asked] == [type(None), EngineTimeout] * 2

    hanging: list[int] = []
    stopped_at: list[float] = []

    def hangs(item: int, call: Call) -> Completion:
        hanging.append(item)
        while not call.cancelled:
            time.sleep(0.005)
        raise CallCancelled("cancelled")

    drive = Drive(hangs, Limits())

    def stop() -> None:
        if len(hanging) == 3:
            stopped_at.append(time.monotonic())
            drive.stop()

    asked = drive.run(range(50), 3, look=stop)
    assert drive.stopped
    assert time.monotonic() - stopped_at[0] < 2
    assert [type(one.error) for one in asked] == [CallCancelled] * 3
    with pytest.raises(CallCancelled):
        raise asked[0].error or AssertionError
