"""The main job, with the real commands: three hosts of different kinds, and what happens to them."""

import json
import signal
import time
from collections import Counter
from typing import Any

from tests.e2e.room import Room, Simulator, wait_until


def three_hosts(room: Room, service_s: float = 0.2) -> dict[str, Simulator]:
    """One engine of each wire, two slots each."""
    wires = {"mac": "lm_studio", "pi": "ollama", "box": "openai"}
    sims = {name: room.simulator(name, wire, slots=2, service_s=service_s) for name, wire in wires.items()}
    room.fleet(dict(sims), box={"slots": 2}, pi={"slots": 2})
    return sims


def one_result_each(rows: list[dict[str, Any]], items: int) -> None:
    """Every item has exactly one result, an answer of the simulator's."""
    assert len(rows) == items
    assert len({row["item_id"] for row in rows}) == items
    assert all(row["success"] and row["simulated"] and row["response"]["response"] for row in rows)


def test_papers_in_answers_out(room: Room) -> None:
    """`llmq submit --wait` with `celery -A tasks worker` per host: every file format, every host at work."""
    sims = three_hosts(room)
    for host in sims:
        room.worker(host)
    papers = room.papers(12)
    outputs = [arg for suffix in ("json", "csv", "jsonl") for arg in ("-o", f"out.{suffix}")]
    done = room.llmq("submit", str(papers), "--preset", "summary", "--wait", *outputs)
    assert done.returncode == 0, done.stderr
    document = json.loads((room.folder / "out.json").read_text())
    one_result_each(document["results"], 36)
    assert (document["files_processed"], document["total_tasks"], document["successful"]) == (12, 36, 36)
    assert {row["host"] for row in document["results"]} == set(sims)
    assert {row["engine"] for row in document["results"]} == {"lm_studio", "ollama", "openai"}
    assert len((room.folder / "out.jsonl").read_text().splitlines()) == 36
    assert len((room.folder / "out.csv").read_text().splitlines()) >= 37
    assert sum(sim.calls()["started"] for sim in sims.values()) == 36
    assert all(sim.calls()["max_running"] <= 2 for sim in sims.values())


def test_a_killed_and_a_frozen_worker_lose_nothing(room: Room) -> None:
    """One worker dies by SIGKILL and one sleeps 30 s, mid-run: every item ends with one result, results
    that were there do not change, and the dead worker's bundles run elsewhere within 20 s."""
    sims = three_hosts(room, service_s=0.5)
    workers = {host: room.worker(host) for host in sims}
    papers = room.papers(60)
    assert room.llmq("submit", str(papers), "--preset", "summary").returncode == 0
    wait_until(lambda: sum(sim.calls()["finished"] for sim in sims.values()) > 24, 30, "work is under way")

    held = len(_holders(room))
    workers["box"].send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    workers["mac"].send_signal(signal.SIGSTOP)
    before = {row["item_id"]: row for row in room.results() if row["success"]}
    assert held >= 4, "the workers held bundles when it happened"
    assert workers["box"].wait(5) == -signal.SIGKILL

    def box_lost_its_bundles() -> bool:
        return "box" not in Counter(host for host in _holders(room).values())

    wait_until(box_lost_its_bundles, 20, "the dead worker's bundles are taken back")
    assert time.monotonic() - killed_at < 20
    wait_until(lambda: time.monotonic() - killed_at > 30, 40, "the sleep is over")
    workers["mac"].send_signal(signal.SIGCONT)
    wait_until(lambda: room.status()["state"] == "done", 60, "the run ends")

    rows = room.results()
    one_result_each(rows, 180)
    after = {row["item_id"]: row for row in rows}
    assert len(before) > 15
    assert {item: after[item] for item in before} == before
    calls = sum(sim.calls()["started"] for sim in sims.values())
    assert 180 <= calls <= 180 + 8, "only what was lost in flight ran again"


def _holders(room: Room) -> dict[str, str]:
    import redis

    client = redis.Redis.from_url(room.environ["LLMQ_REDIS_URL"], decode_responses=True)
    found = {key: client.hget(key, "host") for key in client.scan_iter("llmq:bundle:*")}
    return {key: host for key, host in found.items() if host}


def test_a_lost_message_is_found(room: Room) -> None:
    """All messages vanish from Redis: the steward misses them and the run ends all the same."""
    import redis

    sims = three_hosts(room)
    papers = room.papers(8)
    assert room.llmq("submit", str(papers), "--preset", "summary").returncode == 0
    client = redis.Redis.from_url(room.environ["LLMQ_REDIS_URL"], decode_responses=True)
    assert client.llen("llmq.any") == 8
    client.delete("llmq.any")
    room.worker("box")
    wait_until(lambda: room.status()["state"] == "done", 30, "the run ends")
    one_result_each(room.results(), 24)
    assert sims["box"].calls()["started"] == 24


def test_a_paper_whose_text_is_gone_is_not_asked_about(room: Room) -> None:
    """Redis has lost a paper's text: each of its items fails and says so. None is asked without the paper."""
    sims = three_hosts(room)
    assert room.llmq("submit", str(room.papers(1)), "-p", "Why?", "-p", "How?").returncode == 0
    room.redis().delete(*room.redis().keys("llmq:text:*"))
    room.worker("box", LLMQ_MAX_RETRIES="0")
    wait_until(lambda: room.status()["state"] == "done", 30, "the run ends")
    assert [row["error"] and row["error"]["type"] for row in room.results()] == ["text_missing"] * 2
    assert sims["box"].calls()["started"] == 0


def test_a_broken_engine_costs_no_item(room: Room) -> None:
    """One host answers 500 to everything, one is not there: the third answers all."""
    sims = three_hosts(room)
    sims["mac"].fault("500")
    room.fleet({"box": sims["box"], "mac": sims["mac"], "gone": "http://127.0.0.1:9"}, box={"slots": 2})
    for host in ("mac", "box", "gone"):
        room.worker(host)
    papers = room.papers(10)
    done = room.llmq("submit", str(papers), "--preset", "summary", "--wait", "-o", "out.json")
    assert done.returncode == 0, done.stderr
    one_result_each(json.loads((room.folder / "out.json").read_text())["results"], 30)
    assert sims["mac"].calls()["started"] <= 12, "the breaker keeps the failing host from taking work"


def test_sigterm_gives_work_back(room: Room) -> None:
    """A worker that is told to stop ends what runs or gives it back; the next worker goes on at once."""
    sims = three_hosts(room, service_s=1.0)
    first = room.worker("box", LLMQ_GRACE_S="0")
    papers = room.papers(4)
    assert room.llmq("submit", str(papers), "--preset", "summary").returncode == 0
    wait_until(lambda: sims["box"].calls()["running"] == 2, 15, "two slots are at work")
    first.send_signal(signal.SIGTERM)
    assert first.wait(15) == 0
    assert _holders(room) == {}
    assert room.status()["hosts"] == []
    wait_until(lambda: sims["box"].calls()["running"] == 0, 2, "the engine's slots are free")
    room.worker("pi")
    wait_until(lambda: room.status()["state"] == "done", 60, "the run ends")
    one_result_each(room.results(), 12)


def test_cancel_stops_requests(room: Room) -> None:
    """`cancel` shuts running requests within two seconds; answers that were there stay."""
    sims = three_hosts(room, service_s=3.0)
    room.worker("box")
    papers = room.papers(4)
    assert room.llmq("submit", str(papers), "-p", "Why?", "-p", "How?").returncode == 0
    wait_until(lambda: sims["box"].calls()["finished"] >= 2, 20, "some are answered")
    wait_until(lambda: sims["box"].calls()["running"] == 2, 15, "two slots are at work")
    with sims["box"].still():
        assert room.llmq("cancel", "latest").returncode == 0
    wait_until(lambda: sims["box"].calls()["running"] == 0, 2, "the engine's slots are free")
    outcomes = Counter(row["error"]["type"] if row["error"] else "answer" for row in room.results())
    assert outcomes["answer"] >= 2
    assert outcomes["answer"] + outcomes["cancelled"] == 8
    assert room.status()["state"] == "cancelled"
    assert room.llmq("rm", "latest", "--yes").returncode == 0
    assert room.llmq("status", "latest").returncode == 3
