"""What the simulator says on each wire, over HTTP."""

import time
from typing import Any

import pytest
import requests

from tests.integration.simulated import CHAT, PAPER, ask, calls, profile, stream, text_of
from tests.nearest import nearest
from worker_agent.simulator.server import running

WORDY = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": "many"}'


def test_openai_stream() -> None:
    """Role chunk, content, finish, usage with cached tokens, [DONE]; the text is the paper's."""
    with running(profile()) as url:
        events, ended = stream(url, ask())
        assert ended
        assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert events[-2]["choices"][0]["finish_reason"] == "stop"
        usage = events[-1]["usage"]
        assert usage["completion_tokens"] == len(text_of(events).split())
        assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
        assert all(sentence in PAPER for sentence in text_of(events).split(". "))
        models = requests.get(url + "/v1/models", timeout=5).json()
        assert models["data"][0]["id"] == "m"


def test_openai_whole_answer_has_the_text_of_the_stream() -> None:
    """`stream: false` gives one JSON object."""
    with running(profile()) as url:
        whole = requests.post(url + CHAT, json=ask(stream=False), timeout=5).json()
        events, _ = stream(url, ask())
    assert whole["choices"][0]["message"]["content"] == text_of(events)
    assert whole["usage"]["completion_tokens"] == events[-1]["usage"]["completion_tokens"]


def test_ollama_stream() -> None:
    """NDJSON, last line with counts and nanoseconds that fit what the client sees."""
    Seen = tuple[list[dict[str, Any]], float]

    def seen(url: str) -> Seen:
        started = time.perf_counter()
        events, ended = stream(url, ask(options={"num_ctx": 8192}), "/api/chat")
        assert ended
        return events, time.perf_counter() - started

    def slower(made: Seen) -> float:
        last = made[0][-1]
        return abs(last["eval_duration"] / 1e9 * 200 / (last["eval_count"] - 1) - 1)

    with running(profile("ollama", decode_tps=200)) as url:
        events, wall_s = nearest(lambda: seen(url), slower, 0.19)
    last = events[-1]
    assert (last["done_reason"], last["message"]["content"]) == ("stop", "")
    assert last["eval_count"] == len(text_of(events).split())
    assert last["eval_duration"] / 1e9 == pytest.approx((last["eval_count"] - 1) / 200, rel=0.2)
    assert last["total_duration"] / 1e9 < wall_s


def test_ollama_pages() -> None:
    """What a probe asks: version, tags, what is loaded, a model's trained window."""
    with running(profile("ollama", window=6000)) as url:
        assert requests.get(url, timeout=5).text == "Ollama is running"
        assert "version" in requests.get(url + "/api/version", timeout=5).json()
        assert requests.get(url + "/api/tags", timeout=5).json()["models"][0]["name"] == "m"
        assert requests.get(url + "/api/ps", timeout=5).json()["models"][0]["context_length"] == 6000
        shown = requests.post(url + "/api/show", json={"model": "m"}, timeout=5).json()
        assert shown["model_info"]["simulated.context_length"] == 6000


def test_ollama_cuts_silently_unless_told_not_to() -> None:
    """`truncate: false` is a 400; without it, half a window is read and the count says so."""
    body = ask(options={"num_ctx": 1000})
    with running(profile("ollama")) as url:
        refused = requests.post(url + "/api/chat", json=body | {"truncate": False}, timeout=5)
        events, _ = stream(url, body, "/api/chat")
    assert refused.status_code == 400
    assert "longer than the context length" in refused.json()["error"]
    assert events[-1]["prompt_eval_count"] == pytest.approx(502, abs=2)


def test_ollama_loads_on_demand_and_again_for_another_window() -> None:
    """`load_duration` shows each load; the same num_ctx costs nothing."""

    true_s = [0.2, 0.0, 0.2]

    def load_s(url: str, window: int) -> float:
        events, _ = stream(url, ask(options={"num_ctx": window}), "/api/chat")
        return float(events[-1].get("load_duration", 0)) / 1e9

    def cold() -> list[float]:
        with running(profile("ollama", load_s=0.2)) as url:
            assert requests.get(url + "/api/ps", timeout=5).json()["models"] == []
            return [load_s(url, window) for window in (8000, 8000, 7000)]

    loads = nearest(cold, lambda seen: max(abs(a - b) for a, b in zip(seen, true_s, strict=True)), 0.04)
    assert [round(seconds, 1) for seconds in loads] == true_s


def test_lm_studio_stream_has_no_role_chunk_and_no_cached_tokens() -> None:
    """The OpenAI surface as LM Studio fills it."""
    with running(profile("lm_studio")) as url:
        events, ended = stream(url, ask())
    assert ended
    assert events[0]["choices"][0]["delta"]["content"]
    assert "prompt_tokens_details" not in events[-1]["usage"]


def test_lm_studio_models_say_what_is_loaded_and_how_many_at_once() -> None:
    """`loaded_instances` is empty until a load, which may choose the window."""

    def instances(url: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(url + "/api/v1/models", timeout=5).json()["models"]
        assert found[0]["key"] == "m"
        return list(found[0]["loaded_instances"])

    def load_s() -> float:
        with running(profile("lm_studio", slots=3, load_s=0.1)) as url:
            assert instances(url) == []
            body: dict[str, Any] = {"model": "m", "context_length": 2048}
            loaded = requests.post(url + "/api/v1/models/load", json=body, timeout=5).json()
            assert loaded["status"] == "loaded"
            config = {"context_length": 2048, "parallel": 3, "flash_attention": True}
            assert instances(url)[0]["config"] == config
            return float(loaded["load_time_seconds"])

    assert nearest(load_s, lambda seen_s: abs(seen_s - 0.1), 0.05) == pytest.approx(0.1, abs=0.05)


def test_lm_studio_refuses_a_long_prompt_inside_the_stream() -> None:
    """Status 200 and an error event; without streaming a 400."""
    with running(profile("lm_studio", window=1000)) as url:
        streamed = requests.post(url + CHAT, json=ask(), timeout=5)
        whole = requests.post(url + CHAT, json=ask(stream=False), timeout=5)
    assert streamed.status_code == 200
    assert streamed.text.startswith("event: error\ndata: ")
    assert whole.status_code == 400
    assert "context length of only 1000 tokens" in whole.json()["error"]


def test_openai_refuses_what_does_not_fit_with_its_allowance() -> None:
    """Prompt and max_tokens together, as OpenAI and vLLM count."""
    with running(profile(window=3000)) as url:
        fits = requests.post(url + CHAT, json=ask(max_tokens=10), timeout=5)
        over = requests.post(url + CHAT, json=ask(max_tokens=2990), timeout=5)
    assert fits.status_code == 200
    assert (over.status_code, over.json()["error"]["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize(
    ("wire", "path", "told"),
    [
        ("openai", CHAT, "does not exist"),
        ("lm_studio", CHAT, "No models loaded"),
        ("ollama", "/api/chat", "model 'other' not found"),
    ],
)
def test_an_unknown_model_is_404(wire: str, path: str, told: str) -> None:
    """Each wire in its own words, marked as simulated like every reply."""
    with running(profile(wire)) as url:
        reply = requests.post(url + path, json=ask(model="other"), timeout=5)
        assert calls(url)["refused"] == 1
    assert reply.status_code == 404
    assert told in reply.text
    assert reply.headers["X-LLMQ-Simulated"] == "1"


@pytest.mark.parametrize("wire", ["openai", "lm_studio", "ollama"])
def test_it_says_that_it_is_a_simulator(wire: str) -> None:
    """GET /simulator, on every wire; with what decides its draws."""
    with running(profile(wire, slots=2, window=5000, speed=0.5), seed=7) as url:
        about = requests.get(url + "/simulator", timeout=5).json()
    assert about.pop("version")
    assert (about.pop("seed"), about.pop("speed"), about.pop("time_scale")) == (7, 0.5, 1.0)
    models = [{"name": "m", "window": 5000}]
    assert about == {"wire": wire, "profile": "test", "models": models, "slots": 2, "simulated": True}


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "m"}', b'{"model": "m", "messages": [1]}', WORDY])
def test_nonsense_is_400(body: bytes) -> None:
    """And the connection lives on."""
    with running(profile()) as url, requests.Session() as session:
        assert session.post(url + CHAT, data=body, timeout=5).status_code == 400
        assert session.post(url + CHAT, json=ask(), timeout=5).status_code == 200


def test_max_tokens_cuts_and_says_length() -> None:
    """Exactly that many words, finish_reason `length`."""
    with running(profile()) as url:
        events, _ = stream(url, ask(max_tokens=7))
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    assert events[-1]["usage"]["completion_tokens"] == len(text_of(events).split()) == 7


def test_same_seed_same_answer_other_prompt_other_answer() -> None:
    """Over two servers: the seed decides, not the moment."""

    def answers(seed: int) -> list[str]:
        with running(profile(output_spread=0.5), seed=seed) as url:
            return [text_of(stream(url, ask(words))[0]) for words in ("Methods?", "Results?")]

    first, again, other = answers(1), answers(1), answers(2)
    assert first == again
    assert len({*first, *other}) == 4
