"""The rules of the house that a machine can hold."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cli", "tasks", "worker_agent")
VAGUE = {"utils", "helper", "helpers", "manager", "handler", "data", "info", "process", "job", "node"}
PEER = "worker_agent.config, worker_agent.machine, tasks.settings, tasks.worker, tasks.complete"
HEAVY = {"pandas", "numpy", "matplotlib", "pypdfium2", "rich", "flower", "sqlalchemy", "sqlite3", "fastapi"}

project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def pins(name: str) -> dict[str, str]:
    """Package -> its lines in a requirement file."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {entry.split("==")[0]: entry for entry in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]}


def lint_imports(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True
    )


def test_imports_go_one_way(tmp_path):
    """cli -> tasks -> worker_agent holds; one import against it is found and named."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    kept = lint_imports(tmp_path)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    with (tmp_path / "worker_agent" / "errors.py").open("a") as file:
        file.write("\nimport tasks.settings\nimport redis\n")
    with (tmp_path / "tasks" / "policy.py").open("a") as file:
        file.write("\ndef late():\n    import tasks.report.history\n")
    broken = lint_imports(tmp_path)
    assert broken.returncode != 0
    assert "worker_agent.errors -> tasks.settings" in broken.stdout
    assert "worker_agent.errors -> redis" in broken.stdout
    assert "tasks.policy -> tasks.report.history" in broken.stdout, (
        "a peer must not come near SQL, however late"
    )


def test_a_worker_loads_nothing_heavy():
    """What a Raspberry Pi imports to serve a model: no tables, charts, PDF reader or terminal art."""
    loaded = set(python(f"import sys, {PEER}; print(*sys.modules)").split())
    assert {"tasks.worker", "worker_agent.meters.meter"} <= loaded
    assert loaded & (HEAVY | {"pynvml"}) == set()


def test_help_loads_nothing_heavier_than_click():
    """`llmq --help` is quick everywhere."""
    loaded = set(python("import sys, cli.main; print(*sys.modules)").split())
    assert "click" in loaded
    assert loaded & (HEAVY | {"celery", "redis", "requests", "pydantic"}) == set()


def test_tests_are_no_package():
    """With an __init__.py below tests/unit/tasks, pytest would import that as `tasks`."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_files_are_named_by_what_they_are():
    """No file is called by a word that says nothing."""
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert len(files) > 20
    assert [path for path in files if path.stem in VAGUE] == []


def test_everything_printed_passes_the_printing_edge():
    """cli/screen.py keeps texts of strangers from commanding the terminal; nothing goes past it."""
    past = re.compile(r"click\.s?echo|\bprint\(|sys\.std(?:out|err)\.write")
    files = [path for path in (ROOT / "cli").glob("*.py") if path.name != "screen.py"]
    assert [path.name for path in files if past.search(path.read_text().replace("console.print(", ""))] == []


@pytest.mark.parametrize("name", ["base", "master", "dev", "build", "redis", "gpu"])
def test_requirements_are_pinned_with_hashes_and_name_no_index(name):
    """They install from wherever the user's pip installs from, and only what was locked."""
    entries = pins(name)
    assert entries
    assert [package for package, entry in entries.items() if "--hash=sha256:" not in entry] == []
    assert "://" not in "".join(entries.values())


def test_requirements_hold_what_the_project_asks_for():
    """A dependency added to pyproject.toml and not locked would be missing after `make install`."""
    extras = project["optional-dependencies"]
    for name, asked in (("base", []), ("master", extras["master"]), ("dev", extras["dev"])):
        wanted = {re.split(r"[\[<>=; ]", line)[0] for line in [*project["dependencies"], *asked]}
        assert wanted - {"llmq-fleet"} <= set(pins(name))


def test_the_sets_agree_with_each_other():
    """One version of a package everywhere, whichever set was installed last."""
    base, master, dev = pins("base"), pins("master"), pins("dev")
    for small, large in ((base, master), (master, dev)):
        version = {name: entry.split()[0] for name, entry in large.items()}
        assert {name: entry.split()[0] for name, entry in small.items()}.items() <= version.items()


@pytest.mark.parametrize("name", ["redis", "gpu"])
def test_the_extra_and_the_file_name_the_same_wheels(name):
    """`llmq-fleet[redis]` and `make install` bring the same server, and likewise NVIDIA's library."""
    lines = (ROOT / "requirements" / f"{name}.in").read_text().splitlines()
    assert project["optional-dependencies"][name] == [line for line in lines if not line.startswith("#")]
