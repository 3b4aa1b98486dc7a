"""Slots: order, caches, and that a client that leaves takes nothing with it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from worker_agent.simulator.line import ClientGone, Line
from worker_agent.simulator.slots import Slots, common_prefix


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a connection, without a network."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_slot_that_holds_the_paper_is_taken_first(pair: tuple[socket.socket, socket.socket]) -> None:
    """Two papers on two slots keep their caches, whatever the order of the prompts."""
    slots, line = Slots(2), Line(pair[0])
    for paper in ("aaaa" * 50, "bbbb" * 50):
        with slots.take(paper, line) as slot:
            slot.held = paper
    for paper in ("bbbb" * 50, "aaaa" * 50, "bbbb" * 50):
        with slots.take(paper + " and a question", line) as slot:
            assert slot.held == paper


def test_without_a_likely_slot_the_least_recently_used_is_taken(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """As in llama.cpp."""
    slots, line = Slots(2), Line(pair[0])
    for paper in ("a", "b"):
        with slots.take(paper, line) as slot:
            slot.held = paper
    with slots.take("something else", line) as slot:
        assert slot.held == "a"


def test_a_client_that_hangs_up_leaves_the_queue(pair: tuple[socket.socket, socket.socket]) -> None:
    """The slot goes to the next one, and the counters say what happened."""
    ours, theirs = pair
    slots = Slots(1)
    gone = threading.Event()

    def wait_in_vain() -> None:
        with pytest.raises(ClientGone), slots.take("second", Line(ours)):
            pass
        gone.set()

    with slots.take("first", Line(ours)):
        thread = threading.Thread(target=wait_in_vain)
        thread.start()
        theirs.close()
        assert gone.wait(5)
        thread.join()
    calls = slots.count_calls()
    assert (calls["started"], calls["finished"], calls["cancelled"]) == (1, 1, 1)
    assert (calls["running"], calls["waiting"], calls["max_running"]) == (0, 0, 1)


def test_a_failure_gives_the_slot_back(pair: tuple[socket.socket, socket.socket]) -> None:
    """Otherwise the engine would be dead after its first fault."""
    slots, line = Slots(1), Line(pair[0])
    with pytest.raises(ZeroDivisionError), slots.take("x", line):
        raise ZeroDivisionError
    with slots.take("y", line):
        pass
    assert slots.count_calls()["failed"] == 1
    assert slots.count_calls()["finished"] == 1


def test_bytes_of_a_next_request_are_no_hang_up(pair: tuple[socket.socket, socket.socket]) -> None:
    """A client may already send more on the same connection."""
    ours, theirs = pair
    theirs.send(b"GET / HTTP/1.1\r\n")
    Line(ours).wait_until(0.0)
    slots = Slots(1)
    with slots.take("x", Line(ours)):
        pass
    assert slots.count_calls()["finished"] == 1


@pytest.mark.parametrize(
    ("a", "b", "common"), [("", "x", ""), ("abc", "abd", "ab"), ("ab", "abab", "ab"), ("xa", "ya", "")]
)
def test_common_prefix(a: str, b: str, common: str) -> None:
    """What both begin with."""
    assert common_prefix(a, b) == common
