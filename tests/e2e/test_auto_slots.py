"""`slots = "auto"`, with real commands: what a person sees of it."""

from tasks.queues import queue_of
from tests.e2e.room import LLMQ, Room, wait_until


def test_a_worker_finds_how_many_slots_its_host_is_worth(room: Room) -> None:
    """An engine that admits eight and is no faster with them than with two: fewer are found, and
    `status` and `doctor` say so."""
    sim = room.simulator("box", "openai", slots=8, knee=2, service_s=0.12)
    room.fleet({"box": sim}, box={"slots": "auto"})
    room.worker("box")
    assert room.record("box")["slots"] == 1
    assert room.record("box")["slots_are"] == "being found out"
    assert room.llmq("submit", str(room.papers(200)), "--preset", "summary").returncode == 0
    wait_until(lambda: room.record("box")["slots_are"] == "found", 60, "the slots are found")
    slots = room.record("box")["slots"]
    assert slots < 8  # how near to two, benchmarks/slots.py measures
    assert f"{slots} slots found" in room.said("worker-box.log")
    assert f"/{slots} slots at work (slots found)" in room.llmq("status").stdout
    assert f"/{slots} slots, found" in room.llmq("doctor", "--fleet", "fleet.toml").stdout
    assert sim.calls()["max_running"] > 1


def test_llmq_worker_takes_auto_for_a_number(room: Room) -> None:
    """`-c auto` wins over the file; a word that is neither is refused."""
    sim = room.simulator("box", "lm_studio", slots=3)
    room.fleet({"box": sim}, box={"slots": 2})
    room.up(LLMQ, "worker", "-c", "auto", log="worker-box.log", **room.serving("box"))
    assert (room.record("box")["slots"], room.record("box")["slots_are"]) == (3, "being found out")
    refused = room.llmq("worker", "-c", "many")
    assert refused.returncode == 2
    assert "many" in refused.stderr


def test_it_takes_no_more_invitations_than_it_has_slots(room: Room) -> None:
    """It has threads for all the slots there may be, and one slot yet: other hosts find the other papers."""
    sim = room.simulator("box", "openai", slots=8, service_s=20.0)
    room.fleet({"box": sim}, box={"slots": "auto"})
    room.worker("box")
    assert room.llmq("submit", str(room.papers(30)), "-p", "Why?").returncode == 0
    wait_until(lambda: sim.calls()["started"] == 1, 10, "the first one is asked")
    assert room.redis().llen(queue_of("sim-8b")) + room.redis().llen(queue_of(None)) >= 27
