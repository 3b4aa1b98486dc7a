"""Which engine answers at an address, if any."""

import pytest

from tests.contract.bench import Bench
from tests.contract.engine_server import Reply, page, serving
from tests.contract.wires import MODEL, WIRES
from worker_agent.config import Host
from worker_agent.detect import connect, detect, detect_local, differs
from worker_agent.errors import ConfigError, EngineUnavailable, RequestRejected


def test_each_engine_is_recognised(bench: Bench) -> None:
    """Detection names the engine and brings its state."""
    found = detect(bench.server.url)
    assert found is not None
    assert (found.engine, found.needs_key) == (bench.wire.name, False)
    assert [model.name for model in found.state.models] == [MODEL]
    assert connect(Host("here", "auto", bench.server.url)).name == bench.wire.name


def test_a_simulator_of_another_wire_is_taken_for_that_engine() -> None:
    """It could not answer in the simulator's own way; the header still says that it is simulated."""
    about = page({"version": "1", "wire": "ollama", "models": [], "slots": 1, "simulated": True})
    with serving({"/simulator": about, **WIRES["ollama"].pages()}) as server:
        found = detect(server.url)
    assert found is not None
    assert found.engine == "ollama"


def test_an_engine_that_wants_a_key_is_not_absent(bench: Bench) -> None:
    """401 on every page: something is there, and it needs a key."""
    refused = page({"error": {"message": "Unauthorized"}}, 401)
    with serving(dict.fromkeys([*bench.server.replies, "/api/v0/models", "/v1/models"], refused)) as locked:
        found = detect(locked.url)
        assert found is not None
        assert found.needs_key
        with pytest.raises(RequestRejected, match="needs an API key"):
            connect(Host("here", "auto", locked.url))


def test_nothing_there_is_no_engine() -> None:
    """Neither a closed port nor a web server is an engine; `auto` says so."""
    with serving({"/": Reply((b"<html>hello</html>",), content_type="text/html")}) as server:
        assert detect(server.url) is None
        with pytest.raises(EngineUnavailable, match="no engine"):
            connect(Host("here", "auto", server.url))
    assert detect(server.url) is None


def test_a_web_app_that_answers_everything_is_no_engine() -> None:
    """A front page with HTTP 200 for any path proves nothing."""

    class Everything(dict[str, Reply]):
        def get(self, key: str, default: Reply | None = None) -> Reply:
            return Reply((b"<html>app</html>",), content_type="text/html")

    with serving(Everything()) as server:
        assert detect(server.url) is None


def test_a_loading_llama_server_is_recognised() -> None:
    """503 while it loads: there, and not ready."""
    loading = page({"error": {"code": 503, "message": "Loading model"}}, 503, Server="llama.cpp")
    with serving({"/props": loading}) as server:
        found = detect(server.url)
        assert found is not None
        assert (found.engine, found.state.models, found.needs_key) == ("llama_cpp", (), False)


def test_a_locked_llama_server_is_recognised() -> None:
    """Its header tells what it is even where the key is missing."""
    locked = page({"error": {"message": "Invalid API Key"}}, 401, Server="llama.cpp")
    paths = ("/props", "/simulator", "/node_id")
    with serving(dict.fromkeys(paths, locked)) as server:
        found = detect(server.url)
        assert found is not None
        assert (found.engine, found.needs_key) == ("llama_cpp", True)


def test_all_engines_of_this_machine_are_found() -> None:
    """In the order of the ports, past those where nothing is."""
    with (
        serving(WIRES["ollama"].pages()) as first,
        serving(WIRES["exo"].pages()) as second,
        serving({}) as none,
    ):
        ports = (first.server_port, none.server_port, second.server_port)
        assert [found.engine for found in detect_local(ports)] == ["ollama", "exo"]


def test_an_unknown_engine_is_a_configuration_error() -> None:
    """The message lists the known ones."""
    with pytest.raises(ConfigError, match=r"'olama'.*ollama"):
        connect(Host("here", "olama", "http://127.0.0.1:1"))


def test_a_host_configured_as_another_kind_is_told(bench: Bench) -> None:
    """The configuration is trusted; what answers instead is a word for a warning. `auto` fits anything."""
    assert differs(Host("here", bench.wire.name, bench.server.url)) == ""
    assert differs(Host("here", "auto", bench.server.url)) == ""
    wrong = "exo" if bench.wire.name != "exo" else "ollama"
    assert differs(Host("here", wrong, bench.server.url)) == bench.wire.name
