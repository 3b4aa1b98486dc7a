"""The simulator over HTTP: speed, slots, cancel, cache, start and end, as a client sees them."""

import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.simulated import CHAT, PAPER, ask, calls, profile, stream, wait_for
from tests.nearest import nearest
from worker_agent.completion import Limits, Request
from worker_agent.config import Host
from worker_agent.detect import connect
from worker_agent.engines import Call
from worker_agent.errors import ConfigError
from worker_agent.simulator.server import running, serve


def test_requests_over_the_slots_queue_silently() -> None:
    """Four clients on two slots: two at a time, all answered, in two rounds."""

    def four() -> tuple[int, dict[str, int]]:
        """How many were seen waiting, at most; and the counters in the end."""
        with running(profile(service_s=0.3, slots=2)) as url:
            threads = [threading.Thread(target=stream, args=(url, ask(str(n)))) for n in range(4)]
            started, seen = time.perf_counter(), 0
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                seen = max(seen, calls(url)["waiting"])
            assert time.perf_counter() - started >= 0.6
            return seen, calls(url)

    seen, counters = nearest(four, lambda made: abs(made[0] - 2))
    assert seen == 2
    assert (counters["finished"], counters["max_running"], counters["running"]) == (4, 2, 0)


@pytest.mark.parametrize("wire", ["ollama", "lm_studio", "openai"])
def test_every_reply_says_at_which_pace(wire: str) -> None:
    """So that no figure of it is taken for that of a machine: what the engine is, and each of its answers."""
    with running(profile(wire, service_s=0.1, time_scale=0.05)) as url:
        engine = connect(Host("sim", wire, url))
        state = engine.state()
        answer = engine.complete(Request("m", "Why?", max_tokens=8), Call(Limits()))
    assert (state.simulated, state.time_scale) == (True, 0.05)
    assert (answer.simulated, answer.time_scale) == (True, 0.05)


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

    prompt_tokens = (len(PAPER) + len("You read papers.\n<paper></paper>\nResults?")) / 4
    soon_s = 0.18 * prompt_tokens / 5000
    with running(profile(prefill_tps=5000, output_tokens=1)) as url:
        cold, cold_s = cached_and_prefill(url, ask("Methods?"))
        hot, hot_s = nearest(lambda: cached_and_prefill(url, ask("Results?")), lambda seen: seen[1], soon_s)
        other, other_s = cached_and_prefill(url, ask("Results?", paper=PAPER[::-1]))
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

    def nine() -> list[float]:
        errors = []
        for n in range(9):
            started = time.perf_counter()
            session.post(url + CHAT, json=ask(str(n)), timeout=5)
            errors.append(time.perf_counter() - started - 0.1)
        return errors

    with running(profile(service_s=0.1)) as url, requests.Session() as session:
        errors = nearest(nine, statistics.median, 0.019)
    assert min(errors) >= 0
    assert statistics.median(errors) < 0.02


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

    def answered() -> tuple[float, dict[str, Any], float]:
        before = time.time()
        requests.post(url + CHAT, json=ask() | {"stream": False}, headers={"X-Request-Id": "a-1"}, timeout=5)
        after = time.time()
        return before, requests.get(url + "/simulator/log", timeout=5).json()[-1], after

    with running(profile(service_s=0.2)) as url:
        before, whole, after = nearest(
            answered, lambda seen: max(seen[1]["queued_s"] - 0.09, seen[1]["first_s"] - 0.19)
        )
        requests.post(url + CHAT, json=ask(), stream=True, timeout=5).close()
        wait_for(lambda: calls(url)["cancelled"] == 1)
        left = requests.get(url + "/simulator/log", timeout=5).json()[-1]
    assert (whole["tag"], whole["slot"], whole["outcome"]) == ("a-1", 0, "finished")
    assert before <= whole["begun_at"] < whole["ended_at"] <= after
    assert whole["ended_at"] - whole["begun_at"] >= 0.2
    assert 0 <= whole["queued_s"] < 0.1
    assert 0 < whole["due_s"] <= whole["first_s"] < 0.2
    assert (left["tag"], left["outcome"]) == ("", "cancelled")
