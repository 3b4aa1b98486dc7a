"""What only Exo and only llama.cpp do."""

import pytest

from tests.contract.engine_server import Reply, page, serving
from tests.contract.wires import MODEL, WIRES
from worker_agent.errors import ModelNotFound


def _exo_state(runner: str) -> Reply:
    shards = {"modelId": MODEL, "shards": [["node", "runner-1", {}]], "primaryOutputNode": 0}
    instance = {"MlxJacclInstance": {"instanceId": "i-1", "shardAssignments": shards}}
    return page({"instances": {"i-1": instance}, "runners": {"runner-1": {runner: {}}}})


@pytest.mark.parametrize(("runner", "loaded"), [("RunnerReady", True), ("RunnerLoading", False)])
def test_exo_is_ready_when_its_runners_are(runner: str, loaded: bool) -> None:
    """Newer versions list shards instead of mapping runners."""
    with serving({"/state": _exo_state(runner)}) as server:
        models = WIRES["exo"].engine(server.url).state().models
    assert [(model.name, model.loaded) for model in models] == [(MODEL, loaded)]


def test_exo_without_an_instance_says_what_to_do() -> None:
    """Exo loads nothing on demand."""
    with (
        serving({"/state": page({"instances": {}, "runners": {}})}) as server,
        pytest.raises(ModelNotFound, match="place one"),
    ):
        WIRES["exo"].engine(server.url).prepare(MODEL)


def test_a_llama_router_tells_which_model_is_loaded() -> None:
    """In router mode there are several models, and names count."""
    listed = [{"id": "a", "status": {"value": "unloaded"}}, {"id": "b", "status": {"value": "loaded"}}]
    with serving({"/props": page({"total_slots": 2}), "/v1/models": page({"data": listed})}) as server:
        engine = WIRES["llama_cpp"].engine(server.url)
        assert [(model.name, model.loaded) for model in engine.state().models] == [("b", True), ("a", False)]
        with pytest.raises(ModelNotFound, match="it has b, a"):
            engine.prepare("c")
