"""Suites of `llmq bench` over simulated engines: prompts of set lengths, one model on several engines."""

import csv
import json
from statistics import median
from typing import Any

from tests.e2e.room import Room, Simulator

LENGTHS = (100, 1000, 3000)
SUITE = "lengths = [100, 1000, 3000]\nconcurrency = [1, 3]\nrequests = 12\nwarmup = 2\nmax_tokens = 16\n"


def engine(room: Room, name: str, wire: str = "openai", **more: Any) -> Simulator:
    """One that takes as long for a prompt as that is long."""
    profile: dict[str, Any] = {
        "service_s": None,
        "prefill_tps": 20_000,
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
    sims = {"fast": engine(room, "fast"), "slow": engine(room, "slow", prefill_tps=10_000, window=2048)}
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
        assert (cell["n"], cell["ok"]) == (12, 12), cell
        assert abs(cell["prompt_tokens"] - length) <= 0.03 * length, (host, many, cell)
        assert not any("tokens" in note for note in cell["notes"]), cell
    for host, tps in (("fast", 20), ("slow", 10)):
        at = cells[host, 1000, 1]["ttft_ms"] - cells[host, 100, 1]["ttft_ms"]
        assert abs(at - 900 / tps) < 10, "the engine reads the rest of the prompt meanwhile"
    assert sims["slow"].calls()["started"] == 4 * 15, "of the long ones none was sent"

    rows = [row for row in table_of(room, "out/requests.csv") if row["phase"] == "measure"]
    sent = {(row["host"], row["target_prompt_tokens"], row["prompt_id"]) for row in rows}
    assert sent == {(host, f"{n}", f"len-{n}") for host in sims for n in LENGTHS}
    for row in rows:
        if row["status"] == "ok":
            assert abs(int(row["prompt_tokens"]) - int(row["target_prompt_tokens"])) <= 8
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
