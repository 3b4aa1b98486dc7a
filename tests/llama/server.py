"""A real llama.cpp server for tests, with a model made on the spot: `with llama_running(slots=1) as server`.

For one that all tests share: `pytest_plugins = ["tests.llama.plugin"]`, and take the fixture `llama_server`.
"""

import json
import os
import platform
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import pytest

from tests.llama.model import Recipe, make_model

START_S = 60.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """A llama.cpp server on a loopback port. `window` is per slot; `process` can be killed or frozen."""

    url: str
    model: str
    slots: int
    window: int
    process: "subprocess.Popen[str]"


@contextmanager
def llama_running(
    *,
    slots: int = 2,
    window: int = 4096,
    cache_ram_mib: int = 0,
    model: str = "llmq-test",
    api_keys: tuple[str, ...] = (),
    port: int = 0,
    recipe: Recipe | None = None,
) -> Iterator[LlamaServer]:
    """A server of one thread for the time of the block. `cache_ram_mib` is llama.cpp's host cache; 0 is off.
    Skips the test where the platform has no server (in CI on x86-64 that is a failure); fails it, with the
    server's last words, if that does not come up."""
    if find_spec("xllamacpp") is None:
        if os.environ.get("CI") and platform.machine() == "x86_64":
            pytest.fail("in CI the real engine is not skipped: install requirements/dev.txt", pytrace=False)
        pytest.skip("no llama.cpp server for this platform")
    folder = Path(tempfile.gettempdir()) / f"llmq-test-models-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    options = {
        "model": str(make_model(recipe or Recipe(), folder)),
        "alias": model,
        "port": port,
        "slots": slots,
        "window": window,
        "cache_ram_mib": cache_ram_mib,
        "api_keys": api_keys,
    }
    command = [sys.executable, "-m", "tests.llama.child", json.dumps(options)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        with process:
            try:
                yield LlamaServer(_wait_ready(process) or _fail(log), model, slots, window, process)
            finally:
                process.kill()


def _wait_ready(process: "subprocess.Popen[str]") -> str:
    """The URL it prints, or nothing if it died or is silent for START_S."""
    assert process.stdout
    ready = select.select([process.stdout], [], [], START_S)[0]
    return process.stdout.readline().strip() if ready else ""


def _fail(log: IO[str]) -> str:
    log.seek(0)
    pytest.fail(f"the llama.cpp server did not start:\n{log.read()[-2000:]}")
