"""The simulator over HTTP: wire formats, speed, queue, cancel, cache and faults, as a client sees them."""

import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from worker_agent.errors import ConfigError
from worker_agent.simulator.profile import Profile, make_profile
from worker_agent.simulator.server import running, serve

PAPER = "".join(f"Sentence number {n} is about dust and gas. " for n in range(200))
CHAT = "/v1/chat/completions"
WORDY = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": "many"}'


def profile(wire: str = "openai", **more: Any) -> Profile:
    plain = {"name": "test", "wire": wire, "models": ["m"], "output_tokens": 20, "output_spread": 0}
    fast = {} if "service_s" in more else {"ttft_s": 0.0, "decode_tps": 100_000.0}
    if "prefill_tps" in more:
        del fast["ttft_s"]
    return make_profile(plain | fast | more)


def ask(instruction: str = "Summarize.", *, paper: str = PAPER, **more: Any) -> dict[str, Any]:
    text = f"<paper>{paper}</paper>\n{instruction}"
    usage = {"include_usage": True}
    messages = [{"role": "system", "content": "You read papers."}, {"role": "user", "content": text}]
    return {"model": "m", "messages": messages, "stream": True, "stream_options": usage} | more


def stream(url: str, body: dict[str, Any], path: str = CHAT) -> tuple[list[dict[str, Any]], bool]:
    """The JSON events of a stream, and whether it came to its end mark."""
    reply = requests.post(url + path, json=body, stream=True, timeout=30)
    assert reply.status_code == 200
    assert reply.headers["X-LLMQ-Simulated"] == "1"
    lines = [line.decode().removeprefix("data: ") for line in reply.iter_lines() if line]
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return events, lines[-1] == "[DONE]" or bool(events[-1].get("done"))


def text_of(events: list[dict[str, Any]]) -> str:
    openai = [choice["delta"].get("content") or "" for e in events for choice in e.get("choices", [])]
    return "".join(openai + [event["message"]["content"] for event in events if "message" in event])


def calls(url: str) -> dict[str, int]:
    counters: dict[str, int] = requests.get(url + "/simulator/calls", timeout=5).json()
    return counters


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


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
    with running(profile("ollama", decode_tps=200)) as url:
        started = time.perf_counter()
        events, ended = stream(url, ask(options={"num_ctx": 8192}), "/api/chat")
        wall_s = time.perf_counter() - started
    last = events[-1]
    assert ended
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

    def load_s(url: str, window: int) -> float:
        events, _ = stream(url, ask(options={"num_ctx": window}), "/api/chat")
        return float(events[-1].get("load_duration", 0)) / 1e9

    with running(profile("ollama", load_s=0.2)) as url:
        assert requests.get(url + "/api/ps", timeout=5).json()["models"] == []
        loads = [load_s(url, window) for window in (8000, 8000, 7000)]
    assert [round(seconds, 1) for seconds in loads] == [0.2, 0.0, 0.2]


def test_lm_studio_stream_has_no_role_chunk_and_no_cached_tokens() -> None:
    """The OpenAI surface as LM Studio fills it."""
    with running(profile("lm_studio")) as url:
        events, ended = stream(url, ask())
    assert ended
    assert events[0]["choices"][0]["delta"]["content"]
    assert "prompt_tokens_details" not in events[-1]["usage"]


def test_lm_studio_models_say_what_is_loaded_and_how_many_at_once() -> None:
    """`loaded_instances` is empty until a load, which may choose the window."""
    with running(profile("lm_studio", slots=3, load_s=0.1)) as url:

        def instances() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = requests.get(url + "/api/v1/models", timeout=5).json()["models"]
            assert found[0]["key"] == "m"
            return list(found[0]["loaded_instances"])

        assert instances() == []
        body: dict[str, Any] = {"model": "m", "context_length": 2048}
        loaded = requests.post(url + "/api/v1/models/load", json=body, timeout=5).json()
        assert loaded["status"] == "loaded"
        assert loaded["load_time_seconds"] == pytest.approx(0.1, abs=0.05)
        assert instances()[0]["config"] == {"context_length": 2048, "parallel": 3, "flash_attention": True}


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
    assert (about.pop("seed"), about.pop("speed")) == (7, 0.5)
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


def test_requests_over_the_slots_queue_silently() -> None:
    """Four clients on two slots: two at a time, all answered, in two rounds."""
    with running(profile(service_s=0.3, slots=2)) as url:
        threads = [threading.Thread(target=stream, args=(url, ask(str(n)))) for n in range(4)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        wait_for(lambda: calls(url)["waiting"] == 2)
        for thread in threads:
            thread.join()
        assert time.perf_counter() - started >= 0.6
        counters = calls(url)
    assert (counters["finished"], counters["max_running"], counters["running"]) == (4, 2, 0)


def test_a_closed_connection_frees_the_slot_at_once() -> None:
    """The one in the slot leaves in the middle of a pause of 60 s; the one in the queue gets its place."""
    with running(profile(service_s=600.0)) as url:
        first = requests.post(url + CHAT, json=ask("one"), stream=True, timeout=5)
        second = threading.Thread(
            target=lambda: requests.post(url + CHAT, json=ask("two"), stream=True, timeout=5).close()
        )
        second.start()
        wait_for(lambda: calls(url)["waiting"] == 1)
        first.close()
        wait_for(lambda: calls(url)["started"] == 2)
        second.join()
        wait_for(lambda: calls(url)["cancelled"] == 2 and calls(url)["running"] == 0)


def test_a_held_prefix_is_not_computed_again() -> None:
    """The second question to a paper has cached tokens and a far shorter TTFT; another paper has not."""

    def cached_and_prefill(url: str, body: dict[str, Any]) -> tuple[int, float]:
        started = time.perf_counter()
        events, _ = stream(url, body)
        return events[-1]["usage"]["prompt_tokens_details"]["cached_tokens"], time.perf_counter() - started

    with running(profile(prefill_tps=5000, output_tokens=1)) as url:
        cold, cold_s = cached_and_prefill(url, ask("Methods?"))
        hot, hot_s = cached_and_prefill(url, ask("Results?"))
        other, other_s = cached_and_prefill(url, ask("Results?", paper=PAPER[::-1]))
    prompt_tokens = (len(PAPER) + len("You read papers.\n<paper></paper>\nResults?")) / 4
    assert cold == 0
    assert other < 10  # the system text and the tag
    assert hot == pytest.approx(prompt_tokens, abs=5)
    assert cold_s > prompt_tokens / 5000
    assert other_s > 5 * hot_s


def test_prefix_cache_off_counts_nothing() -> None:
    """So that a benchmark can have every request cold."""
    with running(profile(prefix_cache=False)) as url:
        usages = [stream(url, ask(words))[0][-1]["usage"] for words in ("a", "b")]
    assert [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages] == [0, 0]


def test_service_s_is_kept() -> None:
    """Each request takes its fixed time, never less; the median is within 20 ms (a busy machine)."""
    with running(profile(service_s=0.1)) as url, requests.Session() as session:
        errors = []
        for n in range(9):
            started = time.perf_counter()
            session.post(url + CHAT, json=ask(str(n)), timeout=5)
            errors.append(time.perf_counter() - started - 0.1)
    assert min(errors) >= 0
    assert statistics.median(errors) < 0.02


@pytest.mark.parametrize(("mode", "status", "kind"), [("500", 500, "json"), ("html", 200, "html")])
def test_faults_that_answer_at_once(mode: str, status: int, kind: str) -> None:
    """For as many requests as asked, then all is well again."""
    with running(profile()) as url:
        requests.post(url + "/simulator/fault", json={"mode": mode, "count": 2}, timeout=5)
        replies = [requests.post(url + CHAT, json=ask(), timeout=5) for _ in range(3)]
        assert calls(url)["refused"] == 2
    assert [reply.status_code for reply in replies] == [status, status, 200]
    assert kind in replies[0].headers["Content-Type"]


def test_fault_empty_ends_in_good_order_without_text() -> None:
    """Finish reason, usage, end mark: only the words are missing."""
    with running(profile(fault="empty")) as url:
        events, ended = stream(url, ask())
    assert ended
    assert text_of(events) == ""
    assert events[-1]["usage"]["completion_tokens"] == 0


def test_fault_drop_breaks_the_stream() -> None:
    """Some text, then a connection that ends without the end of its chunks."""
    with running(profile(fault="drop", fault_count=1)) as url:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            stream(url, ask())
        assert calls(url)["failed"] == 1
        assert stream(url, ask())[1]


@pytest.mark.parametrize(
    ("mode", "seen"),
    [("hang", requests.exceptions.ReadTimeout), ("stall", requests.exceptions.ConnectionError)],
)
def test_faults_that_fall_silent(mode: str, seen: type[Exception]) -> None:
    """`hang` sends not even headers, `stall` stops half-way; the slot is free once the client leaves."""

    def read_all(url: str) -> None:
        with requests.post(url + CHAT, json=ask(), stream=True, timeout=0.3) as reply:
            list(reply.iter_lines())

    with running(profile(fault=mode, fault_count=1)) as url:
        with pytest.raises(seen):
            read_all(url)
        wait_for(lambda: calls(url)["cancelled"] == 1)
        assert stream(url, ask())[1]


def test_an_unknown_fault_is_400() -> None:
    """With the list of those there are."""
    with running(profile()) as url:
        reply = requests.post(url + "/simulator/fault", json={"mode": "explode"}, timeout=5)
    assert reply.status_code == 400
    assert "stall" in reply.text


def test_a_taken_port_is_a_config_error() -> None:
    """One sentence, with the address."""
    with running(profile()) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            serve(profile(), port=port, seed=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_of_its_own_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """It says when it is ready, and leaves with status 0 even while a request runs."""
    program = tmp_path / "simulate.py"
    program.write_text(
        "from worker_agent.simulator.profile import load_profile\n"
        "from worker_agent.simulator.server import serve\n"
        "serve(load_profile('pi'), port=0, seed=1, on_ready=lambda url: print(url, flush=True))\n"
    )
    env = {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True, env=env) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        body: dict[str, Any] = {"model": "sim-3b", "messages": [{"role": "user", "content": "Hello there"}]}
        with pytest.raises(requests.exceptions.Timeout):
            requests.post(url + "/api/chat", json=body, timeout=0.2)
        server.send_signal(number)
        assert server.wait(10) == 0


def test_the_log_says_when_a_call_had_which_slot() -> None:
    """By the client's own name for it; one that hung up says so, one that waits is not there yet."""
    with running(profile(service_s=0.2)) as url:
        tagged = {"X-Request-Id": "a-1"}
        before = time.time()
        requests.post(url + CHAT, json=ask() | {"stream": False}, headers=tagged, timeout=5)
        after = time.time()
        requests.post(url + CHAT, json=ask(), stream=True, timeout=5).close()
        wait_for(lambda: calls(url)["cancelled"] == 1)
        whole, left = requests.get(url + "/simulator/log", timeout=5).json()
    assert (whole["tag"], whole["slot"], whole["outcome"]) == ("a-1", 0, "finished")
    assert before <= whole["begun_at"] < whole["ended_at"] <= after
    assert whole["ended_at"] - whole["begun_at"] >= 0.2
    assert (left["tag"], left["outcome"]) == ("", "cancelled")
