"""The room every test here starts with."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.room import Room


@pytest.fixture
def room(tmp_path: Path, redis_url: str) -> Iterator[Room]:
    """An empty room with its own Redis and home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMQ_")}
    environ = kept | {"LLMQ_REDIS_URL": redis_url, "LLMQ_HOME": str(tmp_path / "home"), "PYTHONPATH": ""}
    made = Room(tmp_path, environ)
    yield made
    made.close()
