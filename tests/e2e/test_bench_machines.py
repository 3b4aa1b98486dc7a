"""Engines that share a machine are measured one after the other, those of other machines at the same time.

The engines here answer like real ones: of simulated ones, a machine may stand for many."""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest

from tests.e2e.room import LLMQ, Room, wait_until
from tests.true_server import TrueServer, true_server

BENCH = (LLMQ, "bench", "--fleet", "fleet.toml", "--model", "short")  # 0.34 s an answer
CELLS = ("--concurrency", "1,2", "--warmup", "0")
ELSEWHERE = "127.0.0.2"  # which counts as another machine

Engines = dict[str, TrueServer]


@pytest.fixture
def engines(room: Room) -> Iterator[Engines]:
    """Two engines of one machine."""
    with ExitStack() as stack:
        found = {host: stack.enter_context(true_server()) for host in ("lm", "ollama")}
        room.fleet({host: server.url for host, server in found.items()})
        yield found


def cells(engines: Engines) -> list[tuple[float, float, str]]:
    """When each cell's first request came and its last answer was out, and whose it is, in time."""
    spans: dict[str, tuple[float, float, str]] = {}
    for host, server in engines.items():
        for item, truth in server.truths.items():
            cell = item.rpartition("-")[0]
            first, last, _ = spans.get(cell, (truth.received, truth.ended, host))
            spans[cell] = (min(first, truth.received), max(last, truth.ended), host)
    return sorted(spans.values())


def overlaps(spans: list[tuple[float, float, str]]) -> int:
    return sum(later[0] < earlier[1] for earlier, later in pairwise(spans))


def bench(room: Room, *args: str) -> str:
    """What it says on the terminal."""
    done = room.llmq(*BENCH[1:], *CELLS, *(args or ("--requests", "5")))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_they_take_turns_and_say_so(room: Room, engines: Engines) -> None:
    """No request of one begins before the other's cell has ended, and none has two cells in a row. How long
    it will still take, by a line every 10 s, is the time of both together."""
    said = bench(room, "--requests", "12")
    found = cells(engines)
    assert [host for _, _, host in found] in (["lm", "ollama"] * 2, ["ollama", "lm"] * 2)
    assert overlaps(found) == 0
    assert "lm and ollama share a machine, so they take turns (--shared: they do not)" in said
    left = re.search(r"/52 items · (about|at least) (\d+) s left", said)
    assert left, said
    assert 3 <= int(left[2]) <= 16, "half of 4 x 13 requests of 0.34 s, in part two at a time"


def test_shared_measures_them_side_by_side(room: Room, engines: Engines) -> None:
    """As it is asked, and nothing is said of turns."""
    said = bench(room, "--shared", "--requests", "5")
    assert len(cells(engines)) == 4
    assert overlaps(cells(engines)) > 0
    assert "take turns" not in said


@pytest.mark.skipif(sys.platform != "linux", reason=f"{ELSEWHERE} is there on Linux alone")
def test_other_machines_go_on_at_the_same_time(room: Room) -> None:
    """Two of one machine take turns, and a third of another is measured beside them."""
    with true_server() as lm, true_server() as ollama, true_server(ELSEWHERE) as pi:
        room.fleet({"lm": lm.url, "ollama": ollama.url, "pi": pi.url})
        said = bench(room)
        together = {"lm": lm, "ollama": ollama}
        assert overlaps(cells(together)) == 0
        assert overlaps(cells(together | {"pi": pi})) > 0
        assert "lm and ollama share a machine" in said


def test_a_killed_worker_frees_its_machine(room: Room, engines: Engines) -> None:
    """When its lease ends the other host's cells go on; the same benchmark is finished."""
    room.environ["LLMQ_LEASE_S"] = "10"
    workers = {host: room.worker(host) for host in engines}
    child = room.start(*BENCH, *CELLS, "--requests", "5", log="bench.log")
    wait_until(lambda: cells(engines), 40, "a cell is at work")
    (_, _, first), *_ = cells(engines)
    other = engines[next(host for host in engines if host != first)]
    workers[first].kill()
    workers[first].wait()
    assert not other.truths
    wait_until(lambda: other.truths, 10 + 9, "the other has the machine")
    assert child.wait(timeout=90) == 0, room.said("bench.log")
    assert len([truth for truth in other.truths.values() if truth.ended]) == 12
