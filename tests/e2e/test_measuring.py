"""`rank`, `compare` and `history` over real runs of simulated engines."""

import csv
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.room import LLMQ, Room, Simulator, wait_until

PAPERS = 24
MANY = 45  # so that the slow one of two hosts gets ten or more


def fleet(room: Room, **service_s: float) -> dict[str, Simulator]:
    """Hosts that take so long for an answer, give or take 5 %, one at a time."""
    sims = {
        name: room.simulator(name, "openai", service_s=took_s, jitter=0.05, output_tokens=40)
        for name, took_s in service_s.items()
    }
    room.fleet(dict(sims))
    for name in sims:
        room.worker(name)
    return sims


def submit(room: Room, *more: str, code: int = 0) -> str:
    """A run that has ended; its id."""
    done = room.llmq("submit", "papers", "-p", "Why?", "-p", "How?", "--wait", "--json", *more)
    assert done.returncode == code, done.stderr
    return str(json.loads(done.stdout)["run_id"])


def told(room: Room, *args: str) -> Any:
    done = room.llmq(*args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """One clear line, no traceback."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr


def test_a_faster_host_is_first_and_history_remembers(room: Room) -> None:
    """From Redis, from each kind of results file, and from the history: the host that is twice as fast is
    first; the summary says the numbers again; a run is filed once, by whoever sees it end."""
    fleet(room, slow=0.1, fast=0.05)
    room.papers(MANY)
    run = submit(room, "-o", "out.json", "-o", "out.csv", "-o", "out.jsonl")
    for source in (run, "out.json", "out.csv", "out.jsonl"):
        (ranking,) = told(room, "rank", source, "--by", "e2e")["rankings"]
        ranked = {entry["host"]: entry for entry in ranking["entries"]}
        assert {host: entry["rank"] for host, entry in ranked.items()} == {"fast": 1, "slow": 2}, source
        assert sum(entry["n"] for entry in ranked.values()) == 2 * MANY
        assert ranked["fast"]["ci_low"] <= ranked["fast"]["p50"] <= ranked["fast"]["ci_high"]
        assert ranked["fast"]["simulated"]
    shown = room.llmq("rank").stdout
    assert re.search(
        r"end-to-end latency, prompt read anew \(s, lower is better\)\n.*\n\s+1 +fast · sim-8b · simulated",
        shown,
    )
    assert "they answered different papers" in shown
    said = room.llmq("compare", "host:fast", "host:slow", "--by", "e2e").stdout
    assert re.search(r"fast answers \d+ % sooner than slow \(95 %: \d+-\d+ %; n = \d+ and \d+\)", said), said
    (kept,) = told(room, "history")["runs"]
    assert (kept["run_id"], kept["total"], kept["state"]) == (run, 2 * MANY, "done")
    assert "stays as it was" in room.llmq("history", "add", run, "out.csv").stdout
    second = submit(room, "--fresh")
    assert [one["run_id"] for one in told(room, "history")["runs"]] == [second, run]
    (over_runs,) = told(room, "rank", "--history", "--by", "e2e")["rankings"]
    assert over_runs["entries"][0]["host"] == "fast"
    assert told(room, "history", "--host", "fast", "--since", "1h")["runs"]
    assert told(room, "history", "--host", "nobody")["runs"] == []
    both = told(room, "compare", run, second, "--by", "e2e")["comparisons"]
    assert {one["terms"] for one in both} == {"sim-8b on fast", "sim-8b on slow"}, "each host by itself"
    assert [sum(one[side]["n"] for one in both) for side in "ab"] == [2 * MANY, 2 * MANY]


def test_the_files_of_a_benchmark(room: Room) -> None:
    """summary.csv: one row for each host and metric; ranking.json: rank, ties, direction, n and interval."""
    fleet(room, box=0.05)
    room.papers(PAPERS)
    submit(room)
    done = room.llmq("rank", "-o", "summary.csv", "-o", "ranking.json", "--slo", "ttft=1s")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with (room.folder / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    ttft = next(row for row in rows if row["metric"] == "ttft_ms")
    assert (ttft["host"], ttft["n"], ttft["direction"], ttft["p99"]) == ("box", "48", "lower", "")
    assert all(ttft[name] for name in ("mean", "std", "p50", "p90", "p95", "ci_low", "ci_high", "ci_method"))
    assert {"goodput_rps", "rps", "itl_ms", "output_tps"} <= {row["metric"] for row in rows}
    document = json.loads((room.folder / "ranking.json").read_text())
    assert document["limits"] == {"ttft_ms": 1000.0}
    first = next(one for one in document["rankings"] if one["metric"] == "rps")["entries"][0]
    assert (first["rank"], first["tied"], first["direction"], first["n"]) == (1, False, "higher", 48)


def test_failures_stand_beside_and_lower_nothing(room: Room) -> None:
    """They are named with the host they happened on, also where another one then answered; none is a time."""
    sims = fleet(room, good=0.05, bad=0.05)
    room.papers(12)
    sims["bad"].fault("empty", 5)
    submit(room)
    (ranking,) = told(room, "rank", "--by", "e2e")["rankings"]
    entries = {entry["host"]: entry for entry in ranking["entries"]}
    failures = entries["bad"]["failures"]
    assert set(failures) == {"empty_answer"}
    assert entries["bad"]["error_rate"] == failures["empty_answer"] / (
        failures["empty_answer"] + entries["bad"]["n"]
    )
    assert sum(entry["n"] for entry in entries.values()) == 24
    assert "empty_answer" not in str(entries["good"]["failures"])


def test_what_cannot_be_ranked_is_said(room: Room) -> None:
    """An unknown metric, run, host or file; a file that cannot be written; nothing answered; a run that goes
    on; reused answers; too few."""
    sims = fleet(room, box=0.3)
    room.papers(2)
    sims["box"].fault("hang")
    going = told(room, "submit", "papers", "-p", "Why?")["run_id"]
    refused(room.llmq("rank", going), 2, "nothing to rank", "2 items have no result yet")
    sims["box"].fault("ok")
    room.llmq("cancel", going)
    run = submit(room)
    few = room.llmq("rank", run, "--by", "e2e")
    assert few.returncode == 0
    assert "has no rank: 4 of the 10 answers that a rank needs" in few.stdout
    assert "each needs 10 answers" in room.llmq("compare", run, f"{run}/host:box", "--by", "itl").stdout
    refused(room.llmq("rank", run, "--by", "speed"), 2, "unknown metric 'speed'", "ttft (ttft_ms)")
    refused(room.llmq("rank", "nosuchrun"), 3, "no run 'nosuchrun'")
    refused(room.llmq("compare", "nosuchrun", run), 3, "no run 'nosuchrun'")
    refused(room.llmq("rank", "gone.json"), 2, "gone.json")
    (room.folder / "other.json").write_text('{"results": [{"a": 1}]}')
    (room.folder / "torn.json").write_text('{"results": [')
    (room.folder / "run.json").write_text('{"config": {}}')
    for name in ("other.json", "run.json"):
        refused(room.llmq("rank", name), 2, f"{name}: holds no results")
    refused(room.llmq("rank", "torn.json"), 2, "torn.json", "cannot be read as results")
    refused(room.llmq("rank", run, "-o", "/proc/nowhere/summary.csv"), 2, "/proc/nowhere/summary.csv")
    refused(room.llmq("rank", run, "-o", "summary.txt"), 2, ".csv writes the summary")
    refused(room.llmq("rank", run, "--by", "goodput"), 2, "--slo")
    refused(room.llmq("compare", "host:nobody", "host:box"), 2, "host:nobody", "there are hosts box")
    again = submit(room, "--name", "again")
    assert again != run
    refused(room.llmq("rank", again), 2, "nothing to rank", "4 reused")


def test_an_open_run_is_ranked_by_what_it_has(room: Room) -> None:
    """And says so; it is not filed before it has ended."""
    sims = fleet(room, box=0.25)
    room.papers(10)
    run = told(room, "submit", "papers", "-p", "Why?", "-p", "How?")["run_id"]
    wait_until(lambda: sims["box"].calls()["finished"] >= 2, 20, "some are answered")
    with sims["box"].still():
        wait_until(lambda: room.status(run)["successful"] >= 2, 20, "their answers are there")
        shown = room.llmq("rank", run, "--by", "e2e").stdout
        assert f"run {run} is still going" in shown
        refused(room.llmq("history", "add", run), 2, "still going")
        assert told(room, "history")["runs"] == []
    watch = room.llmq("watch", run)
    assert watch.returncode == 0
    assert [one["run_id"] for one in told(room, "history")["runs"]] == [run]


def test_the_history_says_under_which_load(room: Room) -> None:
    """Lines of one host and model are told apart by what they were asked; one of a plain run says none."""
    rows = [
        {
            "success": True, "host": "laptop", "model": "sim-3b", "phase": "measure", "ttft_ms": 10.0 * at,
            "concurrency": at, "target_prompt_tokens": 1000 if at == 4 else None,
        }
        for at in (1, 4)
    ]  # fmt: skip
    rows.append({"success": True, "host": "laptop", "model": "plain", "ttft_ms": 5.0})
    (room.folder / "loads.json").write_text(json.dumps({"run_id": "loads", "results": rows}))
    assert room.llmq("history", "add", "loads.json").returncode == 0
    shown = room.llmq("history").stdout
    assert re.search(r"laptop +sim-3b · 1 at a time +1 ", shown), shown
    assert re.search(r"laptop +sim-3b · 1000 tokens · 4 at a time +1 ", shown)
    assert re.search(r"laptop +plain +1 ", shown)


def test_a_history_that_cannot_be_kept_harms_no_run(room: Room, tmp_path: Path) -> None:
    """The run ends as it would, with a note; the commands that need the history are refused."""
    fleet(room, box=0.02)
    room.papers(1)
    (tmp_path / "broken.sqlite").write_text("no database " * 100)
    url = f"sqlite:///{tmp_path / 'broken.sqlite'}"
    done = room.llmq("submit", "papers", "-p", "Why?", "--wait", LLMQ_HISTORY_URL=url)
    assert done.returncode == 0
    assert "note: the run is not in the history" in done.stderr
    assert "Traceback" not in done.stderr
    refused(room.llmq("history", LLMQ_HISTORY_URL=url), 2, "broken.sqlite cannot be read")
    assert room.llmq("results", "--json").returncode == 0
    assert len(told(room, "history")["runs"]) == 1, "results saw its end, too"


@pytest.mark.parametrize(
    "args",
    [["rank", "--since", "7d"], ["rank", "latest", "--history"], ["compare", "x", "x"], ["compare", "x"]],
)
def test_contradictions_are_refused(args: list[str]) -> None:
    """Before anything is opened."""
    done = subprocess.run([LLMQ, *args], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "Error: " in done.stderr
