"""Runs of different priority share a fleet."""

from tasks.ledger.ledger import Ledger
from tasks.runs import Runs
from tests.e2e.room import LLMQ, Room, wait_until

SERVICE_S = 0.3
SLOTS, URGENT = 2, 20


def test_a_small_urgent_run_ends_as_if_it_were_alone(room: Room) -> None:
    """It is submitted while a long one keeps every slot busy: each slot ends what it is at, and
    takes only urgent ones then; the long run goes on afterwards."""
    sim = room.simulator("box", "openai", slots=SLOTS, service_s=SERVICE_S)
    room.fleet({"box": sim}, box={"slots": SLOTS})
    room.worker("box")
    bulk = room.llmq("submit", str(room.papers(50)), "-p", "Long?", "--priority", "low").stdout.split()[0]
    wait_until(lambda: sim.calls()["running"] == SLOTS, 30, "the long run is at work")

    prompts = [word for n in range(URGENT) for word in ("-p", f"Urgent {n}?")]
    runs = Runs(Ledger(room.redis()))
    with sim.still():  # a command may take longer to begin than the long run takes to end
        asking = room.start(LLMQ, "submit", *prompts, "--priority", "high", log="urgent.log")
        urgent = wait_until(lambda: "".join({*runs.open_ids()} - {bulk}), 30, "the urgent run is there")
    done = wait_until(lambda: (one := runs.status(urgent)).ended_ms and one, 30, "the urgent run ends")
    with sim.still():
        long = room.status(bulk)
        assert "low priority" in room.llmq("runs").stdout
    assert asking.wait(30) == 0
    calls = [call for tag, call in sim.log().items() if tag.startswith(f"{urgent}-")]
    begun_at = [call["begun_at"] for call in calls]
    took_s = sum(call["ended_at"] - call["begun_at"] for call in calls)  # a busy engine is late itself
    alone_s = max(URGENT * SERVICE_S, took_s) / SLOTS
    # An item under way and one prepared may go first; the rest is for starting and polling.
    assert (done.ended_ms - done.created_ms) / 1000 < alone_s + 2 * SERVICE_S + 1.0
    others = [call for tag, call in sim.log().items() if tag.startswith(f"{bulk}-")]
    assert sum(min(begun_at) < call["begun_at"] < max(begun_at) for call in others) <= SLOTS

    assert (long["state"], long["priority"]) == ("open", "low")
    assert "high priority" in room.llmq("status", urgent).stdout
    wait_until(lambda: room.status(bulk)["ended_ms"], 60, "the long run ends too")
    assert room.status(bulk)["successful"] == 50
