"""The room and the stage of the fault tests; the Redis is the test's own, to be hurt."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RedisServer
from tests.e2e.room import Room
from tests.fault.scene import Scene, scene


@pytest.fixture
def room(tmp_path: Path, redis_server: RedisServer) -> Iterator[Room]:
    """An empty room with its own Redis and home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMQ_")}
    home = str(tmp_path / "home")
    environ = kept | {"LLMQ_REDIS_URL": redis_server.url, "LLMQ_HOME": home, "PYTHONPATH": ""}
    made = Room(tmp_path, environ)
    yield made
    made.close()


@pytest.fixture
def stage(tmp_path: Path, redis_server: RedisServer) -> Iterator[Callable[..., Scene]]:
    """Sets a scene with a Redis of its own; the arguments are those of `scene`."""
    with ExitStack() as stack:

        def set_scene(**setting: Any) -> Scene:
            return stack.enter_context(scene(tmp_path, redis_server, **setting))

        yield set_scene
