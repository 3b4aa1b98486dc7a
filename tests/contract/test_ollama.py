"""What only Ollama does."""

from typing import Any

import pytest

from tests.contract.engine_server import Reply, page, serving
from tests.contract.wires import MODEL, WINDOW, OllamaWire
from worker_agent.completion import ModelMemory, Request
from worker_agent.engines import ENGINES, Call


def _ollama(**pages: Reply) -> dict[str, Reply | list[Reply]]:
    return OllamaWire().pages() | {f"/api/{name}": reply for name, reply in pages.items()}


NOTHING_LOADED = page({"models": []})


@pytest.mark.parametrize(
    ("configured", "loaded", "trained", "window"),
    [
        (16384, WINDOW, 131072, 16384),
        (None, WINDOW, 131072, WINDOW),
        (None, None, 131072, 8192),
        (None, None, 2048, 2048),
        (None, None, None, 8192),
    ],
)
def test_ollamas_window_is_decided_for_it(
    configured: int | None, loaded: int | None, trained: int | None, window: int
) -> None:
    """Configured, else what is loaded, else the smaller of 8192 and the trained window."""
    shown = page({"model_info": {"llama.context_length": trained}, "details": {}})
    pages = _ollama(show=shown) if loaded else _ollama(show=shown, ps=NOTHING_LOADED)
    with serving(pages) as server:
        assert OllamaWire().engine(server.url).prepare(MODEL, configured).window == window


def test_ollama_gets_the_same_options_on_every_request() -> None:
    """A window that changes reloads the model, and without the two switches papers are cut in silence."""
    wire = OllamaWire()
    with serving(_ollama(ps=NOTHING_LOADED) | {wire.chat_path: wire.answer("x", "y")}) as server:
        engine = wire.engine(server.url)
        engine.complete(Request(MODEL, "Why?"), Call())
        server.replies |= _ollama()  # meanwhile somebody loaded it with another window
        engine.prepare(MODEL)
        engine.complete(Request(MODEL, "Why?"), Call())
        bodies = [asked.body for asked in server.requests_to(wire.chat_path)]
    assert [body["options"]["num_ctx"] for body in bodies] == [8192, 8192]
    assert all(body["truncate"] is False and body["shift"] is False for body in bodies)
    assert all(body["keep_alive"] for body in bodies)
    assert "think" not in bodies[0]


@pytest.mark.parametrize("name", ["tiny:latest", "tiny"])
def test_ollama_knows_a_model_without_its_tag(name: str) -> None:
    """`tiny` is `tiny:latest`, however it is listed, and the request keeps the user's name."""
    card = {"name": name, "model": name}
    tags, loaded = page({"models": [card]}), page({"models": [card | {"context_length": WINDOW}]})
    with serving(_ollama(tags=tags, ps=loaded)) as server:
        model = OllamaWire().engine(server.url).prepare("tiny")
    assert (model.name, model.loaded, model.window) == ("tiny", True, WINDOW)


@pytest.mark.parametrize(
    ("listed", "memory"),
    [
        ([{"name": MODEL, "size": 600, "size_vram": 500}], ModelMemory(600, 500, "ollama_ps")),
        ([{"name": MODEL, "size": 600, "size_vram": 0}], ModelMemory(600, 0, "ollama_ps")),
        ([{"name": "other:7b", "size": 900, "size_vram": 900}], None),
        ([{"name": MODEL, "size": 0}], None),
        ([], None),
    ],
)
def test_ollama_says_what_a_loaded_model_takes(listed: list[Any], memory: ModelMemory | None) -> None:
    """The total, with what is on the GPU; of a model that is not loaded, nothing."""
    with serving(_ollama(ps=page({"models": listed}))) as server:
        assert OllamaWire().engine(server.url).model_memory(MODEL) == memory


def test_no_other_engine_says_what_a_model_takes() -> None:
    """It is unknown then, and nobody is asked."""
    with serving({}) as server:
        for kind in ENGINES.values():
            if kind.name not in ("ollama", "simulator"):
                assert kind(server.url).model_memory(MODEL) is None
