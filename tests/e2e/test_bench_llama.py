"""`llmq bench` of a real llama.cpp server: its own times agree with ours."""

import csv
import json
from statistics import median

import pytest

from tests.e2e.room import Room
from tests.llama.server import LlamaServer, llama_running
from tests.nearest import nearest

pytest_plugins = ["tests.llama.plugin"]
pytestmark = pytest.mark.llama

LONG = "".join(f"In section {n} they measure how fast the universe expands, and its age. " for n in range(80))
Rows = list[dict[str, str]]
SEVERAL = 4  # attempts at a cell of seconds


def measured(room: Room, server: LlamaServer, requests: int, *args: str) -> Rows:
    """The rows of one cell, all of them answered."""
    room.fleet({"box": server.url}, box={"engine": "auto"})
    asked = ("--requests", str(requests), "--max-tokens", "48", "-o", "out", "--json", *args)
    done = room.llmq("bench", "--fleet", "fleet.toml", *asked)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert (cell["ok"], cell["model"]) == (requests, server.model)
    with (room.folder / "out" / "requests.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "measure"]
    for row in rows:
        assert (row["completion_tokens"], row["engine"], row["simulated"]) == ("48", "llama_cpp", "false")
        assert int(row["cached_tokens"]) < 0.5 * int(row["prompt_tokens"]), "the mark comes first"
    return rows


def read_s(row: dict[str, str]) -> tuple[float, float]:
    """Until the first token: by us, by the engine."""
    return float(row["ttft_ms"]) / 1000, float(row["server_prompt_eval_s"])


def wrote_s(row: dict[str, str]) -> tuple[float, float]:
    """From the first token on, with which its own count of time to write begins: by us, by the engine."""
    return float(row["e2e_latency_s"]) - float(row["ttft_ms"]) / 1000, float(row["server_eval_s"])


def off_s(times: list[tuple[float, float]]) -> float:
    """The median of how far the two are apart, either way, beyond 3 % or 5 ms: at most 0 where they agree."""
    return median(abs(ours - theirs) - max(0.005, 0.03 * theirs) for ours, theirs in times)


def wrote_off_s(rows: Rows) -> float:
    return off_s([wrote_s(row) for row in rows])


def test_the_engines_own_times_agree(room: Room, llama_server: LlamaServer) -> None:
    """Read and written as it says, within 3 % or 5 ms; every prompt read anew, every answer counted."""
    rows = nearest(lambda: measured(room, llama_server, 12), wrote_off_s, most=SEVERAL)
    assert wrote_off_s(rows) <= 0, rows
    for ours_s, theirs_s in map(read_s, rows):
        assert theirs_s <= ours_s + 0.005


def test_reading_and_writing_agree_both_ways(room: Room, llama_server: LlamaServer) -> None:
    """Long prompts, one at a time: what lies between our time to the first token and the engine's time to
    read (the way there, tokenising, a slot, the way back) is within 3 % or 5 ms; so is writing."""
    (room.folder / "long.txt").write_text(LONG)

    def read_off_s(rows: Rows) -> float:
        return off_s([read_s(row) for row in rows])

    rows = nearest(
        lambda: measured(room, llama_server, 12, "--prompt-file", "long.txt"),
        lambda rows: max(read_off_s(rows), wrote_off_s(rows)),
        most=SEVERAL,
    )
    assert median(theirs_s for _, theirs_s in map(read_s, rows)) > 0.17, "3 % is more than 5 ms"
    assert read_off_s(rows) <= 0, rows
    assert wrote_off_s(rows) <= 0, rows


def test_with_four_at_a_time_the_engines_queue_is_in_ttft_alone(room: Room) -> None:
    """Long prompts of four at once are read one after the other: who waits for that waits in our time to the
    first token, and not in the engine's time to read. Writing agrees as ever, and who had not to wait agrees
    in reading: nothing of the rest is ours."""
    (room.folder / "long.txt").write_text(LONG)
    asked = ("--prompt-file", "long.txt", "--concurrency", "4")

    def first_off_s(rows: Rows) -> float:
        """Of who waited least."""
        return off_s([min(map(read_s, rows), key=lambda pair: pair[0] - pair[1])])

    with llama_running(slots=4) as server:
        rows = nearest(
            lambda: measured(room, server, 16, *asked),
            lambda rows: max(first_off_s(rows), wrote_off_s(rows)),
            most=SEVERAL,
        )
    reads = [read_s(row) for row in rows]
    assert wrote_off_s(rows) <= 0, rows
    assert off_s([(min(ours, theirs), theirs) for ours, theirs in reads]) <= 0, "never less than it took"
    assert first_off_s(rows) <= 0, reads
    assert max(ours - theirs for ours, theirs in reads) > 0.1, "somebody waited"
