"""summary.csv and ranking.json: what a benchmark leaves beside its results."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import InputError, OutputError
from tasks.report.rank import Ranking
from tasks.report.summary import ranking_object, summary_row
from tasks.report.table import tame
from tasks.report.write import check_outputs, replace_file

SUFFIXES = (".csv", ".json")
SIDECAR = "run.json"


def check_sidecars(paths: Sequence[Path]) -> None:
    """Before any work. Raises InputError."""
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: .csv writes the summary, .json the ranking; there is no other")
    check_outputs(paths)


def write_summary(rankings: Iterable[Ranking], path: Path) -> None:
    """summary.csv: one row for each cell, metric and what is kept apart. Raises OutputError."""
    rows = [
        summary_row(ranking.metric, ranking.apart, entry)
        for ranking in rankings
        for entry in ranking.entries
        if entry.n
    ]

    def fill(out: Any) -> None:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(rows[0] if rows else ())
        table.writerows([_cell(value) for value in row.values()] for row in rows)

    write_text(path, fill)


def write_ranking(head: Mapping[str, Any], rankings: Iterable[Ranking], path: Path) -> None:
    """ranking.json: `head`, and each metric's entries with rank, ties, direction, n and interval. Raises
    OutputError."""
    document = {**head, "rankings": [ranking_object(ranking) for ranking in rankings]}
    write_text(path, lambda out: out.write(json.dumps(document, indent=1) + "\n"))


def beside(path: Path, run: str) -> dict[str, Any]:
    """The run.json in the folder of a results file, if it is of that run; else nothing."""
    try:
        document = json.loads((path.parent / SIDECAR).read_text(encoding="utf-8"))
        return dict(document) if document["run_id"] == run and _whole(document) else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def run_in(folder: Path) -> str | None:
    """The run whose run.json lies in a folder, if there is one."""
    try:
        return str(json.loads((folder / SIDECAR).read_text(encoding="utf-8"))["run_id"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _whole(document: Mapping[str, Any]) -> bool:
    """It has the form that a page reads: objects where those belong, in lists where those do."""
    hosts, config = document["hosts"], document["config"]
    return (
        _objects(hosts)
        and all(isinstance(host["id"], str) and _objects(host.get("models") or []) for host in hosts)
        and all(isinstance(host.get("worker") or {}, dict) for host in hosts)
        and isinstance(config, dict)
        and isinstance(config.get("models") or [], list)
        and _objects(config.get("prompts") or [])
    )


def _objects(listed: Any) -> bool:
    return isinstance(listed, list) and all(isinstance(one, dict) for one in listed)


def write_text(path: Path, fill: Any) -> None:
    """What `fill` writes becomes the file. Raises OutputError."""
    try:
        replace_file(path, fill)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return tame(value) if isinstance(value, str) else value
