"""A simulated engine as its client sees it: a request, its stream, and what the engine counted."""

import json
import time
from collections.abc import Callable
from typing import Any

import requests

from worker_agent.simulator.profile import Profile, make_profile

PAPER = "".join(f"Sentence number {n} is about dust and gas. " for n in range(200))
CHAT = "/v1/chat/completions"


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
