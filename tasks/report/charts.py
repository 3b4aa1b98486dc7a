"""Charts as PNG, with matplotlib, which is an extra: it is imported here alone, and only to draw."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tasks.errors import InputError
from tasks.report.sample import Row
from tasks.report.write import unwritable

LATENCY = "latency_by_model.png"
MISSING = "charts as PNG need matplotlib: pip install 'llmq-fleet[bench]', or make the page without --png"


@dataclass(frozen=True, slots=True)
class Drawn:
    """The files that were drawn, and why each of the others was not, by name."""

    paths: tuple[Path, ...]
    left_out: dict[str, str]


def check(folder: Path) -> None:
    """Before any work: matplotlib is there, and the folder takes files. Raises InputError."""
    if not available():
        raise InputError(MISSING)
    if fault := unwritable(folder / LATENCY):
        raise InputError(fault)


def available() -> bool:
    """Is matplotlib there?"""
    return find_spec("matplotlib") is not None


def draw(rows: Iterable[tuple[str, Row]], folder: Path) -> Drawn:
    """latency_by_model.png, memory_by_model.png, tps_by_model.png and pairs.png in `folder`, of (run id, row)
    pairs, which a Source gives. Raises InputError without matplotlib, OutputError where it cannot write."""
    raise NotImplementedError
