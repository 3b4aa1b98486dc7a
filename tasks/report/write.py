"""Results to files: .json, .jsonl, .csv by suffix. A file appears whole or not at all; JSONL may also
be followed as results land."""

import csv
import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tasks.errors import InputError, OutputError
from tasks.report.collect import Report, Row
from tasks.report.table import COLUMNS, to_cells, to_object

# JSON escapes the other commands to a terminal itself; the text is the same to whoever parses it.
ESCAPED = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def check_outputs(paths: Iterable[Path]) -> None:
    """Before any work: every suffix is known and every folder takes a file. Raises InputError that
    lists all faults."""
    faults = [fault for path in paths if (fault := _fault(path))]
    if faults:
        raise InputError("\n".join(faults))


def write(report: Report, rows: Callable[[], Iterable[Row]], path: Path) -> None:
    """One file in the format of its suffix. Raises OutputError, which names the way out."""
    try:
        if path.exists() and not path.is_file():  # a device, a pipe: cannot be replaced
            with path.open("w", encoding="utf-8", newline="") as out:
                WRITERS[path.suffix.lower()](report, rows(), out)
            return
        _replace(path, lambda out: WRITERS[path.suffix.lower()](report, rows(), out))
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; the results are kept, write them elsewhere "
            f"with: llmq results {report.manifest.run_id} -o OTHER{path.suffix}"
        ) from error


def _replace(path: Path, fill: Callable[[IO[str]], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            fill(out)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_json(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    """The summary with all results, streamed."""
    head = _json(report.summary(), indent=1)
    out.write(head.removesuffix("\n}") + ',\n "results": [')
    for number, row in enumerate(rows):
        out.write(("," if number else "") + "\n  " + line(row))
    out.write("\n ]\n}\n")


def write_jsonl(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    out.writelines(line(row) + "\n" for row in rows)


def write_csv(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(to_cells(row) for row in rows)


def line(row: Row) -> str:
    """One result as one line of JSON."""
    return _json(to_object(row))


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False) if indent else LINE.encode(value)
    if text.isprintable():  # hence it can be encoded, too
        return text
    text = ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # Lone surrogates (from file names) cannot be written as UTF-8; ASCII escapes carry them.
    return text if _encodable(text) else json.dumps(value, indent=indent)


LINE = json.JSONEncoder(ensure_ascii=False)
WRITERS: dict[str, Callable[[Report, Iterable[Row], IO[str]], Any]] = {
    ".json": write_json,
    ".jsonl": write_jsonl,
    ".csv": write_csv,
}


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fault(path: Path) -> str | None:
    if path.suffix.lower() not in WRITERS:
        return f"{path}: the suffix says the format, and it is one of {', '.join(WRITERS)}"
    if path.is_dir():
        return f"{path}: is a folder"
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return f"{path}: {folder} is no folder"
    if not os.access(path if path.exists() else folder, os.W_OK):
        return f"{path}: cannot be written (no permission)"
    return None
