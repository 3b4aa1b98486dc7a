"""The room every test here starts with; its Redis is the test's own, to be hurt."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RedisServer
from tests.e2e.room import Room


@pytest.fixture
def room(tmp_path: Path, redis_server: RedisServer) -> Iterator[Room]:
    """An empty room with its own Redis and home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMQ_")}
    home = str(tmp_path / "home")
    environ = kept | {"LLMQ_REDIS_URL": redis_server.url, "LLMQ_HOME": home, "PYTHONPATH": ""}
    made = Room(tmp_path, environ)
    yield made
    made.close()
