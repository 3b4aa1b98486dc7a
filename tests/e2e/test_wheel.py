"""llmq as a wheel, in a virtual environment of its own and an empty folder: no checkout anywhere near."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("cli", "configs", "tasks", "worker_agent", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"

pytestmark = pytest.mark.slow


@dataclass
class Installed:
    """The environment, and the empty folder where its commands run."""

    venv: Path
    folder: Path
    environ: dict[str, str]

    def llmq(self, *args: str) -> "subprocess.CompletedProcess[str]":
        command = [str(self.venv / "bin" / "llmq"), *args]
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=120
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of an earlier build is in it."""
    source = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    built = [sys.executable, "-c", BUILD, str(source / "dist")]
    done = subprocess.run(built, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = (source / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """What it depends on is that of the tests: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("installed")
    (empty := folder / "empty").mkdir()
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True)
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMQ_")}
    environ = kept | {"PYTHONPATH": sysconfig.get_path("purelib"), "LLMQ_HOME": str(folder / "home")}
    made = Installed(venv, empty, environ)
    where = [venv / "bin" / "python", "-P", "-c", "import cli, worker_agent; print(cli.__file__)"]
    said = subprocess.run(where, cwd=empty, env=environ, capture_output=True, text=True).stdout
    assert Path(said.strip()).is_relative_to(venv), "the tests' own llmq must not stand in for it"
    yield made
    assert list(empty.iterdir()) == [], "nothing was written beside the user's files"


def test_the_wheel_has_every_file_that_a_person_edits(wheel: Path) -> None:
    """All of configs/ under its own name, and no code in it."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("configs/")}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*") if path.is_file()}
    assert names == ours
    assert len(names) > 10


def test_suites_stages_and_profiles_are_found_by_name(installed: Installed) -> None:
    """As the README and --help write them; a file of the same name in the working folder goes first."""
    matrix = installed.llmq("matrix", "p2p", "--simulate", "--dry-run", "--json")
    assert matrix.returncode == 0, matrix.stderr
    stages = ("--stages", "draft-critique-rewrite", "--profile", "gpu-box")
    chain = installed.llmq("chain", "-p", "Why?", *stages, "--dry-run", "--json")
    assert "no simulator profile" not in chain.stderr
    assert "no stages" not in chain.stderr
    fleet = installed.llmq("run", "-p", "Why?", "--profile", "short-papers", "--dry-run", "--json")
    assert fleet.returncode == 0, fleet.stderr
    shipped = installed.llmq(
        "run", "-p", "Why?", "--profile", "configs/profiles/gpu-box.toml", "--dry-run", "--json"
    )
    assert shipped.returncode == 0, shipped.stderr
    for suite in ("exo-lab", "lengths", "engines", "configs/suites/lengths.toml"):
        bench = installed.llmq("bench", "--suite", suite, "--profile", "short-papers", "--host", "nobody")
        assert "no host nobody" in bench.stderr, f"{suite} was read: {bench.stderr}"


def test_a_name_that_there_is_not_lists_those_there_are(installed: Installed) -> None:
    """Those that this command can use, and what may have been meant."""
    bench = installed.llmq("bench", "--suite", "length", "--simulate")
    assert bench.returncode == 2
    assert "no suite 'length'. Did you mean 'lengths'? There is engines, exo-lab, lengths;" in bench.stderr
    matrix = installed.llmq("matrix", "nope", "--simulate")
    assert (matrix.returncode, "no suite 'nope'. There is p2p; or name a" in matrix.stderr) == (2, True)
    chain = installed.llmq("chain", "-p", "Why?", "--stages", "nope", "--simulate")
    assert (chain.returncode, "There is draft-critique-rewrite;" in chain.stderr) == (2, True), chain.stderr
    profile = installed.llmq("run", "-p", "Why?", "--profile", "nope")
    assert (profile.returncode, "living-room" in profile.stderr) == (2, True), profile.stderr
