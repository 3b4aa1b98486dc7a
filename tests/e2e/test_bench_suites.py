"""Suites of `llmq bench` over simulated engines: prompts of set lengths, one model on several engines."""

import csv
import json
from statistics import median
from typing import Any

import pytest

from tests.e2e.room import Room, Simulator
from tests.llama.server import LlamaServer

pytest_plugins = ["tests.llama.plugin"]

LENGTHS = (300, 1000, 3000)
SUITE = "lengths = [300, 1000, 3000]\nconcurrency = [1, 3]\nrequests = 10\nwarmup = 2\nmax_tokens = 16\n"


def engine(room: Room, name: str, wire: str = "openai", **more: Any) -> Simulator:
    """One that takes as long for a prompt as that is long."""
    profile: dict[str, Any] = {
        "service_s": None,
        "prefill_tps": 8000,
        "decode_tps": 1000.0,
        "output_tokens": 8,
        "output_spread": 0.0,
        "slots": 4,
        "prefix_cache": True,
    } | more
    return room.simulator(name, wire, **profile)


def bench(room: Room, *args: str, code: int = 0) -> dict[str, Any]:
    """What it says of itself."""
    done = room.llmq("bench", "--fleet", "fleet.toml", "--json", *args, timeout_s=180)
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def table_of(room: Room, name: str) -> list[dict[str, str]]:
    with (room.folder / name).open() as file:
        return list(csv.DictReader(file))


def test_prompts_of_set_lengths_are_cells_of_their_own(room: Room) -> None:
    """Prompts have the length by the engine's own count, none begins like another; times follow the lengths;
    each length and load is ranked by itself and stands by itself in every file; what is too long for a host
    is named, and nothing of it was sent."""
    sims = {"fast": engine(room, "fast"), "slow": engine(room, "slow", prefill_tps=4000, window=2048)}
    room.fleet(dict(sims), slow={"context_length": 2048})
    (room.folder / "mine.toml").write_text(SUITE)
    told = bench(room, "--suite", "mine.toml", "-o", "out", code=1)

    cells = {(one["host"], one["target_prompt_tokens"], one["concurrency"]): one for one in told["cells"]}
    assert len(cells) == 12
    for (host, length, many), cell in cells.items():
        if (host, length) == ("slow", 3000):
            assert (cell["n"], cell["ok"], cell["ttft_ms"], cell["done"]) == (0, 0, None, 1), cell
            assert any("do not fit the window of 2048" in note for note in cell["notes"]), cell
            continue
        assert (cell["n"], cell["ok"]) == (10, 10), cell
        assert abs(cell["prompt_tokens"] - length) <= max(6, 0.02 * length), (host, many, cell)
        assert not any("its prompts have" in note for note in cell["notes"]), cell
    for host, tps in (("fast", 8), ("slow", 4)):
        at = cells[host, 1000, 1]["ttft_ms"] - cells[host, 300, 1]["ttft_ms"]
        assert abs(at - 700 / tps) < 20, "the engine reads the rest of the prompt meanwhile"
    assert sims["slow"].calls()["started"] == 4 * 13, "of the long ones none was sent"

    rows = [row for row in table_of(room, "out/requests.csv") if row["phase"] == "measure"]
    sent = {(row["host"], row["target_prompt_tokens"], row["prompt_id"]) for row in rows}
    assert sent == {(host, f"{n}", f"len-{n}") for host in sims for n in LENGTHS}
    for row in rows:
        if row["status"] == "ok":
            off = abs(int(row["prompt_tokens"]) - (length := int(row["target_prompt_tokens"])))
            assert off <= max(12, 0.03 * length)
            assert int(row["cached_tokens"] or 0) <= 4, "no prompt begins like another"
        else:
            assert (row["error_type"], row["attempts"]) == ("context_overflow", "0")

    ttft = [one for one in told["rankings"] if one["metric"] == "ttft_ms"]
    assert [one["terms"] for one in ttft] == [f"{n} tokens · {m} at a time" for n in LENGTHS for m in (1, 3)]
    for ranking in ttft:
        ranks = {entry["host"]: entry["rank"] for entry in ranking["entries"]}
        assert ranks["fast"] == 1
        long = ranking["terms"].startswith("3000")
        reasons = {entry["host"]: entry["reason"] for entry in ranking["entries"]}
        assert ranks["slow"] == (None if long else 2), ranking
        assert ("does not fit the window" in str(reasons["slow"])) == long
    summary = [row for row in table_of(room, "out/summary.csv") if row["metric"] == "ttft_ms"]
    assert len({(row["host"], row["target_prompt_tokens"], row["concurrency"]) for row in summary}) == 10
    assert len(summary) == 10
    assert len(table_of(room, "out/cells.csv")) == 12
    page = (room.folder / "out" / "report.html").read_text()
    assert "1000 tokens · 3 at a time" in page
    assert "Time to first token against the prompt" in page

    kept = json.loads(room.llmq("history", "--json").stdout)
    assert {row["target_prompt_tokens"] for row in kept["figures"]} == {*LENGTHS}
    again = json.loads(room.llmq("rank", "--json", "--by", "ttft").stdout)["rankings"]
    assert [one["terms"] for one in again] == [one["terms"] for one in ttft]
    said = room.llmq("compare", "host:fast", "host:slow", "--by", "ttft", "--json").stdout
    made = {one["terms"]: one for one in json.loads(said)["comparisons"]}
    assert set(made) == {f"{n} tokens · {m} at a time" for n in LENGTHS[:2] for m in (1, 3)}
    assert all(one["found"] for one in made.values()), made
    assert median(one["difference"]["ratio"] for one in made.values()) < 0.9


def test_a_window_that_nobody_knew_is_found_by_asking(room: Room) -> None:
    """A first prompt that came out too long by the estimate is no reason to give up; one of the right length
    that is refused is: the engine's own words stand beside the cell, and nothing is cut."""
    room.fleet({"box": engine(room, "box", window=2048)}, box={"context_length": 8192})
    (room.folder / "mine.toml").write_text(SUITE.replace("[300, 1000, 3000]", "[1900, 3000]"))
    told = bench(room, "--suite", "mine.toml", "--concurrency", "1", code=1)
    fits, too_long = told["cells"]
    assert (fits["ok"], abs(fits["prompt_tokens"] - 1900) <= 38) == (10, True), fits
    assert any(note.startswith("1 of its warm-up failed") for note in fits["notes"]), fits
    assert (too_long["n"], too_long["ok"]) == (0, 0), too_long
    assert any("not measured: " in note and "2048" in note for note in too_long["notes"]), too_long


def test_one_model_of_several_engines_is_compared_as_one(room: Room) -> None:
    """Each engine is asked by its own name for the model; engines are ranked and compared; that they ran on
    one machine at one time is said, and where they ran on several, that these are not told apart."""
    fast = engine(room, "fast", "ollama", models=["tiny:1b"], prefill_tps=30_000)
    slow = engine(room, "slow", "lm_studio", models=["tiny-1b-instruct"], prefill_tps=15_000)
    room.fleet({"one": fast, "two": slow})
    (room.folder / "mine.toml").write_text(
        'models = ["tiny"]\nlengths = [2000]\nrequests = 12\nwarmup = 2\nmax_tokens = 8\n'
        '[names.tiny]\nollama = "tiny:1b"\nlm_studio = "tiny-1b-instruct"\n'
    )
    told = bench(room, "--suite", "mine.toml", "-o", "out")
    assert {(one["host"], one["model"], one["ok"]) for one in told["cells"]} == {
        ("one", "tiny", 12),
        ("two", "tiny", 12),
    }
    said = json.loads(room.llmq("rank", "--per", "engine", "--by", "ttft", "--json").stdout)
    (ranking,) = said["rankings"]
    assert [(e["name"], e["rank"]) for e in ranking["entries"]] == [
        ("ollama · tiny · 2000 tokens · 1 at a time · simulated", 1),
        ("lm_studio · tiny · 2000 tokens · 1 at a time · simulated", 2),
    ]
    assert "all on one machine: lm_studio on two; ollama on one" in said["notes"]
    assert "lm_studio and ollama ran at the same time, and may have slowed each other" in said["notes"]
    compared = room.llmq("compare", "engine:ollama", "engine:lm_studio", "--by", "ttft", "--json").stdout
    (one,) = json.loads(compared)["comparisons"]
    assert (one["found"], one["a"]["name"], one["terms"]) == (
        True,
        "ollama",
        "tiny · 2000 tokens · 1 at a time",
    )
    # Of the results alone, without run.json beside them, nobody knows the machines.
    assert room.llmq("results", "latest", "-o", "alone/results.json").returncode == 0
    alone = room.llmq("rank", "alone/results.json", "--per", "engine", "--by", "ttft").stdout
    assert "engine and machine are not told apart: lm_studio on two; ollama on one" in alone
    none = room.llmq("compare", "engine:ollama", "engine:vllm", "--json")
    assert (none.returncode, "there are engines lm_studio, ollama" in none.stderr) == (2, True), none.stderr


@pytest.mark.llama
def test_a_real_engines_count_sizes_the_prompts(room: Room, llama_server: LlamaServer) -> None:
    """Its tokenizer is its own: the first request alone is sized by an estimate. What leaves no room for the
    answer in its window is not asked."""
    room.fleet({"box": llama_server.url}, box={"engine": "auto"})
    (room.folder / "mine.toml").write_text("lengths = [200, 1000, 4090]\nrequests = 4\nmax_tokens = 8\n")
    told = bench(room, "--suite", "mine.toml", "-o", "out", code=1)
    measured = {one["target_prompt_tokens"]: one["prompt_tokens"] for one in told["cells"]}
    assert measured == {200: pytest.approx(200, abs=10), 1000: pytest.approx(1000, rel=0.02), 4090: None}
    first, *others = table_of(room, "out/requests.csv")[:8]
    assert (first["phase"], {row["phase"] for row in others}) == ("cold", {"warmup", "measure"})
