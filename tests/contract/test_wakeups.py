"""A worker that is late itself says so with its answers; what watches it rests while it is idle."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from tests.true_server import true_server
from worker_agent.completion import Limits, Request
from worker_agent.engines import Call
from worker_agent.engines.openai import OpenAI
from worker_agent.errors import CallCancelled
from worker_agent.wakeups import PAUSE_S, SLEEPER

WITHIN_S = 10.0


@contextmanager
def computing() -> Iterator[None]:
    """A thread of this process that holds Python's lock for some 10 ms at a time."""
    over = Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(500_000))

    thread = Thread(target=compute)
    thread.start()
    yield
    over.set()
    thread.join()


def late_ms(url: str, scene: str = "plain") -> float:
    answer = OpenAI(url).complete(Request(scene, "Why?"), Call(Limits(10, 10, 10)))
    assert answer.timing.wakeup_latency_ms is not None
    return answer.timing.wakeup_latency_ms


def test_who_waits_for_pythons_lock_says_so() -> None:
    """A thread beside the requests computes: no core is missing, and still they are late by milliseconds.
    Without it they are not, once this machine is quiet."""
    with true_server() as server:
        with computing():
            assert late_ms(server.url) > 1
        until = time.monotonic() + WITHIN_S
        while (found_ms := late_ms(server.url)) >= 1 and time.monotonic() < until:
            pass
        assert found_ms < 1


def test_nothing_wakes_while_no_request_runs() -> None:
    """The thread beside the requests rests after the last one, also where that failed."""
    with true_server() as server:
        engine = OpenAI(server.url)
        late_ms(server.url)
        call = Call()
        call.cancel()
        with pytest.raises(CallCancelled):
            engine.complete(Request("plain", "Why?"), call)
    until = time.monotonic() + WITHIN_S
    while True:
        before = SLEEPER.wakeups.number
        time.sleep(4 * PAUSE_S)
        if SLEEPER.wakeups.number == before or time.monotonic() > until:
            break
    assert SLEEPER.wakeups.number == before
