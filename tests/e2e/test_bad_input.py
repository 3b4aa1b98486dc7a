"""What people and machines get wrong: one clear message each, the right exit code, and no other item
pays for it."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import hostile
from tests.contract.engine_server import Drop, EngineServer, Hang, Reply, page
from tests.contract.wires import LMStudioWire
from tests.e2e.room import Room, wait_until

LM = LMStudioWire()
TWINS = ("text--plain.txt", "text--marked.MD", "text--utf16.txt", "text--utf32.txt")  # one text, four times
GOOD = (*TWINS, "text--two-pages.pdf", "text--SHOUTED.PDF")
BAD = (
    "no_text--picture.pdf",
    "no_text--few-words.pdf",
    "encrypted--password.pdf",
    "empty--zero-bytes.pdf",
    "corrupt--header-only.pdf",
    "corrupt--download-cut.pdf",
    "corrupt--web-page.pdf",
    "corrupt--really-a-pdf.txt",
    "not_utf8--latin1.txt",
    "not_utf8--picture.md",
    "empty--blanks.txt",
    "too_big--2001-pages.pdf",
)
LEFT_OUT = (".hidden.txt", "notes.docx", "table.xlsx")
BRACES = 'Answer as JSON: {"claim": "...", "pages": [{}, {n}]}'


def papers(room: Room) -> Path:
    """A folder as people have them: good papers, bad ones, and what is none."""
    folder = room.folder / "papers"
    folder.mkdir()
    made = dict([*hostile.plain_pdfs(), *hostile.broken_pdfs(), *hostile.texts()])
    made["too_big--2001-pages.pdf"] = dict(hostile.greedy_pdfs())["too_big--2001-pages.pdf"]
    for name in (*GOOD, *BAD):
        (folder / name).write_bytes(made[name])
    for name in LEFT_OUT:
        (folder / name).write_text("not a paper")
    (folder / "unreadable--broken-link.txt").symlink_to("nowhere.txt")
    return folder


def refused(done: "subprocess.CompletedProcess[str]", code: int, *words: str, lines: int = 1) -> None:
    """It ended with `code` and said so in so many lines, which have these words."""
    said = done.stderr.strip()
    assert "Traceback" not in said
    assert (done.returncode, done.stdout) == (code, ""), said
    assert [word for word in words if word not in said] == [], said
    assert len(said.splitlines()) == lines, said


def test_bad_papers_cost_the_good_ones_nothing(room: Room) -> None:
    """Every file has its rows, the bad ones with their reason; equal papers are answered once; what is
    no paper is listed as skipped."""
    folder = papers(room)
    sim = room.simulator("box", "openai", slots=2, service_s=0.05)
    room.fleet({"box": sim})
    room.worker("box")
    done = room.llmq("submit", str(folder), "-p", BRACES, "-p", "Why?", "--wait", "-o", "out.json")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads((room.folder / "out.json").read_text())
    files = [*GOOD, *BAD, "unreadable--broken-link.txt"]
    assert (document["files_processed"], document["total_tasks"]) == (len(files), 2 * len(files))
    assert (document["successful"], document["failed"]) == (2 * len(GOOD), 2 * len(files) - 2 * len(GOOD))
    assert [[name for name in LEFT_OUT if name in line] for line in sorted(document["files_skipped"])] == [
        [name] for name in LEFT_OUT
    ]
    outcomes: dict[str, list[str]] = {}
    for row in document["results"]:
        assert row["success"] == bool(row["response"]) != bool(row["error"])
        outcomes.setdefault(row["file"], []).append(row["error"]["type"] if row["error"] else "text")
    assert outcomes == {name: [name.partition("--")[0]] * 2 for name in files}
    assert all(row["error"]["message"] for row in document["results"] if row["error"])
    assert sim.calls()["started"] == 2 * 3, "one of the four twins was asked, and two more papers"
    reused = [row["file"] for row in document["results"] if row.get("reused_from")]
    assert len(reused) == 6
    assert set(reused) < set(TWINS)
    failed = room.llmq("results", "--failed").stdout.splitlines()
    assert [[name for name in outcomes if name in line] for line in failed] == [
        [name] for name in [*sorted(BAD), "unreadable--broken-link.txt"]
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["papers/notes.docx"], ["notes.docx", ".docx is not supported", "save it as .pdf, .txt, .md"]),
        (["papers/.hidden.txt"], [".hidden.txt", "hidden", "rename it"]),
        (["gone/a.pdf"], ["gone/a.pdf", "no such file", "check the spelling"]),
        (["empty"], ["empty", "no papers", ".pdf, .txt, .md"]),
        ([], ["nothing to ask", "-p TEXT"]),
        (["papers", "--preset", "reserch"], ["reserch", "Did you mean 'research'?"]),
        (["papers", "--prompt-file", "no.txt"], ["no.txt", "No such file"]),
        (["papers", "--prompt-file", "bad.toml"], ["bad.toml", "prompt 1", "tempalte"]),
        (["-p", "Summarize {content}"], ["{content}", "add a file or folder"]),
        (["papers", "--wait", "-o", "out.txt"], ["out.txt", ".json, .jsonl, .csv"]),
        (["papers", "--wait", "-o", "empty"], ["empty", ".json, .jsonl, .csv"]),
    ],
)
def test_wrong_requests_are_refused_before_any_work(room: Room, args: list[str], words: list[str]) -> None:
    """Exit code 2, the thing and the next step; no run is started."""
    (room.folder / "empty").mkdir()
    (room.folder / "papers").mkdir()
    for name in ("notes.docx", ".hidden.txt", "good.txt"):
        (room.folder / "papers" / name).write_text("words " * 50)
    (room.folder / "bad.toml").write_text('[[prompt]]\nname = "x"\ntempalte = "Why?"\n')
    refused(room.llmq("submit", *args), 2, *words)
    assert room.redis().keys("llmq:*") == []


def test_several_faults_are_told_at_once(room: Room) -> None:
    """A person corrects them in one go."""
    (room.folder / "empty").mkdir()
    both = room.llmq("submit", "gone.pdf", "empty")
    refused(both, 2, "gone.pdf: no such file", "empty: no papers", lines=2)
    outputs = room.llmq("submit", "-p", "Why?", "--wait", "-o", "a.txt", "-o", "b.doc")
    refused(outputs, 2, "a.txt", "b.doc", lines=2)


def test_outputs_need_wait(room: Room) -> None:
    """`-o` without `--wait` would be written by nobody."""
    asked = room.llmq("submit", "-p", "Why?", "-o", "out.json")
    refused(asked, 2, "-o needs --wait", "llmq results RUN -o FILE", lines=4)


FAULTY = """\
[[host]]
id = "a"
engine = "olama"
host = "192.0.2.1"
[[host]]
id = "b"
engine = "ollama"
host = "192.0.2.2"
slots = "two"
modles = ["x"]
[[host]]
id = "c"
engine = "ollama"
"""


@pytest.mark.parametrize("command", ["run", "worker", "doctor"])
def test_a_faulty_fleet_file_is_told_with_every_place(room: Room, command: str) -> None:
    """All faults at once, each with its host, and nothing is started."""
    (room.folder / "fleet.toml").write_text(FAULTY)
    more = ["-p", "Why?"] if command == "run" else []
    said = room.llmq(command, "--fleet", "fleet.toml", *more)
    words = [
        "host 1 (a)",
        "did you mean 'ollama'",
        "host 2 (b): slots",
        "did you mean 'models'",
        "host 3 (c)",
    ]
    refused(said, 2, "fleet.toml", *words, "either url or host", lines=5)
    assert room.redis().keys("llmq:*") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[host]\n", ["fleet.toml", "line 1"]),
        ("", ["fleet.toml", "at least one [[host]]"]),
        (None, ["fleet.toml", "No such file"]),
    ],
)
def test_a_fleet_file_that_is_none_is_named(room: Room, text: str | None, words: list[str]) -> None:
    """Not TOML, empty, not there."""
    if text is not None:
        (room.folder / "fleet.toml").write_text(text)
    refused(room.llmq("run", "-p", "Why?", "--fleet", "fleet.toml"), 2, *words)


def test_a_host_that_is_not_in_the_fleet_is_refused(room: Room) -> None:
    """The message lists those that are."""
    room.fleet({"mac": "http://127.0.0.1:9", "pi": "http://127.0.0.1:10"})
    refused(room.llmq("worker", "--fleet", "fleet.toml", "--host", "imac"), 2, "imac", "mac, pi")
    refused(room.llmq("worker", "--fleet", "fleet.toml"), 2, "LLMQ_HOST or --host", "mac, pi")


def test_a_model_no_host_serves_is_refused(room: Room) -> None:
    """`run` owns its fleet, so nobody else could come; the message lists what there is."""
    room.fleet({"box": room.simulator("box", "openai")})
    said = room.llmq("run", "-p", "Why?", "--model", "gpt-7", "--fleet", "fleet.toml")
    refused(said, 2, "no host serves gpt-7", "there is sim-8b", lines=len(said.stderr.splitlines()))
    assert room.llmq("runs").stdout == ""


MOODS = {
    "html": (Reply((b"<html>It works!</html>",), content_type="text/html"), "bad_reply", "It works!"),
    "silent": (Reply(before=(Hang(),)), "timeout", "no first token within 0.5 s"),
    "stalled": (LM.stream(LM.role(), LM.text("half"), Hang()), "timeout", "no further token"),
    "dropped": (LM.stream(LM.role(), LM.text("half"), Drop()), "dropped_stream", "connection broke"),
    "endless": (LM.stream(LM.role(), LM.text("half")), "dropped_stream", "without its end mark"),
    "mute": (LM.stream(LM.role(), *LM.finish()), "empty_answer", "no answer"),
    "brooding": (LM.stream(LM.role(), LM.thought("Hm."), *LM.finish()), "empty_answer", "reasoning"),
    "cut": (LM.stream(LM.role(), LM.thought("Hm."), *LM.finish("length")), "answer_cut", "max_tokens"),
    "lost": (page(LM.no_model, 404), "model_not_found", "No models loaded"),
    "busy": (page({"error": "busy"}, 503), "overloaded", "503: busy"),
    "broken": (page({"error": "out of memory"}, 500), "bad_reply", "out of memory"),
    "strange": (
        LM.stream(LM.choice({"content": "x"}, model="other:7b"), *LM.finish()),
        "model_not_found",
        "'other:7b' answered",
    ),
}  # mood: what the engine does, the type of the error, words of its message


class Moody(dict[str, Any]):
    """Replies of an engine that does what a prompt's first word says, and else answers."""

    server: EngineServer

    def get(self, path: str, default: Any = None) -> Any:
        if path != LM.chat_path:
            return super().get(path, default)
        asked = self.server.asked[-1].body["messages"][-1]["content"]
        return MOODS.get(asked.split(" ")[0], (LM.answer("fine"),))[0]


@contextmanager
def moody_engine() -> Iterator[EngineServer]:
    replies = Moody(LM.pages())
    with EngineServer(replies) as server:
        replies.server = server
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def test_an_engine_that_fails_in_every_way_costs_only_those_items(room: Room) -> None:
    """Each failure has its type and the engine's own words; an error text is never an answer, and every
    other item is answered by the same engine."""
    prompts = [text for mood in MOODS for text in (f"{mood} please", f"{BRACES} after {mood}")]
    args = [arg for text in prompts for arg in ("-p", text)]
    with moody_engine() as engine:
        room.fleet({"mac": engine.url}, mac={"engine": "lm_studio", "slots": 1})
        once = {"LLMQ_MAX_RETRIES": "0", "LLMQ_HEALTH_CHECK_INTERVAL": "0.2"}
        room.worker("mac", LLMQ_REQUEST_TIMEOUT="0.5", **once)
        done = room.llmq("submit", *args, "--wait", "-o", "out.json")
        asked = [one.body["messages"][-1]["content"] for one in engine.requests_to(LM.chat_path)]
    assert done.returncode == 1, done.stderr
    rows = json.loads((room.folder / "out.json").read_text())["results"]
    by_prompt = {row["prompt_template"]: row for row in rows}
    for mood, (_, kind, words) in MOODS.items():
        failed = by_prompt[f"{mood} please"]
        assert (failed["success"], failed["response"], failed["error"]["type"]) == (False, None, kind), mood
        assert words in failed["error"]["message"]
        answered = by_prompt[f"{BRACES} after {mood}"]
        assert answered["response"] == {"model": "tiny:1b", "response": "fine"}, mood
    assert sorted(asked) == sorted(prompts), "each was sent once, its braces as they are"


def test_a_broker_that_is_not_there_or_not_fit_is_named(room: Room) -> None:
    """No Redis and a wrong password: 3. One that may forget work: 2, with the command that mends it. No
    message shows the password."""
    room.papers(1)
    room.fleet({"box": "http://127.0.0.1:9"})
    url = room.environ["LLMQ_REDIS_URL"]
    commands = (["status"], ["submit", "papers"], ["worker", "--fleet", "fleet.toml"])
    for command in commands:
        gone = room.llmq(*command, LLMQ_REDIS_URL="redis://:hush-hush@127.0.0.1:1/0")
        refused(gone, 3, "no Redis answers at redis://:***@127.0.0.1:1/0", "unset LLMQ_REDIS_URL")
        wrong = room.llmq(*command, LLMQ_REDIS_URL=url.replace("only-for-tests", "hush-hush"))
        refused(wrong, 3, "wants another password", "LLMQ_REDIS_URL")
        assert "hush" not in gone.stderr + wrong.stderr
    no_url = room.llmq("status", LLMQ_REDIS_URL="localhost:6379")
    refused(no_url, 2, "LLMQ_REDIS_URL", "redis://host:port/number")
    room.redis().config_set("maxmemory-policy", "allkeys-lru")
    try:
        for command in commands:
            refused(room.llmq(*command), 2, "allkeys-lru", "CONFIG SET maxmemory-policy noeviction")
    finally:
        room.redis().config_set("maxmemory-policy", "noeviction")


def test_an_output_that_cannot_be_written_loses_no_result(room: Room) -> None:
    """Exit code 2; the other outputs are written, and the message says how to get the results after all."""
    sim = room.simulator("box", "openai", service_s=0.05)
    room.fleet({"box": sim})
    room.worker("box")
    (room.folder / "full.json").symlink_to("/dev/full")
    (room.folder / "full.jsonl").symlink_to("/dev/full")
    outputs = ["-o", "full.json", "-o", "fine.csv"]
    done = room.llmq("submit", "-p", "Why?", "-p", "How?", "--wait", *outputs)
    assert done.returncode == 2
    told = done.stderr.splitlines()[-1]
    assert "cannot write full.json: No space left on device; the results are kept" in told
    assert len((room.folder / "fine.csv").read_text().splitlines()) == 3
    advice = told.partition("with: llmq ")[2].replace("OTHER", "other").split()
    assert room.llmq(*advice).returncode == 0
    assert json.loads((room.folder / "other.json").read_text())["successful"] == 2
    stream = room.llmq("submit", "-p", "Why?", "--wait", "-o", "full.jsonl")
    assert (stream.returncode, "Traceback" in stream.stderr) == (2, False)
    assert "full.jsonl: No space left" in stream.stderr
    wait_until(lambda: room.status()["state"] == "done", 10, "the run goes on")
    assert room.results()[0]["success"]


def test_an_address_in_use_is_named(room: Room) -> None:
    """`llmq simulate` on a port that somebody has."""
    port = room.simulator("box", "openai").url.rsplit(":", 1)[1]
    refused(room.llmq("simulate", "--port", port), 2, f"127.0.0.1:{port}", "Address already in use")
    refused(room.llmq("simulate", "--profile", "nope"), 2, "nope", "built in:", "laptop")


def test_an_unknown_run_is_named(room: Room) -> None:
    """Exit code 3 from every command that takes a run, and where to look."""
    commands = (["status"], ["watch"], ["results"], ["cancel"], ["rm", "--yes"])
    for name, *more in commands:
        refused(room.llmq(name, "nope", *more), 3, "no run 'nope'", "llmq runs")
    refused(room.llmq("status"), 3, "llmq runs")


def test_wrong_settings_are_told_with_their_place(room: Room) -> None:
    """Every fault of llmq.toml at once, whichever command meets it."""
    (room.folder / "llmq.toml").write_text('max_retires = 3\nlease_s = "long"\n')
    refused(room.llmq("runs"), 2, "llmq.toml: unknown key", "'max_retries'", "lease_s", lines=2)
    refused(room.llmq("worker"), 2, "llmq.toml: unknown key", "lease_s", lines=2)


def test_an_engine_that_always_fails_ends_the_run(room: Room) -> None:
    """Alone, answering its probes and failing every request: each item ends with that reason after its
    attempts. It is not tried for ever."""
    sim = room.simulator("box", "openai")
    sim.fault("500")
    room.fleet({"box": sim})
    room.worker("box", LLMQ_MAX_RETRIES="1", LLMQ_HEALTH_CHECK_INTERVAL="0.2")
    done = room.llmq("submit", "-p", "Why?", "-p", "How?", "--wait", timeout_s=30)
    assert done.returncode == 1, done.stderr
    errors = [row["error"] for row in room.results()]
    assert [error["type"] for error in errors] == ["bad_reply"] * 2
    assert "HTTP 500: simulated fault" in errors[0]["message"]
