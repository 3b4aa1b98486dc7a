"""One row a request, from a real run by a real worker: true times, every column, and how to repeat it."""

import csv
import json
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tasks.report.columns import REQUEST
from tests.e2e.room import Room
from tests.true_server import true_server

OFF_MS = 40.0


def requests(folder: Path) -> list[dict[str, str]]:
    with (folder / "requests.csv").open(newline="") as file:
        table = csv.DictReader(file)
        assert tuple(table.fieldnames or ()) == REQUEST
        return list(table)


def seconds(row: dict[str, Any], first: str, then: str) -> float:
    return (datetime.fromisoformat(row[then]) - datetime.fromisoformat(row[first])).total_seconds()


def test_rows_are_true(room: Room) -> None:
    """Each row's times are those that the server noted under the row's request id, four at a time, through
    Celery and all; its moments are in order and as far apart as its durations say."""
    with true_server() as server:
        room.fleet({"truth": server.url}, truth={"models": ["short"], "slots": 4})
        room.papers(6)
        done = room.llmq("run", "papers", "-p", "Why?", "-p", "How?", "-o", "out/", "--name", "first")
        assert done.returncode == 0, done.stderr
        truths = server.truths
    rows = requests(room.folder / "out")
    assert len({row["request_id"] for row in rows}) == len(rows) == 12
    first_off, last_off = [], []
    for row in rows:
        truth = truths[row["request_id"]]
        first_off.append(abs(float(row["ttft_ms"]) - (truth.first - truth.received) * 1000))
        last_off.append(abs(float(row["e2e_latency_s"]) - (truth.last - truth.received)) * 1000)
        assert (row["completion_tokens"], row["chunk_count"]) == ("16", "16")
        assert row["started_at"] < row["first_token_at"] < row["last_token_at"] <= row["finished_at"]
        assert seconds(row, "started_at", "first_token_at") * 1000 == pytest.approx(
            float(row["ttft_ms"]), abs=0.01
        )
        assert seconds(row, "enqueued_at", "started_at") >= float(row["queue_wait_s"]) - 0.1
        assert (row["network_s"], row["server_total_s"]) == ("", "")
        assert row["worker"].startswith("truth@")
        assert (row["status"], row["http_status"], row["phase"]) == ("ok", "200", "measure")
    # A machine that others use stalls now and then; what is wrong is wrong in every row.
    assert median(first_off) < OFF_MS
    assert median(last_off) < OFF_MS


def test_a_run_says_how_to_repeat_it(room: Room) -> None:
    """run.json has command, versions, prompts, papers, and the hosts as they were, long after their workers
    ended; the rows have the same keys in both formats, and texts, addresses and keys are in none."""
    sim = room.simulator("box", "ollama", service_s=0.05, slots=2)
    room.fleet({"box": sim}, box={"api_key": "very-secret"})
    folder = room.papers(3)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.5\n")
    done = room.llmq("run", "papers", "-p", "Why?", "--seed", "7", "-o", "out.json")
    assert done.returncode == 1, done.stderr
    written = room.llmq("results", "-o", "out/")
    assert written.returncode == 0, written.stderr
    said = json.loads((room.folder / "out" / "run.json").read_text())
    assert said["command"][:3] == ["llmq", "run", "papers"]
    assert said["llmq_version"]
    assert said["python"].startswith("CPython 3.")
    assert (said["config"]["seed"], said["config"]["prompts"][0]["template"]) == (7, "Why?")
    assert [paper["file"] for paper in said["papers"]][1:] == [
        "paper-000.txt",
        "paper-001.txt",
        "paper-002.txt",
    ]
    assert all(len(paper["paper_id"] or "") == 64 for paper in said["papers"][1:])
    (host,) = said["hosts"]
    assert (host["id"], host["engine"], host["engine_version"]) == ("box", "ollama", "0.30.0")
    assert (host["simulated"], host["beside_engine"]) == (True, True)
    assert (host["models"][0]["quantization"], len(host["models"][0]["digest"])) == ("Q4_K_M", 64)
    assert host["worker"]["os"]
    assert host["worker"]["arch"]
    assert host["worker"]["cores"] >= 1
    assert host["worker"]["ram_bytes"] > 1e8
    lines = (room.folder / "out" / "requests.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [tuple(row) for row in rows] == [REQUEST] * 4
    assert sorted(row["status"] for row in rows) == ["error", "ok", "ok", "ok"]
    answered = [row for row in rows if row["status"] == "ok"]
    assert {row["quantization"] for row in answered} == {"Q4_K_M"}
    # A core that others have makes a way longer, and none shorter.
    assert 0 <= min(row["network_s"] for row in answered) < 0.05
    assert all(0 < row["server_total_s"] < row["stream_end_s"] + 0.005 for row in answered)
    flat = requests(room.folder / "out")
    assert [row["request_id"] for row in flat] == [row["request_id"] for row in rows]
    everything = "".join(path.read_text() for path in (room.folder / "out").iterdir())
    for secret in (sim.url.removeprefix("http://"), "very-secret", "Word0x1"):
        assert secret not in everything


def test_parquet_has_the_same_rows(room: Room) -> None:
    """Typed columns: nulls stay nulls, whatever the first rows hold."""
    pq = pytest.importorskip("pyarrow.parquet")
    sim = room.simulator("box", "openai", service_s=0.05)
    room.fleet({"box": sim})
    room.papers(2)
    done = room.llmq("run", "papers", "-p", "Why?", "-o", "out.parquet", "-o", "out/")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(room.folder / "out.parquet")
    assert tuple(table.column_names) == REQUEST
    rows = [json.loads(line) for line in (room.folder / "out" / "requests.jsonl").read_text().splitlines()]
    assert table.to_pylist() == rows
    assert str(table.schema.field("energy_j").type) == "double"


def test_files_of_requests_are_read_like_the_run(room: Room) -> None:
    """The folder that `-o DIR/` writes, and each file in it: the same ranking, comparison, page and place in
    the history as the run itself has; what is no such file is refused with its name."""
    pytest.importorskip("pyarrow")
    for name, took_s in (("slow", 0.08), ("fast", 0.03)):
        room.fleet({name: room.simulator(name, "openai", service_s=took_s, jitter=0.05)})
        room.worker(name)
    room.papers(45)
    outputs = ("-o", "out/", "-o", "out/requests.parquet")
    done = room.llmq("submit", "papers", "-p", "Why?", "--wait", *outputs)
    assert done.returncode == 0, done.stderr

    def said(*args: str) -> Any:
        told = room.llmq(*args, "--json")
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    ranked = said("rank", "latest", "--by", "e2e")["rankings"]
    assert {entry["host"]: entry["rank"] for entry in ranked[0]["entries"]} == {"fast": 1, "slow": 2}
    compared = said("compare", "host:fast", "host:slow", "--by", "e2e")
    files = ("out/", "out", "out/requests.csv", "out/requests.jsonl", "out/requests.parquet")
    for file in files:
        assert said("rank", file, "--by", "e2e")["rankings"] == ranked, file
    assert said("compare", "host:fast", "host:slow", "--run", "out/", "--by", "e2e") == compared
    for side in ("out/requests.csv", "out", "./out", str(room.folder / "out")):
        assert said("compare", f"{side}/host:fast", "host:slow", "--by", "e2e") == compared, side
    assert said("report", "out/", "-o", "page.html")["run"] == room.status()["run_id"]
    assert "45 of 45 items answered" in (room.folder / "page.html").read_text()
    room.environ["LLMQ_HISTORY_URL"] = f"sqlite:///{room.folder / 'other.sqlite'}"
    assert len(said("history", "add", "out/")["filed"]) == 1
    for wrong, words in (("out/run.json", "holds no results"), ("papers/", "holds none of requests.jsonl")):
        refused = room.llmq("rank", wrong)
        assert refused.returncode == 2
        assert f"{wrong.rstrip('/')}" in refused.stderr
        assert words in refused.stderr


def test_a_failed_request_has_a_row_of_its_own(room: Room) -> None:
    """With who asked it, the status of the reply, and when it was sent; no time is made up for it."""
    sim = room.simulator("box", "openai", service_s=0.05)
    room.fleet({"box": sim})
    room.papers(1)
    sim.fault("500", 1)
    done = room.llmq("run", "papers", "-p", "Why?", "-p", "How?", "-o", "out/", LLMQ_MAX_RETRIES="0")
    assert done.returncode == 1, done.stderr
    failed, fine = requests(room.folder / "out")
    assert (failed["status"], failed["error_type"], failed["http_status"]) == ("error", "bad_reply", "500")
    assert (fine["status"], fine["http_status"]) == ("ok", "200")
    assert failed["worker"] == fine["worker"] != ""
    assert failed["enqueued_at"] == fine["enqueued_at"] != ""
    assert (failed["ttft_ms"], failed["first_token_at"], failed["phase"]) == ("", "", "measure")
    assert (failed["e2e_latency_s"], failed["stream_end_s"], failed["last_token_at"]) == ("", "", "")
    assert failed["enqueued_at"] < failed["started_at"] < failed["finished_at"] <= fine["started_at"]


def test_a_request_that_breaks_off_has_the_moments_of_its_tokens(room: Room) -> None:
    """Half an answer came: when it began and how far it got stand in the row, and no latency."""
    sim = room.simulator("box", "openai", service_s=0.4)
    room.fleet({"box": sim})
    room.papers(1)
    sim.fault("drop", 1)
    done = room.llmq("run", "papers", "-p", "Why?", "-p", "How?", "-o", "out/", LLMQ_MAX_RETRIES="0")
    assert done.returncode == 1, done.stderr
    broken, fine = requests(room.folder / "out")
    assert (broken["error_type"], fine["status"]) == ("dropped_stream", "ok")
    assert broken["started_at"] < broken["first_token_at"] < broken["last_token_at"] < broken["finished_at"]
    assert seconds(broken, "started_at", "first_token_at") * 1000 == pytest.approx(
        float(broken["ttft_ms"]), abs=0.01
    )
    assert 1 < int(broken["chunk_count"]) < int(fine["chunk_count"])
    assert (broken["e2e_latency_s"], broken["itl_ms"], broken["output_tps"]) == ("", "", "")


def test_the_rows_of_a_chain_can_be_joined(room: Room) -> None:
    """By `item_id` and `parent`, and by the pair that wrote them: of a second run too, whose first answers
    are those of the first run, and as they land. Repeats are told apart."""
    sims = {
        "peer1": room.simulator("peer1", "ollama", models=["small"], service_s=0.05),
        "peer2": room.simulator("peer2", "openai", models=["big"], service_s=0.05),
    }
    room.fleet(dict(sims))
    chain = ("chain", "-p", "Why?", "-p", "How?", "--repeats", "2")
    models = ("--generate", "small@peer1", "--summarize", "big@peer2")
    done = room.llmq(*chain, *models, "-o", "out/", "-o", "landed.jsonl")
    assert done.returncode == 0, done.stderr
    again = room.llmq(*chain, *models[:-1], "small@peer1", "-o", "again/")
    assert again.returncode == 0, again.stderr
    for folder, last in (("out", "peer2:big"), ("again", "peer1:small")):
        rows = {row["item_id"]: row for row in requests(room.folder / folder)}
        ends = [row for row in rows.values() if row["parent"]]
        assert len(rows) == 8
        assert {row["pair_id"] for row in ends} == {f"peer1:small->{last}"}
        assert {row["pair_id"] for row in rows.values() if not row["parent"]} == {""}
        for row in ends:
            first = rows[row["parent"]]
            assert (first["stage"], row["stage"]) == ("generate", "summarize")
            assert (first["prompt_id"], first["repeat_index"]) == (row["prompt_id"], row["repeat_index"])
        assert sorted(row["repeat_index"] for row in ends) == ["0", "0", "1", "1"]
    landed = [json.loads(line)["metrics"] for line in (room.folder / "landed.jsonl").read_text().splitlines()]
    pairs = [metrics["pair_id"] for metrics in landed]
    assert sorted(pairs, key=str) == [None] * 4 + ["peer1:small->peer2:big"] * 4
