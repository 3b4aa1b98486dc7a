"""`llmq bench` and what can be wrong with its hosts: each is named in the table, in JSON and on the report's
page, beside what was measured all the same."""

import csv
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.conftest import RedisServer
from tests.contract.engine_server import EngineServer, Reply, page
from tests.contract.wires import LMStudioWire
from tests.e2e.room import LLMQ, Room, Simulator, wait_until
from tests.fault.clocks import faketime, wrong_clock

LM = LMStudioWire()
FEW = ("--requests", "5", "--warmup", "1")
ANSWERS: dict[str, tuple[Reply, str, str]] = {
    "web": (Reply((b"<html>It works!</html>",), content_type="text/html"), "bad_reply", "It works!"),
    "text": (Reply((b"Internal error",), content_type="text/plain"), "bad_reply", "Internal error"),
    "error": (page({"error": {"message": "the model crashed"}}), "bad_reply", "the model crashed"),
    "mute": (LM.stream(LM.role(), *LM.finish()), "empty_answer", "no answer"),
    "stranger": (
        LM.stream(LM.choice({"content": "x"}, model="other:7b"), *LM.finish()),
        "model_not_found",
        "'other:7b' answered",
    ),
}  # host: what it says to every question, with HTTP 200; the type of the error, and words of its message
UNCOUNTED = LM.stream(LM.role(), LM.text("Well"), LM.text(" now."), *LM.finish(tokens=0))


def engine(room: Room, name: str, **more: Any) -> Simulator:
    profile: dict[str, Any] = {
        "service_s": None, "ttft_s": 0.03, "decode_tps": 400.0, "output_tokens": 12, "output_spread": 0.0,
    }  # fmt: skip
    return room.simulator(name, "openai", **profile | more)


@contextmanager
def saying(reply: Reply) -> Iterator[EngineServer]:
    """An LM Studio that says the same to every question."""
    with EngineServer(LM.pages() | {LM.chat_path: reply}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def told(room: Room, *args: str, code: int) -> dict[str, Any]:
    """What `bench` says of itself as JSON, which is all that stands on stdout."""
    done = room.llmq("bench", "--fleet", "fleet.toml", "--json", *args, timeout_s=150)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return dict(json.loads(done.stdout))


def everywhere(room: Room, made: dict[str, Any], host: str, *words: str) -> None:
    """A note with these words stands beside the host's cell: in JSON, in the table of the same benchmark, in
    cells.csv and on the page."""
    notes = [note for cell in made["cells"] if cell["host"] == host for note in cell["notes"]]
    assert any(all(word in note for word in words) for note in notes), notes
    with (room.folder / "out" / "cells.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["host"] == host]
    assert all(word in row["notes"] for word in words), row
    shown = re.sub(r"<[^>]+>", " ", (room.folder / "out" / "report.html").read_text())
    shown = shown.replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")
    for word in words:
        assert word in shown, word


def test_no_banner_is_an_answer(room: Room) -> None:
    """A page, an error text, an error as JSON, nothing, another model's words, all with HTTP 200: failures by
    name with the engine's words, none of them a time or a rank; the good host is measured as ever."""
    replies = {host: reply for host, (reply, _, _) in ANSWERS.items()} | {"good": LM.answer("fine", " so")}
    with ExitStack() as stack:
        lm_studios(room, {host: stack.enter_context(saying(reply)) for host, reply in replies.items()})
        made = told(room, *FEW, "-o", "out", code=1)
        table = room.llmq("bench", "--fleet", "fleet.toml", *FEW, COLUMNS="80")
    for host, (_, kind, words) in ANSWERS.items():
        everywhere(room, made, host, kind, words)
        (cell,) = [cell for cell in made["cells"] if cell["host"] == host]
        assert (cell["ok"], cell["ttft_ms"], cell["rps"], cell["error_rate"]) == (0, None, None, 1)
        assert re.search(rf"- {host} · .*{kind}.*{re.escape(words)}", table.stdout), table.stdout
    (cell,) = [cell for cell in made["cells"] if cell["host"] == "good"]
    assert (cell["ok"], cell["error_rate"]) == (5, 0)
    everywhere(room, made, "good", "5 answers, too few for a rank")
    ranks = {entry["host"]: entry["rank"] for one in made["rankings"] for entry in one["entries"]}
    assert set(ranks.values()) == {None}, "five answers are too few, too"
    assert table.returncode == 1
    (bad,) = [line for line in table.stdout.splitlines() if line.startswith("web ")]
    assert "100.0 %" in bad[:80], "what failed is seen on any terminal"


def lm_studios(room: Room, servers: dict[str, EngineServer]) -> None:
    """A fleet of these."""
    as_they_are = {name: {"engine": "lm_studio", "slots": 1} for name in servers}
    room.fleet({name: one.url for name, one in servers.items()}, **as_they_are)


def test_answers_whose_tokens_nobody_counts(room: Room) -> None:
    """The engine counts none for what it said: no speed is made of that, and it is said."""
    with saying(UNCOUNTED) as server:
        lm_studios(room, {"odd": server})
        made = told(room, *FEW, "-o", "out", code=0)
    (cell,) = made["cells"]
    assert (cell["output_tps"], cell["itl_ms"]) == (None, None)
    everywhere(
        room, made, "odd", "5 answers whose tokens the engine does not count: no speed is made of them"
    )


def test_half_of_the_requests_fail(room: Room) -> None:
    """The failed ones are counted and quoted, no answer of them is a time, and the host has no rank with too
    few that are left."""
    sims = {"good": engine(room, "good"), "half": engine(room, "half")}
    room.fleet(dict(sims))
    sims["half"].fault("500", rate=0.5)
    made = told(room, "--requests", "14", "--warmup", "0", "-o", "out", code=1)
    (cell,) = [cell for cell in made["cells"] if cell["host"] == "half"]
    assert 0 < cell["ok"] < 14
    failed = 14 - cell["ok"]
    everywhere(room, made, "half", f"{failed} of 14 failed: {failed} bad_reply", "HTTP 500: simulated fault")
    (whole,) = [cell for cell in made["cells"] if cell["host"] == "good"]
    assert (whole["ok"], whole["error_rate"]) == (14, 0)


def test_a_model_that_a_host_does_not_have(room: Room) -> None:
    """Where another one has it: its own cell says so. Named twice it is measured once."""
    sims = {"one": engine(room, "one"), "two": engine(room, "two", models=["sim-8b", "sim-70b"])}
    room.fleet(dict(sims))
    made = told(room, "--model", "sim-70b", "--model", "sim-70b", *FEW, "-o", "out", code=1)
    assert [(cell["host"], cell["ok"]) for cell in made["cells"]] == [("one", 0), ("two", 5)]
    everywhere(room, made, "one", "model_not_found", "one does not serve sim-70b")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--model", "sim-8"], ["no host serves sim-8; there is sim-8b"]),
        (["--model", "sim-8b@box"], ["no host serves sim-8b@box", "--model sim-8b, in a bench --host box"]),
        (["--host", "bxo"], ["no host bxo in the fleet; there is box"]),
    ],
)
def test_an_unknown_host_or_model_is_refused(room: Room, args: list[str], words: list[str]) -> None:
    """With those there are; nothing is asked."""
    sim = engine(room, "box")
    room.fleet({"box": sim})
    done = room.llmq("bench", "--fleet", "fleet.toml", *args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert sim.calls()["started"] == 0


REFUSED = (
    (["--rate", "0"], "each is more than 0"),
    (["--rate=-1"], "each is more than 0"),
    (["--rate", "nan"], "each is more than 0"),
    (["--rate", "inf"], "each is more than 0"),
    (["--rate", "fast"], "expected numbers"),
    (["--concurrency", "0"], "each is more than 0"),
    (["--concurrency", "1.5"], "expected whole numbers"),
    (["--requests", "0"], "'--requests'"),
    (["--slo", "rubbish"], "expected METRIC=TIME"),
    (["--slo", "tfft=5s"], "did you mean 'ttft'?"),
    (["--suite", "nosuch"], "no suite 'nosuch'. There is engines, exo-lab"),
    (["--suite", "mine.toml"], "mine.toml: unknown key 'modles'; did you mean 'models'?"),
    (["--profile", "wrong.toml"], "host 1 (a): unknown key 'decode_tp'; did you mean 'decode_tps'?"),
    (["--profile", "nosuch"], "no simulator profile 'nosuch'; built in: demo-gpu"),
    (["-o", "/proc/nowhere"], "nothing can be written in /proc"),
    (["-o", "mine.toml/out"], "mine.toml is no folder"),
    (["-o", "mine.toml"], "is a file"),
    (["-o", "out/results.json"], "name it -o out/results/"),
    (["-o", "results.CSV/"], "name it -o results/"),
)


@pytest.mark.parametrize(("args", "words"), REFUSED, ids=[" ".join(args) for args, _ in REFUSED])
def test_what_cannot_be_is_refused_before_any_work(room: Room, args: list[str], words: str) -> None:
    """Exit code 2, what is wrong and what is expected, in JSON mode as well; no run is begun."""
    room.fleet({"box": "http://127.0.0.1:9"})
    (room.folder / "mine.toml").write_text('modles = ["a"]\n[[prompt]]\nname = "x"\ntemplate = "Why?"\n')
    (room.folder / "wrong.toml").write_text('[[host]]\nid = "a"\nprofile = "laptop"\ndecode_tp = 3\n')
    for json_too in ([], ["--json"]):
        done = room.llmq("bench", "--fleet", "fleet.toml", *args, *json_too)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "waiting for" not in done.stderr, "before any host is looked at"
    assert room.redis().keys("llmq:*") == []


def test_no_host_is_up(room: Room) -> None:
    """2, with every host, its address and why, and no run is begun."""
    room.fleet({"mac": "http://127.0.0.1:9", "pi": "http://127.0.0.1:10"})
    done = room.llmq("bench", "--fleet", "fleet.toml", "--json", timeout_s=60)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    for word in ("mac:", "pi:", "127.0.0.1:9", "127.0.0.1:10", "refused", "llmq doctor"):
        assert word in done.stderr.splitlines()[-1]
    assert room.llmq("runs", "--json").stdout.strip() == "[]"


def test_who_waits_for_hosts_is_told_how_long(room: Room) -> None:
    """All are down: after each one's reason stands what it waits for, and for how long at most."""
    room.fleet({"mac": "http://127.0.0.1:9", "pi": "http://127.0.0.1:10"})
    child = room.start(LLMQ, "bench", "--fleet", "fleet.toml", log="bench.log")
    line = r"pi is down: (.*\n)+no host takes work yet: waiting up to 30 s for (mac, pi|pi, mac)\n"
    wait_until(lambda: re.search(line, room.said("bench.log")), 25, "it says how long it waits")
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) == 130


def test_without_the_extra_for_charts(room: Room) -> None:
    """It is said before anything is measured, with the line that installs it; the other files come."""
    room.fleet({"box": engine(room, "box")})
    (room.folder / "sitecustomize.py").write_text(
        "from importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'matplotlib' else find(name, *rest)\n"
    )
    done = room.llmq("bench", "--fleet", "fleet.toml", *FEW, "-o", "out", PYTHONPATH=str(room.folder))
    assert done.returncode == 0, done.stderr
    said = done.stderr
    line = "without charts: these need matplotlib (pip install 'llmq-fleet[bench]')"
    assert 0 <= said.index(line) < said.index("started run ")
    names = {path.name for path in (room.folder / "out").iterdir()}
    assert {"requests.csv", "cells.csv", "summary.csv", "ranking.json", "run.json", "report.html"} <= names
    assert not any(name.endswith(".png") for name in names)


def test_a_folder_that_has_the_files_of_another_run(room: Room) -> None:
    """It is said before anything is measured that they are replaced; of the same run nothing is said. Where
    the folder then cannot be written, the table is told all the same, and how the rows are had."""
    room.fleet({"box": engine(room, "box")})
    command = ("bench", "--fleet", "fleet.toml", *FEW, "-o", "out", "--slo", "ttft=500ms,e2e=10s")
    first = room.llmq(*command)
    assert first.returncode == 0, first.stderr
    assert "has the files of run" not in first.stderr
    assert "  - good 1/s: within ttft_ms 500, e2e_latency_s 10" in first.stdout
    run = json.loads((room.folder / "out" / "run.json").read_text())["run_id"]
    (room.folder / "out" / "report.html").unlink()
    (room.folder / "out" / "report.html").mkdir()
    second = room.llmq(*command)
    assert second.returncode == 2
    line = f"out/ has the files of run {run}: they are replaced when this one has ended"
    assert second.stderr.index("started run ") < second.stderr.index(line) < second.stderr.rindex("items")
    assert "cannot write" in second.stderr
    assert "1 at a time" in second.stdout
    assert "-o out/" in second.stdout


def test_two_benchmarks_of_one_host_take_turns(room: Room) -> None:
    """Given at the same time: both end with all their answers, and the engine has never more than one of
    them to do."""
    sim = engine(room, "box", slots=4)
    room.fleet({"box": sim})
    children = [
        room.start(LLMQ, "bench", "--fleet", "fleet.toml", "--requests", "12", "--name", name, "-o", name,
                   "-p", f"Why {name}?", log=f"{name}.log")
        for name in ("one", "two")
    ]  # fmt: skip
    for name, child in zip(("one", "two"), children, strict=True):
        assert child.wait(timeout=120) == 0, room.said(f"{name}.log")
    spans = []
    for name in ("one", "two"):
        with (room.folder / name / "requests.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert sum(row["phase"] == "measure" and row["status"] == "ok" for row in rows) == 12
        spans.append((min(row["started_at"] for row in rows), max(row["finished_at"] for row in rows)))
    (_, first_ends), (second_begins, _) = sorted(spans)
    assert first_ends <= second_begins
    assert sim.calls()["max_running"] == 1


def test_redis_goes_away_and_comes_back(redis_server: RedisServer, room: Room) -> None:
    """In the middle of a cell: the benchmark waits for it, says so, and ends with every answer once."""
    sim = engine(room, "box", ttft_s=0.2)
    room.fleet({"box": sim})
    room.environ["LLMQ_REDIS_URL"] = redis_server.url
    command = (LLMQ, "bench", "--fleet", "fleet.toml", "--requests", "20", "-o", "out")
    child = room.start(*command, log="bench.log")
    wait_until(lambda: sim.calls()["started"] >= 8, 60, "the cell is at work")
    redis_server.kill()
    wait_until(lambda: "waiting for Redis" in room.said("bench.log"), 30, "it says what it waits for")
    redis_server.start()
    assert child.wait(timeout=90) == 0, room.said("bench.log")
    with (room.folder / "out" / "requests.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "measure"]
    assert [row["status"] for row in rows] == ["ok"] * 20


def test_clocks_that_disagree(room: Room) -> None:
    """One host's clock an hour ahead, one an hour behind: no figure minds, not even of both taken together;
    both are named with what they are off in the table, in JSON and on the page."""
    library = faketime()
    if library is None:
        (pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip)("no libfaketime here")
    sims = {name: engine(room, name, ttft_s=0.05) for name in ("ahead", "behind")}
    room.fleet(dict(sims))
    room.worker("ahead", **wrong_clock(library, 60))
    room.worker("behind", **wrong_clock(library, -60))
    made = told(room, "--requests", "12", "--warmup", "1", "-o", "out", code=0)
    for cell in made["cells"]:
        assert (cell["ok"], cell["error_rate"]) == (12, 0)
        assert 50 <= cell["ttft_ms"] < 70
        assert 5 < cell["rps"] < 20
    page = (room.folder / "out" / "report.html").read_text()
    shown = room.llmq("rank").stdout
    for name, how in (("ahead", "ahead of"), ("behind", "behind")):
        notes = [note for note in made["notes"] if name in note.split() and "clock" in note]
        assert any(how in note for note in notes), made["notes"]
        assert notes[0] in shown
        assert notes[0] in page
    together = json.loads(room.llmq("rank", "--by", "rps", "--per", "model", "--json").stdout)["rankings"]
    (entry,) = together[0]["entries"]
    assert (entry["value"], entry["n"]) == (None, 24), "cells have no rate together, by whatever clock"
