"""A worker beside its engine on another machine, and the two doors a worker comes through."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.conftest import free_port
from tests.e2e.room import CELERY, LLMQ, Room, wait_until
from worker_agent.machine import hostname

MASTER = "127.0.0.2"  # stands for another machine: nothing of the peer listens there
SECRET = "only-for-tests"
WIRES = {11434: "ollama", 1234: "lm_studio", 8080: "openai", 8000: "openai"}


@pytest.fixture
def master_url(needs_redis: str, tmp_path: Path) -> Iterator[str]:
    """A Redis with a password on another address, as the README says to start it for peers."""
    try:
        with socket.socket() as probe:
            probe.bind((MASTER, 0))
    except OSError:
        pytest.skip(f"{MASTER} is no address of this machine")
    folder = tmp_path / "master"
    folder.mkdir()
    url = f"redis://:{SECRET}@{MASTER}:{(port := free_port())}/0"
    flags = ["--bind", MASTER, "--requirepass", SECRET, "--appendonly", "yes", "--dir", str(folder)]
    command = [needs_redis, "--port", str(port), "--maxmemory-policy", "noeviction", *flags]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log) as server:
        client = redis.Redis.from_url(url)
        wait_until(lambda: _answers(client), 20, "the master's Redis answers")
        yield url
        server.kill()


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def free_engine_port() -> int:
    """A port where a worker looks for an engine, and nobody is."""
    for port in WIRES:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.skip(f"the ports {', '.join(map(str, WIRES))} are all taken")


def seen_by_celery(room: Room) -> dict[str, Any]:
    """Each node, its threads and its queues, as Celery itself reports them."""
    inspect = Celery(broker=room.environ["LLMQ_REDIS_URL"]).control.inspect(timeout=3, limit=1)
    threads = {node: stats["pool"]["max-concurrency"] for node, stats in inspect.stats().items()}
    queues = {node: [queue["name"] for queue in found] for node, found in inspect.active_queues().items()}
    return {node: (threads[node], sorted(queues[node])) for node in threads}


def stop(worker: "subprocess.Popen[bytes]") -> None:
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


def test_a_peer_without_configuration_works_for_a_master_elsewhere(
    room: Room, master_url: str, engine_ports: None
) -> None:
    """`llmq worker` with nothing but LLMQ_REDIS_URL finds the engine of its own machine, takes the machine's
    name, and answers what the master submits."""
    port = free_engine_port()
    sim = room.simulator("engine", WIRES[port], port=port, slots=2, service_s=0.1)
    peer = room.folder / "peer"
    peer.mkdir()
    room.environ |= {"LLMQ_REDIS_URL": master_url}
    worker = room.up(LLMQ, "worker", log="peer.log", LLMQ_HOME=str(peer))
    papers = room.papers(4)
    done = room.llmq("submit", str(papers), "--preset", "summary", "--wait", "-o", "out.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((room.folder / "out.json").read_text())["results"]
    assert {(row["host"], row["success"], row["simulated"]) for row in rows} == {(hostname(), True, True)}
    assert len(rows) == sim.calls()["started"] == 12
    assert SECRET not in room.said("peer.log")
    stop(worker)
    assert room.status()["hosts"] == []


def test_both_doors_bring_up_the_same_worker(room: Room) -> None:
    """`celery -A tasks worker` with variables and `llmq worker` with flags: the same host record, node,
    threads and queues."""
    room.fleet({"mac": room.simulator("mac", "lm_studio", slots=3), "pi": "http://127.0.0.1:9"})
    doors = {
        "celery": [*CELERY, "worker", "--loglevel", "INFO"],
        "llmq": [LLMQ, "worker", "--fleet", "fleet.toml", "--host", "mac"],
    }
    seen = {}
    for door, command in doors.items():
        which = {"LLMQ_FLEET": "fleet.toml", "LLMQ_HOST": "mac"} if door == "celery" else {}
        worker = room.up(*command, log=f"{door}.log", **which)
        record = wait_until(lambda: room.record("mac"), 5, "there is a host record")
        own = {key: record[key] for key in record.keys() - {"pid", "incarnation", "beat"}}
        seen[door] = (own, seen_by_celery(room))
        assert record["pid"] == worker.pid
        stop(worker)
    assert seen["celery"] == seen["llmq"]
    own, nodes = seen["llmq"]
    queues = ["llmq.any", "llmq.host.mac", "llmq.model.sim-8b"]
    assert (own["slots"], own["queues"]) == (3, ["llmq.host.mac", "llmq.model.sim-8b", "llmq.any"])
    assert nodes == {f"mac@{hostname()}": (4, sorted([*queues, *(q + ".retry" for q in queues)]))}


def test_celerys_own_options_mean_what_they_say(room: Room) -> None:
    """`-c` sets the slots, `-Q` consumes those queues only (each behind its retry queue), `-n` names the
    node and not the host; the engine's return changes none of it."""
    sim = room.simulator("box", "openai", slots=8, service_s=1.0)
    room.fleet({"box": sim})
    command = [LLMQ, "worker", "--fleet", "fleet.toml", "--host", "box"]
    room.up(*command, "-c", "3", "-Q", "llmq.model.sim-8b", "-n", "left@shelf", log="w.log")
    wanted = {"left@shelf": (4, ["llmq.model.sim-8b", "llmq.model.sim-8b.retry"])}
    assert seen_by_celery(room) == wanted
    assert (room.record("box")["slots"], room.record("box")["queues"]) == (3, ["llmq.model.sim-8b"])
    sim.fault("500", count=4)
    asked = [arg for n in range(7) for arg in ("-p", f"Question {n}?")]
    done = room.llmq("submit", *asked, "--model", "sim-8b", "--wait")
    assert done.returncode == 0, done.stderr
    assert "the engine answers again" in room.said("w.log")
    assert sim.calls()["max_running"] == 3
    assert seen_by_celery(room) == wanted
    room.llmq("submit", "-p", "Anybody?")
    assert room.status()["waiting_for"] == ["llmq.any"]


def test_one_host_has_one_worker(room: Room) -> None:
    """While a host is served, another worker for it is refused in one line, and the first goes on."""
    room.fleet({"box": room.simulator("box", "openai")})
    first = room.worker("box")
    for command in (["worker", "--fleet", "fleet.toml", "--host", "box"],):
        second = room.llmq(*command)
        assert (second.returncode, second.stdout) == (2, "")
        said = second.stderr.strip()
        assert "'box' already has a live worker" in said
        assert str(first.pid) in said
        assert len(said.splitlines()) == 1
    assert room.llmq("submit", "-p", "Why?", "--wait").returncode == 0


def test_an_unconfigured_machine_serves_its_engine_once(room: Room, engine_ports: None) -> None:
    """A second `llmq worker` on the same machine would ask the same engine for twice its slots: it is
    refused, too."""
    port = free_engine_port()
    room.simulator("engine", WIRES[port], port=port)
    room.up(LLMQ, "worker", log="peer.log")
    second = room.llmq("worker")
    assert second.returncode == 2, second.stderr
    assert f"'{hostname()}' already has a live worker" in second.stderr


def test_a_killed_worker_is_succeeded_at_once(room: Room) -> None:
    """After SIGKILL the next worker on the machine does not wait for the dead one's record to end, and
    goes on with what that one held."""
    sim = room.simulator("box", "openai", service_s=1.0)
    room.fleet({"box": sim})
    first = room.worker("box")
    assert room.llmq("submit", "-p", "Why?").returncode == 0
    wait_until(lambda: sim.calls()["running"] == 1, 10, "it is at work")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    started = time.monotonic()
    room.worker("box")
    wait_until(lambda: room.status()["state"] == "done", 14, "the run ends")
    assert time.monotonic() - started < 14, "sooner than lease and record end by themselves"
    assert room.results()[0]["success"]
