"""Files of results as rows for statistics: results.json, .jsonl and .csv, requests.csv, .jsonl and .parquet,
and a folder that has some of them. What is wrong with one is said with its name, the place and the key."""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.report import parquet
from tasks.report.columns import TYPES
from tasks.report.entry import NEEDED, PARAMS, TEXTS, Entries, Row, checked_head
from tasks.report.rows import Source
from tasks.report.table import untamed

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
# What a folder is read by: the first that is there.
IN_FOLDER = (
    "requests.jsonl",
    "requests.csv",
    "requests.parquet",
    "results.json",
    "results.jsonl",
    "results.csv",
)
LONGEST_CELL = 2**31 - 1  # an answer may be longer than what the csv module takes by itself

Head = dict[str, Any]
Placed = Iterator[tuple[str, Any]]  # where it stands, and the entry
Reader = Callable[[Path, Head], Placed]


def is_file(word: str) -> bool:
    """A word that names a file or a folder (`bench/`, or `bench` where that holds results), and no run;
    `latest` is always the run."""
    if word.endswith("/") or Path(word).suffix.lower() in SUFFIXES:
        return True
    return word != "latest" and any(os.path.isfile(os.path.join(word, name)) for name in IN_FOLDER)


def read_file(path: Path) -> Source:
    """A file of results or requests, or the one that a folder has. Raises InputError where it is none."""
    path = path if path.suffix and not path.is_dir() else _in_folder(path)
    try:
        entries = Entries()
        head: Head = {}
        taken = (entries.take(entry, f"{path}, {where}") for where, entry in _reader(path)(path, head))
        rows = [row for row in taken if entries.is_new(row)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read as results: {error.strerror or error}") from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as results: {error}") from None
    if not rows:
        raise InputError(f"{path}: holds no results")
    runs = {row["run_id"] for row in rows if row.get("run_id")} or {
        str(row.get("item_id") or "").rsplit("-", 2)[0] for row in rows
    }
    run = head.get("run_id") or (runs.pop() if len(runs) == 1 else "") or _name(path)
    return Source(run, head, rows, path=path, notes=tuple(f"{path}: {note}" for note in entries.notes()))


def _name(path: Path) -> str:
    """Of a file that names no run, or several: its own, and what tells it from another file of that name."""
    with path.open("rb") as file:
        return f"{path.stem}-{hashlib.file_digest(file, 'sha256').hexdigest()[:8]}{path.suffix}"


def _in_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}/: no such folder")
    for name in IN_FOLDER:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder}/: holds none of {', '.join(IN_FOLDER)}")


def _reader(path: Path) -> Reader:
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{path}: no results file; those end in {', '.join(SUFFIXES)}")
    return _READERS[path.suffix.lower()]


def _read_json(path: Path, head: Head) -> Placed:
    with path.open(encoding="utf-8-sig") as file:
        document = json.load(file, object_pairs_hook=_lean)
    if not isinstance(document, dict) or not isinstance(results := document.get("results", []), list):
        raise InputError(f"{path}: holds no results: results.json is an object with a list of that name")
    if not any(isinstance(one, dict) and "success" in one for one in results):
        raise InputError(f"{path}: holds no results: no entry has a key success")
    head |= checked_head({k: v for k, v in document.items() if k not in ("results", "chains")}, str(path))
    for number, entry in enumerate(results):
        results[number] = None  # one copy is enough
        yield f"entry {number + 1}", entry


def _read_jsonl(path: Path, head: Head) -> Placed:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"line {number}", _parsed(line, f"{path}, line {number}")


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: cannot be read as results: {error}") from None


def _read_csv(path: Path, head: Head) -> Placed:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        columns = next(rows, [])
        _check_columns(path, columns)
        for cells in rows:
            where = f"line {rows.line_num}"
            if cells and len(cells) != len(columns):
                raise InputError(f"{path}, {where}: {len(cells)} cells under {len(columns)} columns")
            if cells:
                yield where, _entry(dict(zip(columns, cells, strict=True)), f"{path}, {where}")


def _read_parquet(path: Path, head: Head) -> Placed:
    yield from parquet.read_parquet(path, lambda columns: _check_columns(path, columns))


def _check_columns(path: Path, columns: list[str]) -> None:
    """Raises InputError that names the first column that is missing."""
    if "success" in columns:
        return
    if "request_id" not in columns:
        raise InputError(f"{path}: holds no results: no column success")
    for name in NEEDED:
        if name not in columns:
            raise InputError(f"{path}: no column {name}, which a file of requests has")


def _entry(cells: dict[str, str], where: str) -> Row:
    """A row of a CSV as an entry of JSON has it."""
    row: Row = {name: _value(name, cell) for name, cell in cells.items() if name not in TEXTS}
    row |= {name: cells[name] or None for name in ("request_id",) if name in cells}
    if "success" in row:
        kind = cells.get("error_type")
        row["error"] = {"type": kind, "message": cells.get("error_message") or ""} if kind else None
        row["failures"] = _tries(cells.get("failures"), f"{where}, failures")
        row["response"] = None  # the model stands beside it
    row["params"] = {name: row[name] for name in PARAMS if row.get(name) is not None}
    return row


def _tries(cell: str | None, where: str) -> Any:
    try:
        return json.loads(cell) if cell else None
    except (ValueError, RecursionError):
        raise InputError(f"{where}: cannot be read as JSON") from None


def _value(name: str, cell: str) -> Any:
    """A cell by what its column holds; what does not fit stays a text."""
    if not cell:
        return None
    kind = bool if name == "success" else int if name == "repeat" else TYPES.get(name, str)
    if kind is bool:
        return {"true": True, "false": False}.get(cell.lower(), cell)  # pandas writes True, Excel TRUE
    if kind is str:
        return untamed(cell)
    try:
        return int(cell) if cell.isdecimal() else float(cell)
    except ValueError:
        return cell


def _lean(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a file without what no statistics need: a hundred thousand rows have to fit in memory."""
    found = {
        name: value
        for name, value in pairs
        if (value is not None or name == "success")
        and name not in TEXTS
        and not (name == "response" and isinstance(value, str))
    }
    metrics = found.get("metrics")
    return found | metrics if "success" in found and isinstance(metrics, dict) else found


_READERS: dict[str, Reader] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
