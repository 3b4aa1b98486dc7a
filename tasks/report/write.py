"""Results to files: .json, .jsonl, .csv, .parquet by suffix, and three whose names say more (NAMED). A file
appears whole or not at all; JSONL may also be followed as results land."""

import csv
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tasks.errors import InputError, OutputError
from tasks.report import parquet
from tasks.report.chain_table import columns, to_chain, to_chain_cells
from tasks.report.chains import chains, hop_names
from tasks.report.collect import Report, Row
from tasks.report.columns import REQUEST
from tasks.report.figures import request
from tasks.report.p2p import COLUMNS as P2P_COLUMNS
from tasks.report.p2p import to_p2p_rows
from tasks.report.sidecar import sidecar
from tasks.report.table import COLUMNS, to_cells, to_object, to_request_cells

# JSON escapes the other commands to a terminal itself; the text is the same to whoever parses it.
ESCAPED = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def check_outputs(paths: Iterable[Path]) -> None:
    """Before any work: every suffix is known and every folder takes a file. Raises InputError that
    lists all faults, that of a folder once."""
    faults: list[str] = []
    folders: set[Path] = set()
    for path in paths:
        if fault := _strange(path):
            faults.append(fault)
        elif (fault := unwritable(path)) and path.parent not in folders:
            faults.append(fault)
            folders |= set() if path.exists() else {path.parent}
    if faults:
        raise InputError("\n".join(faults))


def write(report: Report, rows: Callable[[], Iterable[Row]], path: Path) -> None:
    """One file in the format of its suffix. Raises OutputError, which names the way out."""
    try:
        if path.suffix.lower() == PARQUET:
            return _replace(path, lambda part: parquet.write_parquet(rows(), part))
        fill = writer(path)
        if path.exists() and not path.is_file():  # a device, a pipe: cannot be replaced
            with path.open("w", encoding="utf-8", newline="") as out:
                fill(report, rows(), out)
            return
        replace_file(path, lambda out: fill(report, rows(), out))
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; the results are kept, write them elsewhere "
            f"with: llmq results {report.manifest.run_id} -o OTHER{path.suffix}"
        ) from error


def writer(path: Path) -> "Writer":
    """What a file of this name holds."""
    of_chains = (fill for name, fill in OF_CHAINS.items() if f".{path.name.lower()}".endswith(f".{name}"))
    return NAMED.get(path.name) or next(of_chains, None) or WRITERS[path.suffix.lower()]


def grows(path: Path) -> bool:
    """It is written as results land, and answers in it count as earlier ones."""
    return path.suffix.lower() == ".jsonl" and path.name not in NAMED


def in_folder(folder: Path) -> tuple[Path, ...]:
    """The files that stand for a folder as output."""
    return tuple(folder / name for name in NAMED)


def replace_file(path: Path, fill: Callable[[IO[str]], None]) -> None:
    """What `fill` writes becomes the file, whole or not at all. Raises OSError."""
    _replace(path, lambda part: _write_text(part, fill))


def _replace(path: Path, fill: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        fill(part)
        with part.open("rb") as out:
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _write_text(path: Path, fill: Callable[[IO[str]], None]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        fill(out)


def write_json(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    """The summary with all results, and where there are stages with all chains; streamed."""
    head = _json(report.summary(), indent=1)
    out.write(head.removesuffix("\n}") + ',\n "results": [')
    seen = set()
    for number, row in enumerate(rows):
        out.write(("," if number else "") + "\n  " + line(row))
        if report.manifest.stages:
            seen.add(row.item_id)
    if report.manifest.stages:
        out.write('\n ],\n "chains": [')
        for number, chain in enumerate(chains(report, seen)):
            out.write(("," if number else "") + "\n  " + _json(to_chain(chain)))
    out.write("\n ]\n}\n")


def write_jsonl(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    out.writelines(line(row) + "\n" for row in rows)


def write_csv(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(to_cells(row) for row in rows)


def write_chains(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    """A row per chain that has one of the rows."""
    names = hop_names(report.manifest.all_stages)
    table = csv.writer(out, lineterminator="\n")
    table.writerow(columns(names))
    table.writerows(to_chain_cells(chain, names) for chain in chains(report, {row.item_id for row in rows}))


def write_p2p(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    """The same in the columns of the P2P testing framework."""
    table = csv.writer(out, lineterminator="\n")
    table.writerow(P2P_COLUMNS)
    table.writerows(to_p2p_rows(chains(report, {row.item_id for row in rows})))


def write_requests_csv(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    table = csv.writer(out, lineterminator="\n")
    table.writerow(REQUEST)
    table.writerows(to_request_cells(row) for row in rows)


def write_requests_jsonl(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    out.writelines(_json(request(row)) + "\n" for row in rows)


def write_sidecar(report: Report, rows: Iterable[Row], out: IO[str]) -> None:
    out.write(_json(sidecar(report), indent=1) + "\n")


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
PARQUET = ".parquet"
Writer = Callable[[Report, Iterable[Row], IO[str]], Any]
WRITERS: dict[str, Writer] = {".json": write_json, ".jsonl": write_jsonl, ".csv": write_csv}
# Of a run with stages; also as `ANYTHING.chains.csv`.
OF_CHAINS: "dict[str, Writer]" = {"chains.csv": write_chains, "p2p.csv": write_p2p}
NAMED: dict[str, Writer] = {
    "requests.csv": write_requests_csv,
    "requests.jsonl": write_requests_jsonl,
    "run.json": write_sidecar,
}


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _strange(path: Path) -> str | None:
    """Why it has no format that is written here, or None."""
    suffix = path.suffix.lower()
    if suffix not in (*WRITERS, PARQUET):
        known = ", ".join((*WRITERS, PARQUET))
        return (
            f"{path}: the suffix says the format, and it is one of {known}; DIR/ takes requests and run.json"
        )
    if suffix == PARQUET and not parquet.available():
        return f"{path}: {parquet.MISSING}"
    return None


def _takes_none(folder: Path) -> str | None:
    """Why a folder takes no new file, whatever its permissions say, or None."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def unwritable(path: Path) -> str | None:
    """Why no file can be written there, or None."""
    if path.is_dir():
        return f"{path}: is a folder"
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return f"{path}: {folder} is no folder"
    if not os.access(path if path.exists() else folder, os.W_OK):
        return f"{path}: cannot be written (no permission)"
    if not path.exists() and (reason := _takes_none(folder)):
        return f"{path}: nothing can be written in {folder} ({reason})"
    return None
