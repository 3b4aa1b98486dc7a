"""Papers through the queue to a real llama.cpp server and back: answers, counts, times, the prefix cache."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.room import Room
from tests.llama.server import LlamaServer

pytest_plugins = ["tests.llama.plugin"]
pytestmark = pytest.mark.llama

SENTENCE = "In section {n} the authors measure how fast the universe expands, and what its age is. "


@pytest.fixture
def served(room: Room, llama_server: LlamaServer) -> Room:
    """A room whose one host is the llama.cpp server, its engine detected, with a worker."""
    room.fleet({"box": llama_server.url}, box={"engine": "auto"})
    room.worker("box")
    return room


def paper(room: Room, name: str, sections: int) -> Path:
    folder = room.folder / "papers"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"{name}\n\n" + "\n\n".join(SENTENCE.format(n=n) for n in range(sections)))
    return path


def submit(room: Room, *args: str, code: int = 0) -> list[dict[str, Any]]:
    done = room.llmq("submit", *args, "--wait", "-o", "out.json")
    assert done.returncode == code, done.stderr
    return list(json.loads((room.folder / "out.json").read_text())["results"])


def test_answers_counts_and_times_are_the_engines(served: Room, llama_server: LlamaServer) -> None:
    """Five prompts on each of three papers: text, tokens as the server counts them, plausible stamps; and
    from the second prompt on at least three quarters of all come from the prefix cache, though the slot that
    is idle in the end may read a paper again to help."""
    for n in range(3):
        paper(served, f"paper-{n}.txt", 45)
    rows = submit(served, "papers", "--preset", "research", "--max-tokens", "12")
    assert len(rows) == 15
    for row in rows:
        figures = row["metrics"]
        assert len(row["response"]["response"].split()) > 3
        assert (row["response"]["model"], row["engine"]) == (llama_server.model, "llama_cpp")
        assert (row["simulated"], row["cut"], row["finish_reason"]) == (False, True, "length")
        assert (figures["completion_tokens"], figures["token_count_source"]) == (12, "server")
        assert figures["prompt_tokens"] > 1000
        assert figures["context_length"] == llama_server.window
        assert 0 < figures["ttft_ms"] <= 1000 * figures["e2e_latency_s"] <= 1000 * figures["stream_end_s"]
        assert 0 < figures["server_prompt_eval_s"] < figures["e2e_latency_s"]
        assert figures["server_eval_s"] > 0
    cached, read = 0, 0
    for _, group in groupby(rows, key=lambda row: row["file"]):
        first, *rest = (row["metrics"] for row in group)
        assert len(rest) == 4
        assert first["cached_tokens"] < 0.5 * first["prompt_tokens"]
        cached += sum(figures["cached_tokens"] for figures in rest)
        read += sum(figures["prompt_tokens"] for figures in rest)
    assert cached >= 0.75 * read


def test_a_paper_over_the_window_is_read_in_parts(served: Room, llama_server: LlamaServer) -> None:
    """It is split, every part is answered and the answers are joined; a short paper is not."""
    paper(served, "long.txt", 160)
    paper(served, "short.txt", 20)
    long, short = submit(served, "papers", "-p", "What is measured?", "--max-tokens", "12")
    assert (long["success"], short["success"], short["windows"]) == (True, True, 1)
    assert long["windows"] > 1
    figures = long["metrics"]
    assert figures["prompt_tokens"] > llama_server.window, "all of the paper was read"
    assert figures["completion_tokens"] == 12 * (long["windows"] + 1), "each part, and the joining"


def test_a_paper_over_the_window_may_be_refused(served: Room, llama_server: LlamaServer) -> None:
    """`--overflow error`: that paper fails with the numbers and the way out, the other is answered."""
    paper(served, "long.txt", 160)
    paper(served, "short.txt", 20)
    asked = ("papers", "-p", "What is measured?", "--max-tokens", "12", "--overflow", "error")
    long, short = submit(served, *asked, code=1)
    assert short["success"]
    assert (long["success"], long["response"], long["error"]["type"]) == (False, None, "context_overflow")
    told = long["error"]["message"]
    assert f"the window is {llama_server.window}" in told
    assert "--overflow split" in told
    assert "12 for the answer" in told
