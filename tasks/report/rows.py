"""Results as flat rows for statistics: from a run in Redis, or from a file written earlier."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.report.collect import Report
from tasks.report.table import to_object

SUFFIXES = (".json", ".jsonl", ".csv")
# What no statistics need, and what the others say already.
TEXTS = frozenset({
    "prompt_template", "reasoning", "error_message", "answer_key", "request_id", "worker", "enqueued_at",
    "first_token_at", "last_token_at", "finished_at", "schema_version", "request_index",
    "finish_reason", "layout", "quantization", "chunk_count", "ttfr_ms", "max_chunk_gap_ms", "http_status",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Rows with the name of their run. `head`: the run's summary as in results.json, what is known of it."""

    run: str
    head: dict[str, Any]
    rows: list[dict[str, Any]] | None
    report: Report | None = None

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.rows is not None:
            return ((self.run, row) for row in self.rows)
        return of_report(self.report) if self.report else iter(())

    @property
    def ended(self) -> bool:
        return self.report is None or self.report.status.ended


def of_report(report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every item of a run as it stands now."""
    for row in report.rows():
        model = row.result.model if row.result else row.model
        ended_ms = row.result.ended_ms if row.result else None
        yield report.manifest.run_id, flat(to_object(row)) | {"model": model, "ended_ms": ended_ms}


def source_of(report: Report) -> Source:
    return Source(report.manifest.run_id, report.summary(), None, report)


def read_file(path: Path) -> Source:
    """A results file. Raises InputError where it is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head, rows = _READERS[path.suffix.lower()](file)
    except KeyError:
        raise InputError(f"{path}: no results file; those end in {', '.join(SUFFIXES)}") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as results: {error}") from None
    if not rows or any("success" not in row for row in rows):
        raise InputError(
            f"{path}: holds no results with their papers, as `llmq results RUN -o results.csv` writes them "
            "(requests.csv names none)"
        )
    for row in rows:
        if isinstance(row.get("error"), str):  # as distributed-llm-mac writes them
            row["error"] = {"type": "error", "message": row["error"]}
    ids = {str(row.get("item_id") or "").rsplit("-", 2)[0] for row in rows}
    return Source(head.get("run_id") or (ids.pop() if len(ids) == 1 else "") or path.name, head, rows)


def flat(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of results.json with its metrics beside the other keys."""
    return entry | (entry.get("metrics") or {})


def _lean(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a file without what no statistics need: a hundred thousand rows have to fit in memory."""
    found = {
        name: value
        for name, value in pairs
        if (value is not None or name == "success")
        and name not in TEXTS
        and not (name == "response" and isinstance(value, str))
    }
    return found | found.pop("metrics") if "success" in found and "metrics" in found else found


def _read_json(file: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document = json.load(file, object_pairs_hook=_lean)
    return {k: v for k, v in document.items() if k not in ("results", "chains")}, document.get("results", [])


def _read_jsonl(file: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return {}, [json.loads(line, object_pairs_hook=_lean) for line in file if line.strip()]


def _read_csv(file: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return {}, [_typed(row) | {"error": _error(row)} for row in csv.DictReader(file)]


def _error(row: dict[str, str]) -> dict[str, str] | None:
    if not row.get("error_type"):
        return None
    return {"type": row["error_type"], "message": row.get("error_message") or ""}


def _typed(row: dict[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = {
        name: value
        for name, cell in row.items()
        if name not in (*TEXTS, "response") and ((value := _value(cell)) is not None or name == "success")
    }
    typed["failures"] = json.loads(row.get("failures") or "[]")
    for name in (
        "host",
        "model",
        "paper_id",
        "prompt_sha256",
        "item_id",
    ):  # texts, also where they look otherwise
        typed[name] = row.get(name) or None
    return typed


def _value(cell: str | None) -> Any:
    if not cell:
        return None
    if cell in {"true", "false"}:
        return cell == "true"
    try:
        return float(cell) if set(cell) & set(".eEn") else int(cell)
    except ValueError:
        return cell


_READERS = {".json": _read_json, ".jsonl": _read_jsonl, ".csv": _read_csv}
