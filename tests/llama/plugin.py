"""The fixture `llama_server`."""

from collections.abc import Iterator

import pytest

from tests.llama.server import LlamaServer, llama_running


@pytest.fixture(scope="session")
def llama_server() -> Iterator[LlamaServer]:
    """One server for the session: two slots of 4096 tokens, prefix cache per slot, no host cache."""
    with llama_running() as server:
        yield server
