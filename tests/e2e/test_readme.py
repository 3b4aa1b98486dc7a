"""The README cannot lie: its two commands work on a bare machine, and its examples run as they stand."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.room import CELERY, LLMQ, Room, wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LONG_RUNNING = {"llmq worker": " ready.", "celery -A tasks flower": "Visit me at"}


def bare(home: Path) -> dict[str, str]:
    """The environment of a new user, without anything of ours but the way to the package index."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "UV_"))}
    return passed | {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as a fresh clone would have it."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def test_make_run_and_make_test_on_a_bare_machine(checkout: Path, tmp_path: Path, engine_ports: None) -> None:
    """Empty home, bare environment, no `.venv`: `make run` gives results and says they are simulated,
    `make test` comes up, and the checkout stays clean."""
    environ = bare(tmp_path)
    if shutil.which("python3", path=environ["PATH"]) is None:
        pytest.skip("no python3 outside of this virtual environment")
    before = {path for path in checkout.rglob("*") if path.is_file()}
    ran = subprocess.run(
        ["make", "run"], cwd=checkout, env=environ, capture_output=True, text=True, timeout=500
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = json.loads((checkout / "results/results.json").read_text())["results"]
    assert len(rows) == 40
    assert all(row["success"] for row in rows)
    assert all(row["simulated"] for row in rows) or "simulated" not in ran.stdout
    assert "results: results/results.json" in ran.stdout
    tested = make("test", checkout, environ, "ARGS=tests/unit/test_house.py")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert " passed" in tested.stdout
    made = {path.relative_to(checkout).parts[0] for path in checkout.rglob("*") if path.is_file()} - {
        path.relative_to(checkout).parts[0] for path in before
    }
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    assert {name for name in made if name not in ignored and not name.endswith(".egg-info")} == set()


def make(
    target: str, folder: Path, environ: dict[str, str], *more: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", target, *more], cwd=folder, env=environ, capture_output=True, text=True, timeout=500
    )


def examples() -> list[str]:
    """The llmq and celery commands in the README's indented blocks, without their comments."""
    lines = re.findall(r"^    (?:\.venv/bin/)?((?:llmq|celery) [^\n]*)", README, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


def test_the_examples_run_as_they_stand(room: Room) -> None:
    """Each command in the README's blocks, in their order, against a small fleet."""
    mac = room.simulator("mac", "lm_studio", models=["llama3.2:1b"], service_s=0.05, slots=2)
    pi = room.simulator("pi", "ollama", models=["qwen2.5:0.5b"], service_s=0.05)
    room.fleet({"imac-office": mac, "pi-shelf": pi})
    room.papers(2)
    seen = examples()
    assert len(seen) >= 6
    for command in seen:
        said = next((word for start, word in LONG_RUNNING.items() if command.startswith(start)), None)
        if said:
            run_on(room, command, said)
        else:
            done = room.llmq(*shlex.split(command)[1:])
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def run_on(room: Room, command: str, said: str) -> None:
    """Start what does not end by itself, and wait until it says that it is up."""
    words = command.split()
    known = {"llmq": [LLMQ], "celery": CELERY[:3]}[words[0]]
    log = f"{words[0]}-{len(room.children)}.log"
    # An example of a peer: in the room it serves a host of the fleet file.
    host = {"LLMQ_FLEET": "fleet.toml", "LLMQ_HOST": "pi-shelf", "FLOWER_PORT": "0"}
    room.start(*known, *words[1:], log=log, **host)
    wait_until(lambda: said in room.said(log), 40, f"{command} says {said!r}")


def test_every_command_stands_in_the_readme() -> None:
    """A command that nobody can find does not exist."""
    from cli.main import main

    for name, command in main.commands.items():
        assert command.hidden or f"llmq {name}" in README, name
