"""The commands as people and programs use them: help, JSON, dry runs, names, following."""

import json
import signal
import subprocess
from typing import Any

import pytest

from cli.main import main
from tasks.intake.prompts import Prompt
from tasks.ledger.ledger import Ledger
from tasks.work import Manifest, Params
from tests.e2e.room import LLMQ, Room, Simulator, wait_until

SHOWN = sorted(name for name, command in main.commands.items() if not command.hidden)


@pytest.fixture
def box(room: Room) -> Simulator:
    """A simulated engine that the room's only worker serves."""
    sim = room.simulator("box", "openai", slots=2, service_s=0.2)
    room.fleet({"box": sim}, box={"slots": 2})
    room.worker("box")
    return sim


def output(room: Room, *args: str, code: int = 0) -> Any:
    """The JSON document that a command prints, and nothing else on stdout."""
    done = room.llmq(*args, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SHOWN)
def test_every_command_explains_itself(name: str) -> None:
    """`--help`: what it is for, an example, and every option in words."""
    done = subprocess.run([LLMQ, name, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert [line for line in lines if line.startswith(f"llmq {name}") or f" llmq {name}" in line], (
        "an example"
    )
    options = [parameter for parameter in main.commands[name].params if parameter.param_type_name == "option"]
    told = "temperature"  # says all in its name
    assert [one.name for one in options if not getattr(one, "help", None) and one.name != told] == []


def test_every_printing_command_speaks_json(room: Room, box: Simulator) -> None:
    """One document on stdout, whatever is said on stderr."""
    room.papers(2)
    started = output(room, "submit", "papers", "-p", "Why?", "-p", "How?", "--name", "first")
    assert (started["total_tasks"], started["continued"]) == (4, False)
    watched = output(room, "watch", started["run_id"], "-o", "out.csv")
    assert (watched["state"], watched["successful"], watched["outputs"]) == ("done", 4, ["out.csv"])
    status = output(room, "status")
    assert (status["run_id"], status["by_host"]) == (started["run_id"], {"box": 4})
    assert [host["id"] for host in status["hosts"]] == ["box"]
    (run,) = output(room, "runs")
    assert (run["name"], run["state"]) == ("first", "done")
    results = output(room, "results")
    assert [row["success"] for row in results["results"]] == [True] * 4
    assert output(room, "results", "--failed")["results"] == []
    assert output(room, "cancel", "latest") == {"run_id": started["run_id"], "cancelled": False}
    waited = output(room, "submit", "papers", "-p", "Who?", "--wait")
    assert (waited["state"], waited["total_tasks"], waited["failed"]) == ("done", 2, 0)
    assert {preset["name"]: len(preset["prompts"]) for preset in output(room, "presets")} == {
        "research": 5,
        "summary": 3,
        "critical": 3,
    }
    doctor = output(room, "doctor")
    assert [(host["id"], host["ok"], host["simulated"]) for host in doctor["hosts"]] == [("box", True, True)]
    assert {"redis", "package tasks"} <= {finding["what"] for finding in doctor["findings"]}


def test_a_dry_run_does_nothing(room: Room, box: Simulator) -> None:
    """It says papers, items, tokens and what fits where; no run is begun and no engine asked. A paper that
    cannot be read makes it exit with 1."""
    folder = room.papers(2)
    (folder / "long.txt").write_text("Many words of a long paper. " * 3000)
    plain = room.llmq("submit", "papers", "--preset", "summary", "--dry-run")
    assert plain.returncode == 0
    lines = plain.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["long.txt", "paper-000.txt", "paper-001.txt"]
    assert "read in parts" in lines[0]
    assert "fits box" in lines[1]
    assert "3 papers, 9 items" in lines[-1]
    assert "box (window 8192)" in lines[-1]
    (folder / "broken.pdf").write_bytes(b"%PDF-1.5\n")
    told = output(room, "run", "papers", "--preset", "summary", "--dry-run", code=1)
    assert (told["papers"], told["items"]) == (4, 12)
    rows = {row["name"]: row for row in told["rows"]}
    assert rows["broken.pdf"]["error"].startswith("corrupt")
    assert (rows["long.txt"]["fits"], rows["paper-000.txt"]["fits"]) == ([], ["box"])
    assert rows["long.txt"]["tokens"] > 8192 > rows["paper-000.txt"]["needs"]
    assert (output(room, "runs"), box.calls()["started"]) == ([], 0)


def test_status_says_what_a_run_waits_for(room: Room) -> None:
    """Without a worker, and then with one that serves another model."""
    asked = room.llmq("submit", "-p", "Why?", "--model", "sim-70b")
    assert "no live worker serves sim-70b yet" in asked.stderr
    assert "waiting for a host that serves sim-70b" in room.llmq("status").stdout
    room.llmq("submit", "-p", "Why?")
    assert room.status()["waiting_for"] == ["llmq.any"]
    assert "waiting for a host that serves any model" in room.llmq("status").stdout
    room.fleet({"box": room.simulator("box", "openai", service_s=0.05)})
    room.worker("box")
    wait_until(lambda: room.status()["state"] == "done", 20, "the run that any model answers ends")
    older = output(room, "runs")[1]["run_id"]
    assert room.status(older)["waiting_for"] == ["llmq.model.sim-70b"]


def test_a_run_is_found_by_id_prefix_name_and_latest(room: Room) -> None:
    """The newest of a name; a beginning that fits several is refused with a list."""
    ledger = Ledger(room.redis())
    for run_id, name in (("aa11", "first"), ("ab22", "twice"), ("ba33", "twice"), ("bb44", None)):
        manifest = Manifest(run_id, (Prompt("why", "Why?"),), (), Params(), name=name)
        ledger.create(manifest, f"same {run_id}", "me", fresh=False)
    found = {word: room.status(word)["run_id"] for word in ("aa11", "ab", "ba3", "first", "twice", "latest")}
    assert found == {
        "aa11": "aa11", "ab": "ab22", "ba3": "ba33", "first": "aa11", "twice": "ba33", "latest": "bb44",
    }  # fmt: skip
    assert room.status()["run_id"] == "bb44"
    refused = room.llmq("status", "b")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "'b' fits 2 runs (bb44, ba33)" in refused.stderr


def test_watch_follows_and_lets_go(room: Room, box: Simulator) -> None:
    """JSONL grows while the run goes on; Ctrl-C on `watch` is 130 and stops nothing; watched again, the file
    is whole."""
    room.papers(6)
    run_id = output(room, "submit", "papers", "--preset", "summary")["run_id"]
    watch = room.start(LLMQ, "watch", run_id, "-o", "live.jsonl", log="watch.log")
    live = room.folder / "live.jsonl"
    wait_until(lambda: box.calls()["finished"] >= 4, 20, "some are answered")
    with box.still():
        wait_until(lambda: live.exists() and live.read_text().count("\n") >= 4, 20, "they are in the file")
        assert room.status()["state"] == "open"
        watch.send_signal(signal.SIGINT)
        assert watch.wait(10) == 130
    assert f"the run goes on: llmq watch {run_id}" in room.said("watch.log")
    rows = [json.loads(line) for line in live.read_text().splitlines()]
    assert all(row["success"] and row["metrics"]["ttft_ms"] for row in rows)
    assert room.llmq("watch", run_id, "-o", "live.jsonl").returncode == 0
    whole = [json.loads(line) for line in live.read_text().splitlines()]
    assert len({row["item_id"] for row in whole}) == len(whole) == 18
    assert whole[: len(rows)] == rows, "in the order they landed"


def test_two_runs_at_once_both_end_right(room: Room, box: Simulator) -> None:
    """Each gets its own results, all of them, and the engine no more than its slots."""
    room.papers(4)
    children = [
        room.start(LLMQ, "submit", "papers", "-p", f"{word}?", "-p", "Why?", "--wait", "-o", f"{word}.json",
                   log=f"{word}.log")
        for word in ("Who", "How")
    ]  # fmt: skip
    for word, child in zip(("Who", "How"), children, strict=True):
        assert child.wait(30) == 0, room.said(f"{word}.log")
        document = json.loads((room.folder / f"{word}.json").read_text())
        assert (document["total_tasks"], document["successful"]) == (8, 8)
        assert {row["prompt_template"] for row in document["results"]} == {f"{word}?", "Why?"}
        assert {row["item_id"].split("-")[0] for row in document["results"]} == {document["run_id"]}
    assert (box.calls()["started"], box.calls()["max_running"]) == (16, 2)


def test_the_same_command_twice_is_one_open_run(room: Room) -> None:
    """Given again while it is open it goes on with it; `--fresh` and another question start anew."""
    first = output(room, "submit", "-p", "Why?")
    again = output(room, "submit", "-p", "Why?")
    assert again == first | {"continued": True}
    assert output(room, "submit", "-p", "How?")["run_id"] != first["run_id"]
    fresh = output(room, "submit", "-p", "Why?", "--fresh")
    assert (fresh["run_id"] != first["run_id"], fresh["continued"]) == (True, False)


def test_limits_and_models_are_kept(room: Room) -> None:
    """`--limit` takes the first papers, `--max-concurrent` holds so many at once, and of two models each
    answers every item."""
    sim = room.simulator("box", "openai", slots=4, service_s=0.1, models=["sim-8b", "sim-70b"])
    room.fleet({"box": sim}, box={"slots": 4})
    room.worker("box")
    room.papers(5)
    asked = ["--limit", "3", "--model", "sim-8b", "--model", "sim-70b", "--max-concurrent", "1"]
    done = room.llmq("submit", "papers", "-p", "Why?", *asked, "--wait")
    assert done.returncode == 0, done.stderr
    answered = sorted((row["file"], row["response"]["model"]) for row in room.results())
    assert answered == [(f"paper-00{n}.txt", model) for n in range(3) for model in ("sim-70b", "sim-8b")]
    assert sim.calls()["max_running"] == 1
