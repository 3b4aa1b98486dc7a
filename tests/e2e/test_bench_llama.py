"""`llmq bench` of a real llama.cpp server: its own times agree with ours."""

import csv
import json
from statistics import median

import pytest

from tests.e2e.room import Room
from tests.llama.server import LlamaServer

pytest_plugins = ["tests.llama.plugin"]
pytestmark = pytest.mark.llama


def test_the_engines_own_times_agree(room: Room, llama_server: LlamaServer) -> None:
    """Read and written as it says, within 3 % or 5 ms; every prompt read anew, every answer counted."""
    room.fleet({"box": llama_server.url}, box={"engine": "auto"})
    args = ("--requests", "12", "--max-tokens", "48", "-o", "out", "--json")
    done = room.llmq("bench", "--fleet", "fleet.toml", *args)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert (cell["ok"], cell["model"]) == (12, llama_server.model)
    with (room.folder / "out" / "requests.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "measure"]
    off = []
    for row in rows:
        assert (row["completion_tokens"], row["engine"], row["simulated"]) == ("48", "llama_cpp", "false")
        assert int(row["cached_tokens"]) < 0.5 * int(row["prompt_tokens"]), "the mark comes first"
        first_s, last_s = float(row["ttft_ms"]) / 1000, float(row["e2e_latency_s"])
        # Its own count of time to write begins with the first token.
        ours_s, theirs_s = last_s - first_s, float(row["server_eval_s"])
        off.append(abs(ours_s - theirs_s) - max(0.005, 0.03 * theirs_s))
        assert float(row["server_prompt_eval_s"]) <= first_s + 0.005
    assert median(off) <= 0, off
