"""`llmq chain`: one model works on another's answers, whatever happens in between."""

import csv
import json
import signal
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tasks.report.read import read_file
from tasks.report.told import tell
from tests.e2e.room import LLMQ, Room, Simulator, all_still, wait_until

PAIR = ("--generate", "small@peer1", "--summarize", "big@peer2")


def two_peers(room: Room, **profile: Any) -> dict[str, Simulator]:
    """A host with a small model and one with a big model."""
    profile = {"service_s": 0.1, **profile}
    sims = {
        "peer1": room.simulator("peer1", "ollama", models=["small"], **profile),
        "peer2": room.simulator("peer2", "openai", models=["big"], **profile),
    }
    room.fleet(dict(sims))
    return sims


def started(sims: dict[str, Simulator]) -> dict[str, int]:
    return {name: sim.calls()["started"] for name, sim in sims.items()}


def document(room: Room, file: str = "out.json") -> dict[str, Any]:
    return dict(json.loads((room.folder / file).read_text()))


def by_id(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["item_id"]: row for row in found["results"]}


def each_read_its_parent(found: dict[str, Any]) -> None:
    """What a later stage says comes from the answer before it: the simulator repeats what it reads."""
    rows = by_id(found)
    for row in rows.values():
        if row["parent"] and row["success"]:
            said = row["response"]["response"].split()[:4]
            assert " ".join(said) in rows[row["parent"]]["response"]["response"]


def test_one_model_summarizes_what_another_wrote(room: Room) -> None:
    """Two papers, two prompts, two pinned hosts: each asked four times; a row per chain with both texts,
    models, hosts, and times of which the parts fit into the whole."""
    sims = two_peers(room)
    papers = room.papers(2)
    outputs = ("-o", "out.json", "-o", "chains.csv", "-o", "items.csv")
    command = ("chain", papers.name, "-p", "Why?", "-p", "Who wrote {filename}?", *PAIR, *outputs)
    done = room.llmq(*command)
    assert done.returncode == 0, done.stderr
    assert started(sims) == {"peer1": 4, "peer2": 4}
    found = document(room)
    assert (found["total_tasks"], found["successful"], found["failed"]) == (8, 8, 0)
    assert [chain["success"] for chain in found["chains"]] == [True] * 4
    rows = by_id(found)
    for chain in found["chains"]:
        first, second = chain["hops"]
        assert (first["stage"], first["model"], first["host"]) == ("generate", "small", "peer1")
        assert (second["stage"], second["model"], second["host"]) == ("summarize", "big", "peer2")
        assert rows[second["item_id"]]["parent"] == first["item_id"]
        assert rows[second["item_id"]]["prompt_template"] == "Summarize the text in two lines."
        inside_s = sum(hop["inference_s"] + hop["queue_wait_s"] for hop in chain["hops"])
        assert 0 < chain["inference_s"] < inside_s <= chain["total_s"] + 0.05
        assert first["network_s"] is not None, "Ollama says how long it took"
        assert second["network_s"] is None, "and this one does not"
    each_read_its_parent(found)
    with (room.folder / "chains.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["summarize_response"] for row in table] == [
        chain["hops"][1]["response"] for chain in found["chains"]
    ]
    assert {row["generate_host"] for row in table} == {"peer1"}
    assert {(row["generate_simulated"], row["summarize_time_scale"]) for row in table} == {("true", "1.0")}
    with (room.folder / "items.csv").open(newline="") as file:
        assert sorted(row["stage"] for row in csv.DictReader(file)) == ["generate"] * 4 + ["summarize"] * 4


def test_three_stages_from_a_file(room: Room) -> None:
    """Without a paper the template of the first asks; the third reads the second's answer, and is as cut as
    that is."""
    sims = two_peers(room)
    (room.folder / "three.toml").write_text(
        """
        [[stage]]
        name = "draft"
        model = "small"
        template = "Describe the sky over the sea in many words. Say why it is blue."
        [[stage]]
        name = "critique"
        model = "big"
        host = "peer2"
        template = "List what {content} leaves out."
        max_tokens = 7
        [[stage]]
        name = "rewrite"
        model = "small"
        template = "Write it again: {content}"
        """
    )
    done = room.llmq("chain", "--stages", "three.toml", "-o", "out.json", "--repeats", "2")
    assert done.returncode == 0, done.stderr
    assert started(sims) == {"peer1": 4, "peer2": 2}
    found = document(room)
    assert [row["stage"] for row in found["results"]] == ["draft", "critique", "rewrite"] * 2
    assert [row["repeat"] for row in found["results"]] == [0, 0, 0, 1, 1, 1]
    critiques = [row for row in found["results"] if row["stage"] == "critique"]
    assert [row["params"]["max_tokens"] for row in critiques] == [7, 7]
    assert [row["cut"] for row in found["results"]] == [False, True, True] * 2
    assert [len(chain["hops"]) for chain in found["chains"]] == [3, 3]
    each_read_its_parent(found)


def test_a_paper_may_be_read_again(room: Room) -> None:
    """`{paper}` in a later stage sends paper and answer; without it the paper is not sent again."""
    sims = two_peers(room)
    papers = room.papers(1, words=400)
    for template, least, most in (("Sum up {content}.", 0, 400), ("Check it against {paper}.", 2000, 10_000)):
        done = room.llmq(
            "chain", papers.name, "-p", "Why?", *PAIR, "--summarize-prompt", template, "-o", "out.json"
        )
        assert done.returncode == 0, done.stderr
        tokens = document(room)["results"][1]["metrics"]["prompt_tokens"]
        assert least < tokens < most
    assert started(sims) == {"peer1": 1, "peer2": 2}


def test_a_failed_first_stage_ends_its_chain(room: Room) -> None:
    """The second model is not asked about it; the row says why, the other chain goes on, exit code
    1. Later, `retry` asks again what failed, and then its second stage."""
    sims = two_peers(room)
    sims["peer1"].fault("empty", 1)
    command = ("chain", "-p", "Why is it so?", "-p", "How is it done?", *PAIR, "-o", "out.json")
    done = room.llmq(*command, "-o", "chains.csv", LLMQ_MAX_RETRIES="0")
    assert done.returncode == 1, done.stderr
    found = document(room)
    assert (found["total_tasks"], found["successful"], found["failed"]) == (4, 2, 2)
    broken = next(chain for chain in found["chains"] if not chain["success"])
    assert (broken["failed_stage"], broken["error_type"]) == ("generate", "empty_answer")
    last = by_id(found)[broken["hops"][1]["item_id"]]
    assert last["error"]["type"] == "upstream_failed"
    assert last["error"]["message"].startswith("generate failed: empty_answer: ")
    assert started(sims)["peer2"] == 1
    assert "upstream_failed" in room.llmq("results", "--failed").stdout
    again = room.llmq("retry", "latest")
    assert again.returncode == 0, again.stderr
    for name in ("peer1", "peer2"):
        room.worker(name)
    wait_until(lambda: room.status()["state"] == "done", 20, "the retry ends")
    assert room.status()["successful"] == 4
    assert started(sims) == {"peer1": 3, "peer2": 2}


def test_a_worker_killed_between_stages(room: Room) -> None:
    """The second stage's worker dies with an answer on its way; another takes its place: every chain ends,
    nothing of the first stage is asked again."""
    sims = two_peers(room, service_s=0.4)
    papers = room.papers(3)
    room.worker("peer1")
    second = room.worker("peer2")
    asked = room.llmq("chain", papers.name, "-p", "Why?", *PAIR, "--submit")
    assert asked.returncode == 0, asked.stderr
    wait_until(lambda: sims["peer2"].calls()["running"], 20, "the second stage runs")
    second.kill()
    room.worker("peer2")
    wait_until(lambda: room.status()["state"] == "done", 40, "the chain ends")
    assert room.llmq("results", "-o", "out.json").returncode == 0
    found = document(room)
    assert (found["total_tasks"], found["successful"]) == (6, 6)
    assert sims["peer1"].calls()["started"] == 3
    assert sims["peer2"].calls()["started"] <= 4
    each_read_its_parent(found)


def test_cancel_in_the_middle_of_a_chain(room: Room) -> None:
    """What was answered stays, the rest ends as cancelled, and nobody is asked any more."""
    sims = two_peers(room, service_s=0.5)
    papers = room.papers(4)
    for name in sims:
        room.worker(name)
    room.llmq("chain", papers.name, "-p", "Why?", *PAIR, "--submit")
    wait_until(lambda: sims["peer2"].calls()["finished"], 20, "a chain has ended")
    with all_still(sims.values()):
        assert room.llmq("cancel", "latest").returncode == 0
    wait_until(lambda: all(not sim.calls()["running"] for sim in sims.values()), 10, "calls are shut")
    before = started(sims)
    found = room.results()
    assert {row["error"]["type"] for row in found if not row["success"]} == {"cancelled"}
    assert len(found) == 8
    assert started(sims) == before
    client = room.redis()
    assert not [
        key for key in client.scan_iter() if key.startswith(("llmq:bundle:", "llmq:due:", "llmq:owed:"))
    ]


def test_an_interrupted_chain_goes_on(room: Room) -> None:
    """Ctrl-C, then the same command: the same run, and no answer is asked for twice."""
    sims = two_peers(room, service_s=0.4)
    papers = room.papers(4)
    command = ("chain", papers.name, "-p", "Why?", *PAIR, "-o", "out.json")
    first = room.start(LLMQ, *command, log="first.log")
    wait_until(lambda: sims["peer2"].calls()["finished"], 40, "a chain has ended")
    with all_still(sims.values()):
        first.send_signal(signal.SIGINT)
        assert first.wait(15) == 130
    answered = sum(row["success"] is True for row in room.results())
    before = sum(started(sims).values())
    again = room.llmq(*command)
    assert again.returncode == 0, again.stderr
    found = document(room)
    assert f"run {found['run_id']}" in room.said("first.log")
    assert (found["total_tasks"], found["successful"]) == (8, 8)
    assert sum(started(sims).values()) - before == 8 - answered


def test_only_what_changed_is_asked_again(room: Room) -> None:
    """The same chain again asks nobody; with another summary prompt only the summaries are asked; an answer
    of the first model alone serves as the beginning of a chain."""
    sims = two_peers(room)
    papers = room.papers(2)
    alone = room.llmq("run", papers.name, "-p", "Why?", "--model", "small")
    assert alone.returncode == 0, alone.stderr
    pair = ("--generate", "small", "--summarize", "big@peer2")
    command = ("chain", papers.name, "-p", "Why?", *pair, "-o", "out.json")
    for extra, asked, reused in (
        ((), {"peer1": 2, "peer2": 2}, 2),
        ((), {"peer1": 2, "peer2": 2}, 4),
        (("--summarize-prompt", "One word only."), {"peer1": 2, "peer2": 4}, 2),
        (("--fresh",), {"peer1": 4, "peer2": 6}, 0),
    ):
        done = room.llmq(*command, *extra)
        assert done.returncode == 0, done.stderr
        assert started(sims) == asked
        assert (document(room)["reused"], document(room)["successful"]) == (reused, 4)
    assert all(chain["total_s"] is not None for chain in document(room)["chains"])


def test_a_pinned_host_that_is_down_is_waited_for(room: Room) -> None:
    """Others that serve the same model leave it alone; `status` says which host the work waits for; as soon
    as it is there, the chain ends."""
    engines = {name: room.simulator(name, "openai", service_s=0.1) for name in ("left", "right")}
    room.fleet(dict(engines))
    room.worker("left")
    asked = room.llmq(
        "chain", "-p", "Why is it so?", "--generate", "sim-8b", "--summarize", "sim-8b@right", "--submit"
    )
    assert asked.returncode == 0, asked.stderr
    assert "no live worker serves host right yet" in asked.stderr
    wait_until(lambda: room.status()["successful"] == 1, 20, "the first stage is answered")
    assert "waiting for host right" in room.llmq("status").stdout
    assert room.status()["waiting_for"] == ["llmq.host.right"]
    assert room.status()["state"] == "open"
    room.worker("right")
    wait_until(lambda: room.status()["state"] == "done", 20, "the second stage is answered there")
    assert [row["host"] for row in room.results()] == ["left", "right"]
    assert room.status()["waiting_for"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--generate", "small@nobody", "--summarize", "big"),
            "generate: there is no host 'nobody'; there is",
        ),
        (
            ("--generate", "small@peer2", "--summarize", "big"),
            "generate: peer2 does not serve small; it has big",
        ),
        (("--generate", "small", "--summarize", "huge"), "no host serves huge; there is big, small"),
        (("--generate", "@peer1", "--summarize", "big"), "names no model"),
        (("--generate", "small"), "name both models"),
        ((*PAIR, "--summarize", "small"), "--summarize is given twice: llmq matrix asks every pair"),
        ((*PAIR, "--generate", "big"), "--generate is given twice: llmq matrix asks every pair"),
        (
            ("--stages", "bad.toml"),
            "bad.toml: stage 2, host: expected a text, got 3; stage 2: unknown key 'colour'",
        ),
        (("--stages", "none.toml"), "none.toml: cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_said(room: Room, words: tuple[str, ...], said: str) -> None:
    """Before any work, with the host, the model or the key that is wrong."""
    two_peers(room)
    Path(room.folder / "bad.toml").write_text(
        '[[stage]]\nname = "a"\n[[stage]]\nname = "b"\nhost = 3\ncolour = "red"\n'
    )
    done = room.llmq("chain", "-p", "Why?", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_simulated_engines_serve_what_is_asked(room: Room) -> None:
    """`--simulate` tries a suite of models that nobody here has; a profile serves what it says."""
    suite = '[[prompt]]\nname = "why"\ntemplate = "Why?"\n'
    (room.folder / "suite.toml").write_text(
        'generate = ["one:1b"]\nsummarize = ["two:1b", "three:1b"]\n' + suite
    )
    ran = room.llmq("matrix", "suite.toml", "--simulate", "-o", "out.json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = document(room)["results"]
    assert {row["response"]["model"] for row in rows if row["simulated"]} == {"one:1b", "two:1b", "three:1b"}
    refused = room.llmq("matrix", "suite.toml", "--profile", "laptop", "-o", "out.json")
    assert refused.returncode == 2
    assert "no host serves one:1b, two:1b, three:1b; there is " in refused.stderr


def test_a_dry_run_lists_the_stages(room: Room) -> None:
    """Name, model, host, after which and how many items of each, and nobody is asked anything."""
    sims = two_peers(room)
    room.papers(3)
    done = room.llmq("chain", "papers", "-p", "Why?", "-p", "How?", "--repeats", "2", *PAIR, "--dry-run")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["1", "generate", "small", "peer1", "-", "12"] in lines, done.stdout
    assert ["2", "summarize", "big", "peer2", "1", "generate", "12"] in lines
    (room.folder / "suite.toml").write_text(
        'generate = ["small", "big"]\nsummarize = ["big", "small"]\n[[prompt]]\nname="a"\ntemplate="Why?"\n'
    )
    told = json.loads(room.llmq("matrix", "suite.toml", "--dry-run", "--json").stdout)
    assert [(one["stage"], one["model"], one["after"]) for one in told["stages"]] == [
        (1, "small", None), (2, "big", 1), (3, "small", 1), (4, "big", None), (5, "big", 4), (6, "small", 4),
    ]  # fmt: skip
    assert sum(one["items"] for one in told["stages"]) == told["items"] == 6
    assert started(sims) == {"peer1": 0, "peer2": 0}


def test_a_matrix_is_one_run(room: Room) -> None:
    """Two generators, two summarizers, two prompts, twice: what a generator wrote is written once and read by
    both; eight chains a repeat, a row each in the 22 columns of the P2P framework. `rm` leaves nothing."""
    sims = {
        name: room.simulator(name, "ollama", models=[f"{name}-model"], service_s=0.05)
        for name in ("g1", "g2", "s1", "s2")
    }
    room.fleet(dict(sims))
    (room.folder / "suite.toml").write_text(
        'generate = ["g1-model", "g2-model"]\nsummarize = ["s1-model@s1", "s2-model"]\nrepeats = 2\n'
        '[[prompt]]\nname = "Logical"\ntemplate = "Why is it so?"\n'
        '[[prompt]]\nname = "Creative"\ntemplate = "=Tell me of it."\n'
    )
    command = ("matrix", "suite.toml", "-o", "out.json", "-o", "p2p.csv", "-o", "chains.csv")
    done = room.llmq(*command)
    assert done.returncode == 0, done.stderr
    assert started(sims) == {"g1": 4, "g2": 4, "s1": 8, "s2": 8}
    found = document(room)
    assert (found["total_tasks"], len(found["chains"])) == (24, 16)
    pairs = [tuple(hop["model"] for hop in chain["hops"]) for chain in found["chains"]]
    assert {pair: pairs.count(pair) for pair in pairs} == {
        (f"g{g}-model", f"s{s}-model"): 4 for g in (1, 2) for s in (1, 2)
    }
    with (room.folder / "p2p.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert (len(table), len(table[0])) == (16, 22)
    shares = []
    for row in table:
        for peer in ("peer1", "peer2"):
            assert row[f"{peer}_response_ollama"]
            call_ns = int(row[f"{peer}_network_duration"])
            shares.append(int(row[f"{peer}_total_duration"]) / call_ns)
            speed = int(row[f"{peer}_eval_count"]) / int(row[f"{peer}_eval_duration"]) * 1e9
            assert float(row[f"{peer}_token_per_second"]) == pytest.approx(speed, rel=0.01)
    assert median(shares) == pytest.approx(1, rel=0.5), "nanoseconds, both"
    assert 0 < min(shares) <= max(shares) < 1.1, "the engine's part of the call"
    assert {row["prompt"] for row in table} == {"Why is it so?", "'=Tell me of it."}
    again = room.llmq(*command)
    assert (again.returncode, document(room)["reused"]) == (0, 24)
    assert [room.llmq("rm", "latest", "--yes").returncode for _ in range(2)] == [0, 0]
    left = [key for key in room.redis().scan_iter() if key.startswith(("llmq:answers:", "celery-task-meta-"))]
    assert not left, "rm gives back the answers of later stages too"


def test_pairs_are_ranked_by_what_the_chain_took(room: Room) -> None:
    """Not by its last hop: the same inference as chains.csv and the report's matrix have, and the whole time
    with its waiting; from Redis and from every file alike."""
    two_peers(room, jitter=0.2)
    asked = ("chain", room.papers(6).name, "-p", "Why?", "-p", "How?", *PAIR)
    done = room.llmq(*asked, "-o", "out.json", "-o", "chains.csv", "-o", "out/")
    assert done.returncode == 0, done.stderr
    with (room.folder / "chains.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    took_s, total_s = (median(float(row[name]) for row in table) for name in ("inference_s", "total_s"))
    for source in ("latest", "out.json", "out"):
        said = room.llmq("rank", source, "--per", "pair", "--json")
        assert said.returncode == 0, said.stderr
        made = {one["metric"]: one["entries"] for one in json.loads(said.stdout)["rankings"]}
        assert made.keys() == {"inference_s", "total_s"}
        for (entry,) in made.values():
            assert (entry["pair_id"], entry["n"]) == ("peer1:small->peer2:big", 12), source
        assert made["inference_s"][0]["value"] == pytest.approx(took_s, abs=0.002), source
        late_s = 0.002 if source == "latest" else 0.1  # a file has no moment at which Redis knew the answer
        assert made["total_s"][0]["value"] == pytest.approx(total_s, abs=late_s), source
        assert took_s < made["total_s"][0]["value"]
        drawn = tell(read_file(room.folder / source)).pairs if source != "latest" else {}
        for pair in drawn.values():
            assert (pair.median_s, len(pair.took_s)) == (made["inference_s"][0]["value"], 12), source
    shown = room.llmq("rank", "--per", "model-pair", "--by", "total", "--by", "ttft").stdout
    assert "small->big" in shown
    assert "time to first token, last hop" in shown
    assert "rank them with --per pair" in room.llmq("rank", "--by", "total").stderr
