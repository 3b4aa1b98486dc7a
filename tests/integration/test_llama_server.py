"""The llama.cpp server that other tests rely on: it behaves as the fact sheets say, over plain HTTP."""

import json
from typing import Any

import pytest
import requests

from tests.llama.model import Recipe
from tests.llama.server import LlamaServer, llama_running
from worker_agent.completion import Request
from worker_agent.engines import Call
from worker_agent.engines.llama_cpp import LlamaCpp

pytest_plugins = ["tests.llama.plugin"]
pytestmark = pytest.mark.llama

PAPER = "".join(f"Section {n} is about the expansion of the universe and its age. " for n in range(60))


def ask(server: LlamaServer, instruction: str, *, paper: str = PAPER, **more: Any) -> requests.Response:
    content = f"<paper>{paper}</paper>\n{instruction}"
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 12,
        "temperature": 0,
    } | more
    return requests.post(server.url + "/v1/chat/completions", json=body, timeout=60)


def test_a_second_question_to_a_paper_is_served_from_the_cache(llama_server: LlamaServer) -> None:
    """Nearly all prompt tokens are cached, and the engine's timings agree with its usage."""
    ask(llama_server, "Methods?").raise_for_status()
    second = ask(llama_server, "Results?").json()
    cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached > 0.9 * second["usage"]["prompt_tokens"] - 20
    assert second["timings"]["cache_n"] == cached
    assert second["timings"]["prompt_n"] + cached == second["usage"]["prompt_tokens"]


def test_a_stream_carries_usage_and_timings(llama_server: LlamaServer) -> None:
    """Content in pieces, then one chunk without choices, then [DONE]."""
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    lines = ask(llama_server, "Methods?", **more).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    text = "".join(c["delta"].get("content") or "" for event in events for c in event["choices"])
    assert len(text.split()) == 12
    assert text.isascii()
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 12
    assert {"prompt_ms", "predicted_ms", "cache_n"} <= set(events[-1]["timings"])
    assert "data: [DONE]" in lines


def test_a_prompt_over_the_window_is_refused(llama_server: LlamaServer) -> None:
    """400 with both numbers, not a cut paper."""
    refused = ask(llama_server, "Summarize.", paper=PAPER * 8)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (400, "exceed_context_size_error")
    assert error["n_prompt_tokens"] > error["n_ctx"] == llama_server.window


def test_it_tells_its_slots_and_window(llama_server: LlamaServer) -> None:
    """/props per slot, /v1/models, /slots and /metrics are on."""
    props = requests.get(llama_server.url + "/props", timeout=5).json()
    assert props["total_slots"] == llama_server.slots
    assert props["default_generation_settings"]["n_ctx"] == llama_server.window
    models = requests.get(llama_server.url + "/v1/models", timeout=5).json()
    assert models["data"][0]["id"] == llama_server.model
    assert len(requests.get(llama_server.url + "/slots", timeout=5).json()) == llama_server.slots
    assert "llamacpp:" in requests.get(llama_server.url + "/metrics", timeout=5).text


def test_the_same_question_has_the_same_answer(llama_server: LlamaServer) -> None:
    """Temperature 0 is repeatable, and another question is answered otherwise."""
    answers = [
        ask(llama_server, words, paper="A short paper.", max_tokens=40).json()["choices"][0]["message"][
            "content"
        ]
        for words in ("Methods?", "Methods?", "What is the age of the universe?")
    ]
    assert answers[0] == answers[1] != answers[2]


def test_an_end_can_be_made_likely_and_a_key_required() -> None:
    """`eos_bias` ends answers by themselves; without the key nothing is answered."""
    with llama_running(recipe=Recipe(eos_bias=100.0), api_keys=("secret",), slots=1) as server:
        assert ask(server, "Methods?").status_code == 401
        header = {"Authorization": "Bearer secret"}
        body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
        url = server.url + "/v1/chat/completions"
        ended = requests.post(url, json=body, headers=header, timeout=60).json()
    assert ended["choices"][0]["finish_reason"] == "stop"


def test_its_own_times_leave_the_way(llama_server: LlamaServer) -> None:
    """Our times around the engine's: reading and writing are within what we saw, and little is left for a
    way that is loopback, whether it reads a whole paper or finds it in the cache."""
    engine = LlamaCpp(llama_server.url)
    for cold in (True, False):
        prompt = f"A new paper. {PAPER}" if cold else f"A new paper. {PAPER} Methods?"
        done = engine.complete(Request(llama_server.model, prompt, max_tokens=12), Call())
        timing, report = done.timing, done.report
        assert timing.network_s is not None
        assert timing.network_s < 0.25
        assert report.prompt_eval_s is not None
        assert report.eval_s is not None
        assert timing.stream_end_s is not None
        assert report.prompt_eval_s + report.eval_s <= timing.stream_end_s + 0.005
        assert report.decode_tps == pytest.approx(12 / report.eval_s, rel=0.2)
        assert done.counts.completion_tokens == 12
