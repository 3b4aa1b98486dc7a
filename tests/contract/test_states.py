"""What every adapter finds out about its engine: version, models, windows, slots."""

import pytest

from tests.contract.bench import Bench
from tests.contract.engine_server import Hang, Reply
from tests.contract.wires import MODEL, WINDOW
from worker_agent.errors import BadReply, EngineTimeout, EngineUnavailable, ModelNotFound


def test_the_state_lists_what_can_answer(bench: Bench) -> None:
    """Version, slots and the one model that is ready, with its window; no embedding model."""
    state, wire = bench.engine.state(), bench.wire
    assert (state.engine, state.version, state.slots) == (wire.name, wire.version, wire.slots)
    assert [(model.name, model.loaded) for model in state.models] == [(MODEL, True)]
    assert state.models[0].window == (WINDOW if wire.keeps_window else None)
    assert state.simulated is (wire.name == "simulator")


def test_a_simulated_engine_says_so(bench: Bench) -> None:
    """The header on any page marks the state, whatever wire it speaks."""
    for path, reply in bench.server.replies.items():
        bench.server.replies[path] = Reply(**vars(reply) | {"headers": {"X-LLMQ-Simulated": "1"}})
    assert bench.engine.state().simulated


def test_a_ready_model_is_only_looked_up(bench: Bench) -> None:
    """`prepare` says which window to use."""
    model = bench.engine.prepare(MODEL)
    assert (model.name, model.loaded) == (MODEL, True)
    assert model.window == (WINDOW if bench.wire.keeps_window else None)


def test_preparing_an_unknown_model_tells_what_there_is(bench: Bench) -> None:
    """A typing error is answered with the right names. llama.cpp has one model and ignores names."""
    if bench.wire.name == "llama_cpp":
        assert bench.engine.prepare("typo").name == MODEL
    else:
        with pytest.raises(ModelNotFound, match=f"no model 'typo:1b'; it has .*{MODEL}"):
            bench.engine.prepare("typo:1b")


def test_a_probe_of_nothing_is_unavailable(bench: Bench) -> None:
    """Nobody listens any more."""
    bench.server.shutdown()
    bench.server.server_close()
    with pytest.raises(EngineUnavailable, match=bench.engine.url):
        bench.engine.state()
    bench.server.serve_forever = lambda *_: None  # type: ignore[method-assign]


def test_a_probe_that_hangs_is_a_timeout(bench: Bench) -> None:
    """A probe has its own short limit."""
    bench.server.replies = {path: Reply(before=(Hang(),)) for path in bench.server.replies}
    with pytest.raises(EngineTimeout, match=r"no reply within 0\.05 s"):
        bench.engine.state(timeout_s=0.05)


def test_a_probe_answered_by_a_web_page_is_a_bad_reply(bench: Bench) -> None:
    """Another program at the address, which answers any path with its front page."""
    front = Reply((b"<html>Welcome</html>",), content_type="text/html")
    bench.server.replies = dict.fromkeys([*bench.server.replies, "/api/v0/models"], front)
    with pytest.raises(BadReply, match="Welcome"):
        bench.engine.state()
