"""A Redis that answers and takes no writes: no worker ends, and when it takes them again the run goes on."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.connection import Client
from tasks.ledger import keys
from tests.conftest import RedisServer
from tests.e2e.room import Room, wait_until

PAPERS, PROMPTS = 7, 2
ITEMS = PAPERS * PROMPTS
REFUSING_S = 3.0


def full(server: RedisServer) -> Callable[[], object]:
    """Its memory is used up, and nothing may be evicted."""
    server.client.config_set("maxmemory", 1)
    return lambda: server.client.config_set("maxmemory", 0)


def replica(server: RedisServer) -> Callable[[], object]:
    """Somebody made it a replica of a machine that is not there."""
    server.client.replicaof("127.0.0.1", 1)
    return lambda: server.client.replicaof("NO", "ONE")


def disk_gone(server: RedisServer) -> Callable[[], object]:
    """It cannot save, and says so to every write."""
    in_the_way = Path(server.folder) / "dump.rdb"
    in_the_way.mkdir()
    server.client.config_set("save", "3600 1")
    server.client.bgsave()
    wait_until(lambda: server.client.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "it fails")

    def again() -> None:
        in_the_way.rmdir()
        server.client.bgsave()

    return again


def refused(server: RedisServer) -> str:
    """What Redis says to a write."""
    try:
        server.client.set("probe", 1)
    except Exception as error:
        return str(error)
    return ""


def landing(client: Client, run: str, *, more_than: int) -> Callable[[], bool]:
    return lambda: client.llen(keys.done(run)) > more_than


@pytest.mark.parametrize(
    ("refuse", "says"), [(full, "maxmemory"), (replica, "read only"), (disk_gone, "MISCONF")]
)
def test_nothing_is_lost_while_redis_takes_no_writes(
    room: Room, redis_server: RedisServer, refuse: Callable[[RedisServer], Callable[[], object]], says: str
) -> None:
    """In the middle of a run Redis refuses every write for a while: to a worker that has answers to commit,
    and to one that wakes up then and takes a message. Both live through it in the same process, and every
    item ends with one result that was paid for once."""
    sims = [room.simulator(name, "openai", service_s=0.5, slots=1) for name in ("desk", "shelf")]
    room.fleet(dict(zip(("desk", "shelf"), sims, strict=True)))
    desk, shelf = [room.worker("desk"), room.worker("shelf")]
    shelf.send_signal(signal.SIGSTOP)
    asked = [word for n in range(PROMPTS) for word in ("-p", f"Question {n}?")]
    assert room.llmq("submit", str(room.papers(PAPERS)), *asked).returncode == 0
    client = room.redis()
    (run,) = client.smembers(keys.OPEN)
    wait_until(landing(client, run, more_than=2), 20, "the run is in its midst")
    again = refuse(redis_server)
    shelf.send_signal(signal.SIGCONT)
    assert says in refused(redis_server)
    landed = client.llen(keys.done(run))
    wait_until(lambda: says_why(room, "shelf"), 10, "the one that woke up meets the refusal")
    room.redis().client_kill_filter(_type="normal", skipme=True)  # and they connect again to such a Redis
    time.sleep(REFUSING_S)  # for whatever may break meanwhile
    assert client.llen(keys.done(run)) == landed < ITEMS, "nothing could land"
    again()
    wait_until(landing(client, run, more_than=landed), 15, "it goes on by itself")
    assert room.llmq("watch", run, timeout_s=60).returncode == 0
    assert [worker.poll() for worker in (desk, shelf)] == [None, None]
    assert len({row["item_id"] for row in room.results(run) if row["success"]}) == ITEMS
    assert client.llen(keys.done(run)) == ITEMS
    assert sum(sim.calls()["finished"] for sim in sims) == ITEMS, "no answer was paid for twice"
    assert all(sim.calls()["finished"] for sim in sims), "both worked"


def says_why(room: Room, host: str) -> bool:
    """Its consumer met the refusal: over a message it took, or over the question for one."""
    said = room.said(f"worker-{host}.log")
    return "no record of a message" in said or "Redis refuses the consumer" in said
