"""Commands while Redis is away, and after it has come back as another one."""

import json
import signal
from pathlib import Path

import pytest

from tests.conftest import RedisServer
from tests.e2e.room import LLMQ, Room, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.slow]
QUESTIONS = ("-p", "Why?", "-p", "How?")


def out(room: Room) -> Path:
    return room.folder / "out.jsonl"


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_watch_says_that_it_waits(room: Room, redis_server: RedisServer) -> None:
    """Redis dies under `llmq watch` and a worker: the command says so, waits, and sees the run to its end."""
    sim = room.simulator("box", "openai", slots=2, service_s=0.3)
    room.fleet({"box": sim}, box={"slots": 2})
    room.worker("box")
    papers = room.papers(12)
    assert room.llmq("submit", str(papers), *QUESTIONS).returncode == 0
    watch = room.start(LLMQ, "watch", "-o", "out.jsonl", log="watch.log")
    wait_until(
        lambda: len(rows(room.folder / "out.jsonl")) >= 4 if out(room).exists() else 0, 30, "some land"
    )
    redis_server.kill()
    wait_until(lambda: "waiting for Redis" in room.said("watch.log"), 15, "it says what it waits for")
    assert watch.poll() is None
    redis_server.start()
    assert watch.wait(60) == 0, room.said("watch.log")
    assert "Redis answers again" in room.said("watch.log")
    items = [row["item_id"] for row in rows(out(room))]
    assert len(items) == len(set(items)) == 24


def test_an_emptied_redis_loses_no_written_answer(room: Room, redis_server: RedisServer) -> None:
    """Redis is replaced by an empty one in the middle of a run: the command that follows it says that the run
    is unknown and exits with 3; what its JSONL holds is kept, and the same command asks only the rest."""
    sim = room.simulator("box", "openai", slots=2, service_s=0.3)
    room.fleet({"box": sim}, box={"slots": 2})
    first = room.worker("box")
    command = (LLMQ, "submit", str(room.papers(12)), *QUESTIONS, "--wait", "-o", "out.jsonl")
    follower = room.start(*command, log="submit.log")
    wait_until(lambda: out(room).exists() and len(rows(out(room))) >= 8, 30, "some land")
    first.send_signal(signal.SIGKILL)
    first.wait()
    redis_server.client.flushall()
    assert follower.wait(30) == 3
    assert "no run" in room.said("submit.log")
    kept = rows(out(room))
    assert 8 <= len(kept) < 24
    before = sim.calls()["finished"]
    room.worker("box")
    assert room.start(*command, log="again.log").wait(60) == 0, room.said("again.log")
    assert f"{len(kept)} answers of earlier runs are reused" in room.said("again.log")
    after = rows(out(room))
    assert len(after) == 24
    said = {(row["file"], row["prompt_name"]): row["response"] for row in after}
    assert {(row["file"], row["prompt_name"]): row["response"] for row in kept}.items() <= said.items()
    assert sim.calls()["finished"] - before == 24 - len(kept)
    assert not out(room).with_name("out.jsonl~").exists()
