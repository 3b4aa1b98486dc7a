"""Hosts of a benchmark that are down, that come up meanwhile or later, and that do other work."""

import json
import re
import signal
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.conftest import free_port
from tests.e2e.room import Room, wait_until
from tests.e2e.test_bench import begun_beside, cell_of, exact, instant_s, requests_of, span
from tests.e2e.test_bench_interrupted import BENCH, told_by

Rows = list[dict[str, str]]


def by_host(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(row["host"] for row in rows))


def test_a_host_that_is_down_is_named_at_once_and_measured_when_it_comes_up(room: Room) -> None:
    """Before anything is measured: who, where and why; the other is measured meanwhile; and so is the late
    one, in the same run."""
    port = free_port()
    room.fleet({"here": exact(room, "here"), "late": f"http://127.0.0.1:{port}"})
    args = ("--concurrency", "1,2,4", "--requests", "12", "--warmup", "0")
    child = room.start(*BENCH, *args, "-o", "out", log="bench.log")
    wait_until(lambda: "started run" in room.said("bench.log"), 40, "it begins without it")
    before, _, _ = room.said("bench.log").partition("started run")
    assert f"late (http://127.0.0.1:{port}) is down, and is measured if it comes up meanwhile" in before, (
        before
    )
    assert "refused" in before, "why"
    exact(room, "late", port=port)
    assert child.wait(timeout=90) == 0, room.said("bench.log")
    assert "is not measured" not in room.said("bench.log")
    assert by_host(requests_of(room, "out")) == {"here": 36, "late": 36}


def test_a_host_that_stays_down_is_measured_by_the_same_command_later(room: Room) -> None:
    """Its name and the reason stand beside the table, and the exit code says that something is missing."""
    port = free_port()
    room.fleet({"here": exact(room, "here"), "late": f"http://127.0.0.1:{port}"})
    args = ("--requests", "6", "--warmup", "0")
    told = told_by(room, *args, "-o", "out", code=1)
    assert [cell["host"] for cell in told["cells"]] == ["here"]
    assert "late is not measured" in (room.folder / "out" / "report.html").read_text()
    (note,) = [note for note in told["notes"] if "late is" in note]
    assert "late is not measured" in note
    assert "refused" in note
    exact(room, "late", port=port)
    told = told_by(room, *args, "-o", "out")
    assert {cell["host"]: cell["ok"] for cell in told["cells"]} == {"here": 6, "late": 6}
    assert not any("late is" in note for note in told["notes"])
    assert "late is not measured" not in (room.folder / "out" / "report.html").read_text()


def test_a_model_that_is_not_loaded_is_named(room: Room) -> None:
    """An engine with nothing loaded is measured with all it has; with one in memory by that one, and the rest
    is named before anything is measured, beside the table, and where somebody asks for it."""
    models = {"models": ["small", "large"], "resident": 1, "load_s": 0.1}
    room.fleet({"pi": room.simulator("pi", "ollama", service_s=0.1, **models)})
    args = ("--requests", "4", "--warmup", "0")
    told = told_by(room, *args)
    assert [(cell["model"], cell["ok"]) for cell in told["cells"]] == [("small", 4), ("large", 4)]
    done = room.llmq("bench", "--fleet", "fleet.toml", *args)
    note = "pi has small, not loaded and so not measured: name them in the fleet file, models = [...]"
    assert done.returncode == 0, done.stderr
    assert done.stderr.index(note) < done.stderr.index("started run")
    assert f"  - {note}" in done.stdout
    refused = room.llmq("bench", "--fleet", "fleet.toml", *args, "--model", "small")
    assert refused.returncode == 2
    assert "no host serves small; there is large (pi has small, which is not loaded: " in refused.stderr


def test_who_came_up_since_a_benchmark_was_interrupted_is_measured_too(room: Room) -> None:
    """The same command asks the cell that was interrupted, and those of the host that was down."""
    port = free_port()
    here = exact(room, "here")
    room.fleet({"here": here, "late": f"http://127.0.0.1:{port}"})
    args = ("--concurrency", "4,1", "--requests", "12", "--warmup", "0")
    child = room.start(*BENCH, *args, log="bench.log")
    wait_until(lambda: here.calls()["started"] >= 13 + 4, 60, "the second cell is at work")
    with here.still():
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=40) == 130, room.said("bench.log")
    before = here.calls()["started"]
    exact(room, "late", port=port)
    told = told_by(room, *args)
    found = sorted((cell["host"], cell["concurrency"], cell["ok"]) for cell in told["cells"])
    assert found == [("here", 1, 12), ("here", 4, 12), ("late", 1, 12), ("late", 4, 12)]
    assert here.calls()["started"] - before == 13
    assert told["run_id"] in room.said("bench.log"), "it is the same run"


def test_shared_measures_beside_other_work_and_says_so(room: Room) -> None:
    """A run in progress goes on while its host is measured, and the table says what that means."""
    sim = exact(room, "box", ttft_s=0.05, decode_tps=50.0)
    room.fleet({"box": sim}, box={"slots": 4})
    room.worker("box")
    room.papers(30)
    asked = ("papers", "-p", "Why?", "-p", "How?", "--max-tokens", "32", "--name", "other", "--json")
    other = json.loads(room.llmq("submit", *asked).stdout)["run_id"]
    wait_until(lambda: sim.calls()["finished"] >= 4, 20, "the other run is at work")
    told = begun_beside(room, sim, other, "--shared", "--requests", "8", "-o", "out")
    wait_until(lambda: room.status("other")["state"] == "done", 90, "the other run ends")
    cell = cell_of(told, host="box")
    assert cell["ok"] == 8
    assert any(note.startswith("shared: ") for note in cell["notes"]), cell["notes"]
    first_s, last_s = span(requests_of(room, "out"))
    stamps = [instant_s(row["metrics"]["started_at"]) for row in room.results("other")]
    assert sum(first_s < at < last_s for at in stamps) >= 4, "they ran side by side"


def test_prompts_as_they_are_come_from_the_cache_and_that_is_said(room: Room) -> None:
    """Without the mark at the beginning the engine knows them: cached tokens in the rows, a share beside the
    cell. With it nothing is known."""
    room.fleet({"box": exact(room, "box", prefix_cache=True, slots=1)})
    prompt = "Tell me why the sea has tides. " * 20
    args = ("-p", prompt, "--requests", "8", "--warmup", "1")
    told = told_by(room, *args, "--no-cache-bust", "-o", "known")
    rows = requests_of(room, "known")
    assert {row["cache_bust"] for row in rows} == {"false"}
    assert all(int(row["cached_tokens"]) > 0.8 * int(row["prompt_tokens"]) for row in rows)
    (note,) = [note for note in told["cells"][0]["notes"] if "prompts as they are" in note]
    assert "% of their tokens came from the engine's cache" in note
    told = told_by(room, *args, "-o", "new")
    rows = requests_of(room, "new")
    assert {row["cache_bust"] for row in rows} == {"true"}
    assert all(int(row["cached_tokens"]) < 0.2 * int(row["prompt_tokens"]) for row in rows)
    assert not any("cache" in note for note in told["cells"][0]["notes"])


def test_requests_that_fail_are_told_before_their_cell_is_over(room: Room) -> None:
    """An engine that answers half of them, and a cell that takes long: its progress counts the failures."""
    sim = exact(room, "box", decode_tps=30.0)
    room.fleet({"box": sim})
    child = room.start(*BENCH, "--requests", "40", "--warmup", "0", log="bench.log")
    wait_until(lambda: sim.calls()["started"] >= 5, 40, "it is at work")
    sim.fault("empty", rate=0.5)
    wait_until(lambda: re.search(r"at a time: \d+ %, \d+ failed", room.said("bench.log")), 40, "it says so")
    assert child.wait(timeout=60) == 1


@pytest.mark.parametrize("slots", [1, 3])
def test_who_waits_for_other_work_of_a_host_says_so(room: Room, slots: int) -> None:
    """A run's long bundle is at work there: its progress says for what the benchmark waits."""
    sim = exact(room, "box", decode_tps=16.0)
    room.fleet({"box": sim}, box={"slots": slots})
    room.worker("box")
    room.papers(1)
    prompts = [word for n in range(12) for word in ("-p", f"Why {n}?")]
    assert room.llmq("submit", "papers", *prompts, "--max-tokens", "64").returncode == 0
    wait_until(lambda: sim.calls()["started"], 20, "the other run is at work")
    child = room.start(*BENCH, "--requests", "2", "--warmup", "0", log="bench.log")
    said = "box does other work first" if slots == 1 else "1 at a time: waits for other work there to end"
    wait_until(lambda: said in room.said("bench.log"), 40, "it says what it waits for")
    assert child.wait(timeout=60) == 0, room.said("bench.log")
    last = room.said("bench.log").rpartition("3/3 items")[2]
    assert "other work" not in last
