"""Stop and go of workers: paused and resumed by hand, told to stop twice, woken when another has their place,
killed while papers are still being read."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.connection import connect
from tasks.fleet import workers
from tasks.ledger import keys
from tasks.settings import read_settings
from tests.conftest import free_port
from tests.e2e.room import LLMQ, Room, Simulator, wait_until
from worker_agent.config import read_fleet

TWO = ("-p", "Why?", "-p", "How?")


def one_host(room: Room, service_s: float, host_id: str = "imac") -> Simulator:
    sim = room.simulator(host_id, "openai", slots=2, service_s=service_s)
    room.fleet({host_id: sim}, **{host_id: {"slots": 2}})
    return sim


def running(sim: Simulator, count: int) -> None:
    wait_until(lambda: sim.calls()["running"] == count, 15, f"{count} requests run")


def held(room: Room, host_id: str = "imac") -> set[str]:
    return set(room.redis().smembers(keys.held(host_id)))


def all_answered(room: Room, items: int) -> None:
    wait_until(lambda: room.status()["state"] == "done", 60, "the run ends")
    rows = room.results()
    assert len(rows) == len({row["item_id"] for row in rows}) == items
    assert all(row["success"] for row in rows)


def test_a_paused_host_ends_its_items_and_takes_no_more_until_it_is_resumed(room: Room) -> None:
    """`llmq worker --pause` on the machine itself: what runs is answered, the rest is given back at once, and
    no request is cut; a restart changes nothing; status says why the work waits; --resume goes on."""
    sim = one_host(room, service_s=1.2)
    worker = room.worker("imac")
    assert room.llmq("submit", str(room.papers(2)), *TWO, "-p", "When?", "-p", "Where?").returncode == 0
    running(sim, 2)

    with sim.still():
        asked = room.start(LLMQ, "worker", "--pause", log="pause.log")
        wait_until(lambda: room.redis().sismember(keys.DRAINED, "imac"), 10, "it is said")
        wait_until(lambda: room.record("imac")["drained"], 1, "the worker hears of it within a second")
    assert asked.wait(20) == 0, room.said("pause.log")
    assert "imac is paused and holds nothing; llmq worker --resume takes work again" in room.said("pause.log")
    assert held(room) == set()
    calls = sim.calls()
    assert (calls["running"], calls["finished"]) == (0, calls["started"])
    assert calls["started"] < 8, "of the two bundles at work, the rest was given back"

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    followed = room.said("worker-imac.log").count(" succeeded in ")
    room.worker("imac")
    again = json.loads(room.llmq("worker", "--pause", "--json").stdout)
    assert again == {"host": "imac", "paused": True, "holds_nothing": True, "shut": False}
    said = room.llmq("status").stdout
    assert "slots at work, paused" in said
    assert "waiting for a host that serves any model" in said
    assert "imac is paused" in said
    wait_until(lambda: room.record("imac")["beat"] >= 2, 15, "it had time to claim")
    assert sim.calls()["started"] == calls["started"]
    assert room.said("worker-imac.log").count(" succeeded in ") == followed, "no invitation was followed"

    resumed = room.llmq("worker", "--resume")
    assert (resumed.returncode, resumed.stdout) == (0, "imac takes work again\n")
    wait_until(lambda: sim.calls()["running"] == 2, 3, "it takes work again at once")
    all_answered(room, 8)
    assert sim.calls()["started"] == 8, "nothing ran twice"


def test_a_pause_that_waited_long_enough_shuts_what_runs(room: Room) -> None:
    """After --wait the running requests are shut and given back, so that the lid can be closed; another host
    answers them."""
    slow = one_host(room, service_s=60)
    room.worker("imac")
    assert room.llmq("submit", str(room.papers(3)), *TWO).returncode == 0
    running(slow, 2)
    start = time.monotonic()
    paused = room.llmq("worker", "--pause", "--host", "imac", "--wait", "1")
    assert paused.returncode == 0, paused.stderr
    assert time.monotonic() - start < 8
    assert "imac still works after 1 s: its requests are shut and given back" in paused.stderr
    assert "imac is paused and holds nothing; llmq worker --resume --host imac" in paused.stdout
    assert held(room) == set()
    wait_until(lambda: slow.calls()["running"] == 0, 2, "the engine's slots are free")
    one_host(room, service_s=0.1, host_id="pi")
    room.worker("pi")
    all_answered(room, 6)
    assert {row["host"] for row in room.results()} == {"pi"}


def test_which_host_to_pause(room: Room) -> None:
    """Several workers on this machine, none, a host nobody knows: exit 2, and a list. No Redis: exit 3."""
    nobody = room.llmq("worker", "--pause")
    assert (nobody.returncode, "on this machine: none" in nobody.stderr) == (2, True)
    sims = {name: room.simulator(name, "openai") for name in ("imac", "pi")}
    room.fleet(dict(sims))
    for name in sims:
        room.worker(name)
    both = room.llmq("worker", "--pause")
    assert (both.returncode, "imac, pi; say which with --host" in both.stderr) == (2, True)
    unknown = room.llmq("worker", "--pause", "--host", "mac")
    assert (unknown.returncode, "no live or paused host 'mac'; there is imac, pi" in unknown.stderr) == (
        2,
        True,
    )
    assert room.llmq("worker", "--pause", "--resume").returncode == 2
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    assert room.llmq("worker", "--pause", LLMQ_REDIS_URL=nowhere).returncode == 3
    assert room.redis().smembers(keys.DRAINED) == set()
    assert room.llmq("worker", "--pause", "--host", "pi").returncode == 0
    assert "-> paused; `llmq worker --resume --host pi`" in room.llmq("doctor").stdout
    assert room.llmq("worker", "--resume").stdout == "pi takes work again\n", "of two hosts, the paused one"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_grace(room: Room, number: signal.Signals) -> None:
    """The first lets requests run on; the second shuts them, gives the bundles back and ends the worker."""
    sim = one_host(room, service_s=60)
    worker = room.worker("imac")
    assert room.llmq("submit", str(room.papers(3)), *TWO).returncode == 0
    running(sim, 2)
    worker.send_signal(number)
    wait_until(lambda: "Warm shutdown" in room.said("worker-imac.log"), 5, "the first is heard")
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(3)
    assert sim.calls()["running"] == 2
    worker.send_signal(number)
    start = time.monotonic()
    assert worker.wait(5) == 0
    took_s = time.monotonic() - start
    assert took_s < 3
    assert held(room) == set()
    assert room.status()["hosts"] == []
    wait_until(lambda: sim.calls()["running"] == 0, 2, "the engine's slots are free")


def test_a_second_signal_waits_for_no_thread(room: Room) -> None:
    """A request that nobody can shut, as of an engine that loads a model, does not keep the worker."""
    sim = room.simulator("imac", "lm_studio", slots=1, load_s=60.0)
    room.fleet({"imac": sim})
    worker = room.worker("imac")
    assert room.llmq("submit", str(room.papers(1)), *TWO).returncode == 0
    wait_until(lambda: held(room), 15, "a bundle waits for the model")
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in room.said("worker-imac.log"), 5, "the first is heard")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(8) == 0
    assert "ends without a thread that does not answer" in room.said("worker-imac.log")
    assert held(room) == set()
    assert room.record("imac") == {}


def test_a_worker_that_wakes_up_leaves_the_host_to_the_newcomer(room: Room) -> None:
    """Frozen for longer than its record lives, while another worker entered as the same host: it gives its
    work back and stops with an error; the newcomer stays and ends the run."""
    sim = one_host(room, service_s=0.7)
    frozen = room.worker("imac")
    assert room.llmq("submit", str(room.papers(6)), *TWO).returncode == 0
    running(sim, 2)
    frozen.send_signal(signal.SIGSTOP)
    room.redis().delete(keys.host("imac"))  # its time to live has passed
    newcomer = room.worker("imac")
    mine = room.record("imac")["incarnation"]
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(15) == 1
    assert f"host 'imac' has another worker now (process {newcomer.pid}" in room.said("worker-imac.log")
    assert room.record("imac")["incarnation"] == mine
    all_answered(room, 12)
    assert newcomer.poll() is None


STUCK = """
import sys, time
import tasks.ask, tasks.lease, tasks.settings
tasks.lease.BETWEEN_CALLS_S, tasks.settings.LEAST_LEASE_S = 1.0, 0.0
tasks.ask.answer = lambda *_: time.sleep(600)
from tasks.worker import work
sys.exit(work(loglevel="INFO"))
"""


def test_a_stuck_slot_keeps_neither_its_bundle_nor_its_worker(room: Room) -> None:
    """A thread that shows no progress loses its bundle to another host, while the worker lives on; where all
    slots are stuck, the worker ends with an error, so that whoever watches over it starts another."""
    sims = {name: room.simulator(name, "openai") for name in ("imac", "pi")}
    room.fleet(dict(sims), imac={"slots": 2})
    which = {"LLMQ_FLEET": str(room.folder / "fleet.toml"), "LLMQ_HOST": "imac", "LLMQ_LEASE_S": "2"}
    stuck = room.up(sys.executable, "-c", STUCK, log="worker-imac.log", **which)
    assert room.llmq("submit", str(room.papers(1)), *TWO).returncode == 0
    wait_until(lambda: held(room), 10, "the slot is stuck")
    room.worker("pi")
    all_answered(room, 2)
    assert stuck.poll() is None

    assert room.llmq("worker", "--pause", "--host", "pi").returncode == 0
    assert room.llmq("submit", "-p", "When?").returncode == 0
    assert stuck.wait(20) == 1
    assert "every slot of imac is stuck" in room.said("worker-imac.log")
    assert room.llmq("worker", "--resume", "--host", "pi").returncode == 0
    all_answered(room, 1)


def test_a_host_gets_another_worker_whatever_its_master_is_doing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies is replaced while the block that owns it is busy with something else."""

    def ready() -> int:
        return room.said("home/logs/worker-imac.log").count(" ready.")

    one_host(room, service_s=0.1)
    monkeypatch.setenv("LLMQ_REDIS_URL", room.environ["LLMQ_REDIS_URL"])
    monkeypatch.setenv("LLMQ_HOME", str(room.folder / "home"))
    client = connect(room.environ["LLMQ_REDIS_URL"])
    with workers(read_fleet(Path(room.folder / "fleet.toml")), client, read_settings()) as fleet:
        fleet.wait_up(client)
        wait_until(lambda: ready() == 1, 10, "it is up")
        first = room.record("imac")["pid"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: room.record("imac").get("pid", first) != first, 25, "another worker")
        wait_until(lambda: ready() == 2, 10, "it is up")
    assert fleet.workers["imac"].ended
    assert room.record("imac") == {}
