"""The report: one self-contained HTML page of what a run measured, how sure, what failed, how to repeat it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.report.rows import Source


def write_report(source: Source, path: Path, about: Mapping[str, Any] | None = None) -> None:
    """The page of a run or of a results file becomes `path`, whole or not at all. `about`: the document of
    run.json, where the caller has one; that of a run in Redis is found. Raises OutputError."""
    raise NotImplementedError
