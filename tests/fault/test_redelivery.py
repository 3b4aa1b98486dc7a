"""What Celery delivers again after its visibility timeout: refused while the work is in hand, cleaned up in
the end."""

import subprocess
import sys

from tasks.junk import all_junk
from tasks.ledger import keys
from tests.e2e.room import Room, wait_until

# The same worker, whose Celery waits two seconds instead of an hour before it delivers a message again.
IMPATIENT = """
from tasks.celery import app
from tasks.worker import work
app.conf.broker_transport_options.update(
    visibility_timeout=2, unacked_restore_interval=1, unacked_restore_throttle=1
)
raise SystemExit(work(loglevel="INFO"))
"""
# Records of unacknowledged messages that kombu cannot redeliver.
POISON = (
    b"hello",
    b"\xff\xfe",
    b"[]",
    b"[" * 50_000,
    b'["a", "b"]',
    b'[{}, "", ["a list"]]',
    b'[{"headers": {}, "properties": {"delivery_info": {}}}, "", "llmq.any"]',
    b'[{"__type__": "uuid", "__value__": 5}, "", "llmq.any"]',
)
# kombu drops these itself.
DROPPED = (b'[{"headers": {}, "properties": 5}, "", "llmq.any"]', b'["a", "b", {"c": 1}]')


def impatient(room: Room) -> "subprocess.Popen[bytes]":
    environ = {"LLMQ_FLEET": str(room.folder / "fleet.toml"), "LLMQ_HOST": "desk"}
    return room.up(sys.executable, "-c", IMPATIENT, log="worker-desk.log", **environ)


def nothing_left(room: Room) -> bool:
    """Celery holds no message any more."""
    client = room.redis()
    return not client.exists("unacked", "unacked_index", "llmq.any", "llmq.any.retry")


def test_a_bundle_in_hand_is_not_done_twice(room: Room) -> None:
    """Its message comes again and again while the engine answers; each time the claim refuses it."""
    sim = room.simulator("desk", "openai", service_s=2.5, slots=2)
    room.fleet({"desk": sim}, desk={"slots": 2})
    worker = impatient(room)
    asked = ("-p", "One?", "-p", "Two?", "-p", "Three?")
    assert room.llmq("submit", str(room.papers(1)), *asked, "--wait", timeout_s=60).returncode == 0
    wait_until(lambda: nothing_left(room), 15, "nothing is left")
    assert room.said("worker-desk.log").count("llmq.complete[") > 3, "it came again"
    assert "nothing to do" in room.said("worker-desk.log")
    calls = sim.calls()
    assert (calls["started"], calls["finished"]) == (3, 3)
    assert [row["success"] for row in room.results()] == [True] * 3
    assert worker.poll() is None


def test_what_dead_workers_left_is_cleaned_up(room: Room) -> None:
    """The messages a killed worker had are delivered again to no effect; what is no message at all is set
    aside and stops no sweep."""
    room.fleet({"desk": room.simulator("desk", "openai", service_s=1.0, slots=1)})
    killed = room.worker("desk")
    assert room.llmq("submit", str(room.papers(3)), "-p", "One?", "-p", "Two?").returncode == 0
    client = room.redis()
    (run,) = client.smembers(keys.OPEN)
    wait_until(lambda: client.llen(keys.done(run)) and client.hlen("unacked"), 20, "it is at work")
    killed.kill()
    killed.wait()
    assert client.hlen("unacked"), "it left something"
    for number, raw in enumerate((*POISON, *DROPPED)):
        client.hset("unacked", f"poison-{number}", raw)
        client.zadd("unacked_index", {f"poison-{number}": number})
    client.zadd("unacked_index", {"of no message": 1})
    worker = impatient(room)
    assert room.llmq("watch", run, timeout_s=60).returncode == 0
    wait_until(lambda: nothing_left(room), 15, "nothing is left")
    assert [row["success"] for row in room.results(run)] == [True] * 6
    assert client.llen(keys.done(run)) == 6
    assert len(all_junk(client)) == len(POISON)
    assert worker.poll() is None
