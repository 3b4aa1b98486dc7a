"""Benchmarks that are broken off: what is whole stays, what is not is named, and only that is asked again."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import time
from typing import Any

import pytest

from tasks.ledger import keys
from tests.e2e.room import LLMQ, Room, Simulator, wait_until

BENCH = (LLMQ, "bench", "--fleet", "fleet.toml")
TOKENS = 16


def engine(room: Room, name: str, **more: Any) -> Simulator:
    """0.2 s for an answer, whatever is asked."""
    profile: dict[str, Any] = {
        "service_s": None, "ttft_s": 0.05, "decode_tps": 100.0, "output_tokens": TOKENS,
        "output_spread": 0.0, "slots": 8,
    }  # fmt: skip
    return room.simulator(name, "openai", **profile | more)


def told_by(room: Room, *args: str, code: int = 0) -> dict[str, Any]:
    """What the same command says of itself when it is given again."""
    done = room.llmq("bench", "--fleet", "fleet.toml", *args, "--json", timeout_s=180)
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def starts(room: Room) -> dict[int, list[str]]:
    """When the requests of each cell that is whole were sent."""
    found: dict[int, list[str]] = {}
    for row in room.results():
        if row["success"]:
            cell = int(row["item_id"].rsplit("-", 2)[1])
            found.setdefault(cell, []).append(row["metrics"]["started_at"])
    return found


def page_of(room: Room) -> str:
    done = room.llmq("report", "latest", "-o", "page.html")
    assert done.returncode == 0, done.stderr
    return (room.folder / "page.html").read_text()


def interrupt(child: "subprocess.Popen[bytes]", how: signal.Signals, room: Room) -> None:
    child.send_signal(how)
    expected = 130 if how == signal.SIGINT else -how
    assert child.wait(timeout=40) == expected, room.said("bench.log")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_three_of_five_cells_stay(room: Room, how: signal.Signals) -> None:
    """Broken off in the fourth cell: JSON and the report's page say how far that was, the same command asks
    the fourth and the fifth, and the first three are those that were there."""
    sim = engine(room, "box")
    room.fleet({"box": sim})
    args = ("--concurrency", "4,3,2,1,5", "--requests", "12", "--warmup", "0")
    child = room.start(*BENCH, *args, "--json", log="bench.log")
    wait_until(lambda: sim.calls()["started"] >= 3 * 13 + 8, 60, "the fourth cell is past its half")
    with sim.still():
        interrupt(child, how, room)
    wait_until(lambda: not (room.status()["held"] or sim.calls()["running"]), 30, "its worker is gone")
    whole = starts(room)
    assert [len(times) for times in whole.values()] == [13, 13, 13]
    place = "box · sim-8b · 1 at a time"
    if how == signal.SIGINT:
        paused = next(json.loads(line) for line in room.said("bench.log").splitlines() if line[:1] == "{")
        assert [cell["ok"] for cell in paused["cells"]] == [12, 12, 12, 0, 0]
        assert 0.4 < paused["cells"][3]["done"] < 1
        assert paused["cells"][4]["notes"] == ["not measured yet"]
    said = re.search(rf"{place}: interrupted at (\d+) %", page_of(room))
    assert said, "the page names the cell"
    assert 40 <= int(said[1]) < 100
    before = sim.calls()["started"]
    told = told_by(room, *args)
    assert [cell["ok"] for cell in told["cells"]] == [12] * 5
    assert sim.calls()["started"] - before == 2 * 13, "the fourth from its start, and the fifth"
    assert {cell: starts(room)[cell] for cell in whole} == whole
    page = page_of(room)
    assert "interrupted" not in page
    four = ", ".join(f"box · sim-8b · {many} at a time" for many in (4, 3, 2, 5))
    assert f"{four}: llmq counts 1 slot there" in page, "each is named, however many"


def test_a_sweep_goes_on_at_its_third_level(room: Room) -> None:
    """Two levels were whole: they stay, and the same command goes on with the third to the knee."""
    sim = engine(room, "box", slots=4, ttft_s=0.02)
    room.fleet({"box": sim})
    args = ("--sweep", "--requests", "16", "--warmup", "0")
    child = room.start(*BENCH, *args, "-o", "my out/", log="bench.log")
    wait_until(lambda: sim.calls()["started"] >= 2 * 17 + 4, 60, "the third level is at work")
    with sim.still():
        interrupt(child, signal.SIGINT, room)
    said = room.said("bench.log")
    assert "box · sim-8b · 4 at a time: " in said
    table = re.findall(r"^box \(simulated\)  sim-8b +(\d) at a time", said, re.MULTILINE)
    assert table == ["1", "2", "4"], "also of the cell that has no answer yet"
    whole = starts(room)
    assert len(whole) == 2
    rows = re.search(r"rows of the complete cells: llmq (results \S+ -o 'my out/')\n", said)
    assert rows, said
    assert room.llmq(*shlex.split(rows[1])).returncode == 0
    with (room.folder / "my out" / "requests.csv").open() as file:
        answered = [row["concurrency"] for row in csv.DictReader(file) if row["started_at"]]
    assert sorted(answered) == ["1"] * 17 + ["2"] * 17
    before = sim.calls()["started"]
    told = told_by(room, *args)
    assert [(cell["concurrency"], cell["ok"]) for cell in told["cells"]] == [(n, 16) for n in (1, 2, 4, 8)]
    assert any("4 at a time are enough" in note for note in told["notes"]), told["notes"]
    assert sim.calls()["started"] - before == 2 * 17, "the third and the fourth"
    assert {cell: starts(room)[cell] for cell in whole} == whole


def test_an_engine_that_starts_anew_loses_one_cell(room: Room) -> None:
    """It dies in the second of four cells and is back seconds later: that one tells its failures, and those
    behind it wait for the engine and are measured."""
    sim = engine(room, "box")
    room.fleet({"box": sim})
    child = room.start(
        *BENCH, "--concurrency", "4,1,3,2", "--requests", "12", "--warmup", "0", "--json", log="bench.log"
    )
    wait_until(lambda: sim.calls()["started"] >= 13 + 4, 60, "the second cell is at work")
    sim.child.kill()
    sim.child.wait()
    client, run = room.redis(), room.status()["run_id"]
    wait_until(lambda: "away" in (client.hget(keys.run(run), "cell:2") or ""), 30, "the third waits")
    engine(room, "box", port=int(sim.url.rsplit(":", 1)[1]))
    assert child.wait(timeout=90) == 1, room.said("bench.log")
    told = next(json.loads(line) for line in room.said("bench.log").splitlines() if line[:1] == "{")
    assert [cell["ok"] for cell in told["cells"]] == [12, told["cells"][1]["ok"], 12, 12]
    assert told["cells"][1]["ok"] < 12


def test_a_cell_in_which_its_worker_fell_asleep_is_asked_again(room: Room) -> None:
    """Frozen for 4 s in the middle and awake again: no row has these in its times, nor the rate of all, and
    the log says why the cell was asked twice. Three times, and it ends with that as its reason."""
    sim = engine(room, "box")
    room.fleet({"box": sim})
    worker = room.worker("box")
    args = ("--concurrency", "4", "--requests", "20", "--warmup", "0", "--json")

    def freeze() -> None:
        before = int(sim.calls()["started"])
        wait_until(lambda: sim.calls()["started"] >= before + 8, 60, "the cell is at work")
        os.kill(worker.pid, signal.SIGSTOP)
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 4.0, 10, "it was frozen for 4 s")
        os.kill(worker.pid, signal.SIGCONT)

    def told_after(freezes: int, log: str) -> dict[str, Any]:
        child = room.start(*BENCH, *args, "--fresh", log=log)
        for many in range(freezes):
            freeze()
            woken = lambda many=many: room.said("worker-box.log").count("stood still") > many  # noqa: E731
            wait_until(woken, 20, "its worker has noticed")
        assert child.wait(timeout=90) == (freezes > 1), room.said(log)
        (cell,) = next(json.loads(line) for line in room.said(log).splitlines() if line[:1] == "{")["cells"]
        return dict(cell)

    cell = told_after(1, "once.log")
    assert (cell["ok"], cell["error_rate"]) == (20, 0.0)
    assert cell["rps"] > 10, "20 a second, and not 4 s without any"
    assert max(row["metrics"]["e2e_latency_s"] for row in room.results()) < 2
    (room.folder / "worker-box.log").write_text("")
    cell = told_after(3, "thrice.log")
    assert cell["ok"] == 0
    assert "stood still for 4 s while it ran, as 2 times before" in " ".join(cell["notes"])


def test_a_cell_that_kills_its_workers_is_set_aside(room: Room) -> None:
    """Three die in the second cell: it ends as poison, and says so; the cells around it are measured."""
    sim = engine(room, "box")
    room.fleet({"box": sim})
    worker = room.worker("box")
    args = ("--concurrency", "4,1,3", "--requests", "12", "--warmup", "0")
    child = room.start(*BENCH, *args, "--json", log="bench.log")
    for died in range(3):
        asked = 13 + 3 if died == 0 else int(sim.calls()["started"]) + 2
        wait_until(lambda asked=asked: sim.calls()["started"] >= asked, 60, "the second cell is at work")
        with sim.still():
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()
        worker = room.worker("box")
    assert child.wait(timeout=90) == 1, room.said("bench.log")
    told = next(json.loads(line) for line in room.said("bench.log").splitlines() if line[:1] == "{")
    assert [cell["ok"] for cell in told["cells"]] == [12, 0, 12]
    (note,) = [note for note in told["cells"][1]["notes"] if "poison" in note]
    assert "3 workers died while this cell ran" in note
    assert told["cells"][1]["ttft_ms"] is None
