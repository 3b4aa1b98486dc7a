"""Eight first requests for two models at once: the engine loads each once, whichever wire it speaks."""

import json
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.livehost import LiveHost
from worker_agent.completion import Request
from worker_agent.config import Host, ModelName
from worker_agent.engines import Call
from worker_agent.simulator.profile import make_profile
from worker_agent.simulator.server import running


@pytest.mark.parametrize("wire", ["lm_studio", "ollama", "openai"])
def test_first_requests_load_each_model_once(wire: str) -> None:
    """Prepared and asked by eight threads of one worker, four for each model."""
    models = {"name": "x", "wire": wire, "models": ["a", "b"], "slots": 8}
    profile = make_profile(models | {"service_s": 0.01, "load_s": 0.2})
    with running(profile) as url, ThreadPoolExecutor(8) as pool:
        served = (ModelName("a", "a"), ModelName("b", "b"))
        live = LiveHost(Host("one", wire, url, served), "x", health_check_interval=30)
        barrier = threading.Barrier(8)

        def ask(n: int) -> str:
            barrier.wait()
            model = live.prepare(live.model("ab"[n % 2]))
            request = Request(model.local, f"What is dust, {n}?", max_tokens=8, window=model.window)
            return live.engine.complete(request, Call()).text

        assert all(pool.map(ask, range(8)))
        with urllib.request.urlopen(f"{url}/simulator/calls", timeout=5) as page:
            assert json.load(page)["loads"] == 2
