"""What llmq costs a machine that only stands beside a model: start-up, memory, disk.

    python benchmarks/footprint.py [--skip-install]

Measured: CPU seconds of `llmq --help`; resident memory of a worker for one host, idle and after its first
work; modules that a worker has loaded and never needs (tables, charts, SQL, terminal pictures, PDF); disk
space of a new virtual environment made from requirements/base.txt, bytecode included. Bounds: 0.3 s of CPU,
80 MB, none, 80 MB. Memory is that of Linux's and macOS's resident set, where 1 MB is 10^6 bytes.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import (
    ROOT,
    Figure,
    Machine,
    answer,
    engines,
    parser,
    room,
    say,
    worker_process,
    working,
    write_papers,
)
from worker_agent.config import Host

HELP_RUNS = 7
NEVER = ("pandas", "matplotlib", "numpy", "sqlalchemy", "sqlite3", "rich", "flower", "pypdfium2")
MB = 1e6


def main() -> int:
    options = _parse()
    figures = [Figure("llmq --help, median", statistics.median(_help_s()), "CPU s", most=0.3)]
    with room() as folder, engines([Machine("one", 0.01, 2)], folder) as hosts:
        papers = write_papers(folder / "papers", 4)
        figures += _memory(hosts, papers)
        figures += _imports(hosts, papers, folder / "home" / "logs" / "worker-one.log", options.imports)
    if not options.skip_install:
        figures.append(Figure("base install", _install_bytes() / MB, "MB", most=80))
    return say("footprint of a machine beside a model", figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--skip-install", action="store_true", help="no new environment, hence no network")
    options.add_argument(
        "--imports", type=int, default=0, metavar="N", help="list the N costliest imports, too"
    )
    return options.parse_args()


def _help_s() -> Iterator[float]:
    """CPU seconds of the command, user and system."""
    llmq = Path(sys.executable).with_name("llmq")
    for _ in range(HELP_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([llmq, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        yield after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _memory(hosts: Sequence[Host], papers: Path) -> list[Figure]:
    with working(hosts) as (work, up_s):
        idle = _resident_mb()
        answer(work, papers)
        return [
            Figure("worker ready after", up_s, "s"),
            Figure("worker of one host, idle", idle, "MB", most=80),
            Figure("... after its first 20 items", _resident_mb(), "MB", most=80),
        ]


def _resident_mb() -> float:
    return float(worker_process().memory_info().rss) / MB


def _imports(hosts: Sequence[Host], papers: Path, log: Path, most: int) -> list[Figure]:
    """Python itself tells what a worker imports, to its end."""
    with patch.dict(os.environ, {"PYTHONPROFILEIMPORTTIME": "1"}), working(hosts) as (work, _):
        answer(work, papers)
    found = re.findall(r"^import time: +(\d+) \| +(\d+) \| *([\w.]+)$", log.read_text(errors="replace"), re.M)
    for own_us, all_us, name in sorted(found, key=lambda row: -int(row[0]))[:most]:
        print(
            f"  {int(own_us) / 1000:8.1f} ms itself {int(all_us) / 1000:8.1f} ms in all  {name}",
            file=sys.stderr,
        )
    roots = {name.partition(".")[0] for _, _, name in found}
    if "celery" not in roots:
        raise SystemExit("the log of the worker does not tell its imports")
    needless = sorted(roots & set(NEVER))
    return [
        Figure("modules a worker has loaded", len(found)),
        Figure(f"packages it never needs ({', '.join(needless) or 'none'})", len(needless), most=0),
    ]


def _install_bytes() -> int:
    """Disk space of a new environment with requirements/base.txt, and of our own packages in it."""
    with TemporaryDirectory(prefix="llmq-bench-") as folder:
        _install(Path(folder), ROOT / "requirements" / "base.txt")
        ours = (ROOT / package for package in ("cli", "tasks", "worker_agent"))
        return sum(map(_size_bytes, (Path(folder), *ours)))


def _install(venv: Path, requirements: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    asked: list[str | Path] = ["--quiet", "--require-hashes", "-r", requirements]
    if uv := which("uv"):
        command: list[str | Path] = [uv, "pip", "install", "--compile-bytecode", "--python", venv]
    else:
        command = [sys.executable, "-m", "pip", "--python", venv, "install"]
    subprocess.run([*command, *asked], check=True)


def _size_bytes(folder: Path) -> int:
    """As on the disk, each file once."""
    found = (path.lstat() for path in folder.rglob("*"))
    return sum({(stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in found}.values())


if __name__ == "__main__":
    sys.exit(main())
