"""Results as flat rows for statistics: from a run in Redis, or (read.py) from a file written earlier."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.report.collect import Report
from tasks.report.table import to_object


@dataclass(frozen=True, slots=True)
class Source:
    """Rows with the name of their run. `head`: the run's summary as in results.json, what is known of it.
    `path`: the file they stand in, and `notes` what its reader must know."""

    run: str
    head: dict[str, Any]
    rows: list[dict[str, Any]] | None
    report: Report | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.rows is not None:
            return ((str(row.get("run_id") or self.run), row) for row in self.rows)
        return of_report(self.report) if self.report else iter(())

    @property
    def ended(self) -> bool:
        return self.report is None or self.report.status.ended


def of_report(report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every item of a run as it stands now."""
    for row in report.rows():
        model = row.result.model if row.result else row.model
        stamps = {name: getattr(row.result, name, None) for name in ("added_ms", "ended_ms")}
        yield report.manifest.run_id, flat(to_object(row)) | {"model": model} | stamps


def source_of(report: Report) -> Source:
    return Source(report.manifest.run_id, report.summary(), None, report)


def flat(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of results.json with its metrics beside the other keys."""
    return entry | (entry.get("metrics") or {})
