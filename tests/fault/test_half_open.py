"""A network that forgets its connections and tells nobody: a worker finds its Redis again by itself."""

import subprocess
import time
from collections.abc import Iterator

import pytest

from tasks.ledger import keys
from tests.conftest import RedisServer
from tests.e2e.room import Room, Simulator, wait_until
from tests.fault.proxy import Proxy

GONE_S = 8.0  # shorter than a lease: nobody takes what the worker holds
BACK_S = 30.0
ITEMS = 16


@pytest.fixture
def network(redis_server: RedisServer) -> Iterator[Proxy]:
    """What lies between the worker and its Redis."""
    proxy = Proxy(redis_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def engine(room: Room) -> Simulator:
    """With one slot."""
    made = room.simulator("desk", "openai", service_s=0.3, slots=1)
    room.fleet({"desk": made})
    return made


@pytest.fixture
def worker(
    room: Room, redis_server: RedisServer, network: Proxy, engine: Simulator
) -> "subprocess.Popen[bytes]":
    """It reaches Redis through the network only."""
    url = redis_server.url.replace(f":{redis_server.port}/", f":{network.port}/")
    return room.worker("desk", LLMQ_REDIS_URL=url)


def outage(network: Proxy) -> None:
    """Every connection of before, or made meanwhile, stays dead; those made afterwards work."""
    network.set("cut")
    time.sleep(GONE_S)
    network.set("pass")


def submit(room: Room, prompts: int) -> str:
    """A run of so many items, each a bundle of its own."""
    asked = [word for n in range(prompts) for word in ("-p", f"Question {n}?")]
    answer = room.llmq("submit", *asked)
    assert answer.returncode == 0, answer.stderr
    return str(room.redis().zrange(keys.RUNS, -1, -1)[0])


def test_a_busy_worker_loses_nothing(
    room: Room, worker: "subprocess.Popen[bytes]", network: Proxy, engine: Simulator
) -> None:
    """The answers it had in hand land when the network is back, nothing is asked twice, and it hears of what
    comes later: work, and a cancelled run."""
    run, client = submit(room, ITEMS), room.redis()
    wait_until(lambda: client.llen(keys.done(run)) > 3, 20, "it is in the midst of it")
    outage(network)
    landed = client.llen(keys.done(run))
    assert landed < ITEMS / 2
    wait_until(lambda: client.llen(keys.done(run)) > landed + 3, BACK_S, "it goes on")
    wait_until(lambda: client.llen(keys.done(run)) == ITEMS, 30, "the run ends")
    assert engine.calls()["finished"] == ITEMS
    assert all(row["success"] for row in room.results(run))
    longer = submit(room, ITEMS)
    wait_until(lambda: client.llen(keys.done(longer)) > 1, 10, "it takes new work")
    assert room.llmq("cancel", longer).returncode == 0
    wait_until(lambda: engine.calls()["running"] == 0, 10, "it hears of the cancelled run")
    assert worker.poll() is None


def test_an_idle_worker_takes_work_again(
    room: Room, worker: "subprocess.Popen[bytes]", network: Proxy, engine: Simulator
) -> None:
    """Nothing told it that its connections are dead, and yet."""
    outage(network)
    run, client = submit(room, 1), room.redis()
    wait_until(lambda: client.llen(keys.done(run)) == 1, BACK_S, "it takes new work")
    wait_until(lambda: not client.hlen("unacked"), 10, "nothing is held back")
    assert engine.calls()["finished"] == 1
    assert worker.poll() is None
