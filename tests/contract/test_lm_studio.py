"""What only LM Studio does."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.livehost import LiveHost
from tests.contract.engine_server import Pause, Reply, page, serving
from tests.contract.wires import MODEL, OTHER, WINDOW, LMStudioWire
from worker_agent.completion import Request
from worker_agent.config import Host, ModelName
from worker_agent.engines import Call
from worker_agent.errors import BadReply


class _LoadingStudio(LMStudioWire):
    """LM Studio with MODEL on disk; it is loaded once somebody asks for that."""

    def pages(self) -> dict[str, Reply | list[Reply]]:
        on_disk = page({"models": [self.card(OTHER, loaded=True), self.card()]})
        ready = page({"models": [self.card(OTHER, loaded=True), self.card(loaded=True)]})
        done = page({"type": "llm", "instance_id": MODEL, "load_time_seconds": 1.0, "status": "loaded"})
        load = Reply(**vars(done) | {"before": (Pause(0.1),)})
        return {"/api/v1/models": [on_disk, on_disk, ready], "/api/v1/models/load": load}


def test_lm_studio_loads_a_model_once_for_all_threads() -> None:
    """N first requests would load N copies; `prepare` loads one and reads its window."""
    wire = _LoadingStudio()
    with serving(wire.pages()) as server, ThreadPoolExecutor(4) as pool:
        engine = wire.engine(server.url)
        barrier = threading.Barrier(4)

        def prepare(_: int) -> int | None:
            barrier.wait()
            return engine.prepare(MODEL, 16384).window

        assert set(pool.map(prepare, range(4))) == {WINDOW}
        assert [asked.body for asked in server.requests_to("/api/v1/models/load")] == [
            {"model": MODEL, "context_length": 16384}
        ]


def test_lm_studio_puts_loaded_models_first() -> None:
    """The slots are those of the loaded one."""
    wire = _LoadingStudio()
    with serving(wire.pages()) as server:
        state = wire.engine(server.url).state()
    assert [(model.name, model.loaded) for model in state.models] == [(OTHER, True), (MODEL, False)]
    assert state.slots == 4


def _old_studio(server_state: str) -> Reply:
    card = {"id": MODEL, "type": "llm", "state": server_state, "max_context_length": 32768}
    return page({"data": [card, {"id": "embed", "type": "embeddings", "state": "loaded"}]})


def test_an_old_lm_studio_is_asked_in_its_own_way() -> None:
    """Before 0.4 there is no v1 API: an error with HTTP 200. A model is loaded by one short request,
    and its window stays unknown."""
    unexpected = page({"error": "Unexpected endpoint or method. (GET /api/v1/models)"})
    pages: dict[str, Reply | list[Reply]] = {
        "/api/v1/models": unexpected,
        "/api/v1/models/load": unexpected,
        "/api/v0/models": [_old_studio("not-loaded"), _old_studio("loaded")],
        "/v1/chat/completions": page({"choices": [{"message": {"content": "Hi"}}]}),
    }
    with serving(pages) as server:
        model = LMStudioWire().engine(server.url).prepare(MODEL)
        asked = server.requests_to("/v1/chat/completions")
    assert (model.loaded, model.window, model.trained_window) == (True, None, 32768)
    assert [(request.body["model"], request.body["max_tokens"]) for request in asked] == [(MODEL, 1)]


@pytest.mark.parametrize("echoed", ["qwen3-8b", "qwen/qwen3-8b:2", "Qwen3-8B@q4_k_m"])
def test_lm_studios_spellings_of_a_name_are_the_same_model(echoed: str) -> None:
    """It may drop the publisher and add an instance or a variant."""
    wire = LMStudioWire()
    stream = wire.stream(wire.role(echoed), wire.choice({"content": "x"}, "stop", echoed), wire.mark())
    with serving({wire.chat_path: stream}) as server:
        done = wire.engine(server.url).complete(Request("qwen/qwen3-8b", "Why?"), Call())
    assert (done.text, done.model) == ("x", echoed)


def test_a_load_that_fails_with_status_200_is_an_error() -> None:
    """LM Studio tells of failures in a reply that claims success."""
    wire = _LoadingStudio()
    crashed = page({"error": {"message": "The model has crashed. (Exit code: 137)"}})
    with (
        serving(wire.pages() | {"/api/v1/models/load": crashed}) as server,
        pytest.raises(BadReply, match="Exit code: 137"),
    ):
        wire.engine(server.url).prepare(MODEL)


def test_a_workers_first_requests_load_a_model_once() -> None:
    """The warm-up and every slot come to a cold LM Studio at once: one load, one copy in memory."""
    wire = _LoadingStudio()
    with serving(wire.pages()) as server, ThreadPoolExecutor(8) as pool:
        live = LiveHost(
            Host("one", "lm_studio", server.url, (ModelName(MODEL, MODEL),)), "x", health_check_interval=30
        )
        barrier = threading.Barrier(8)

        def prepare(_: int) -> int | None:
            barrier.wait()
            return live.prepare(live.model(MODEL)).window

        assert set(pool.map(prepare, range(8))) == {WINDOW}
        assert len(server.requests_to("/api/v1/models/load")) == 1
