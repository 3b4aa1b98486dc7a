"""Following a run from any terminal: how it stands, again and again, and results as they land."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.errors import OutputError
from tasks.hosts import HostRecord, live_hosts
from tasks.ledger.ledger import Ledger
from tasks.onfile import BACKUP
from tasks.pace import Pace, eta_s
from tasks.report.collect import Report, Row
from tasks.report.write import line
from tasks.runs import Runs, Status

POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """A run at a moment. `rates`: items per second by host; `eta_s` None: not known yet."""

    status: Status
    hosts: tuple[HostRecord, ...]
    rates: dict[str, float]
    eta_s: float | None

    def waiting_for(self) -> list[str]:
        """Queues with work that no live host takes now."""
        served = {queue for host in self.hosts if host.able for queue in host.queues}
        return sorted(queue for queue in self.status.waiting if queue not in served)

    def troubles(self) -> list[str]:
        """Hosts that this run has work for and that take none, with what their engines say."""
        return [
            f"{host.id} is down: {host.trouble}"
            for host in self.hosts
            if host.trouble and not self.status.waiting.keys().isdisjoint(host.queues)
        ]


def follow(ledger: Ledger, run_id: str, poll_s: float = POLL_S) -> Iterator[View]:
    """Views of a run, the last one when it has ended. Raises UnknownRun when it is gone."""
    runs, pace = Runs(ledger), Pace()
    per_bundle = max(1, len(runs.manifest(run_id).prompts))
    while True:
        status = runs.status(run_id)
        hosts = tuple(ledger.patiently(lambda: live_hosts(ledger.redis)))
        pace.saw(status.now_ms / 1000, status.by_host)
        rates = pace.rates()
        slots = {host.id: host.slots for host in hosts}
        left = status.total - status.finished
        yield View(status, hosts, rates, eta_s(left, per_bundle, rates, slots))
        if status.ended:
            return
        time.sleep(poll_s)


class Landing:
    """Writes each result to a JSONL file as it lands; the file is whole when the run has ended. Until then, a
    file that was there before lies beside it under a name that ends in `~`."""

    def __init__(self, runs: Runs, run_id: str, path: Path) -> None:
        self._runs, self._run_id, self._path = runs, run_id, path
        self._backup = path.with_name(path.name + BACKUP)
        self._read = 0  # of the list of what has landed
        self._written: set[str] = set()
        self._out: IO[str] | None = None

    def write(self, status: Status, *, last: bool = False) -> None:
        """Append what has landed. Raises OutputError."""
        report = Report(self._runs.manifest(self._run_id), status, self._runs)
        try:
            out = self._out = self._out or self._open()
            if status.finished < self._read:  # Redis came back with older data
                self._read = 0
            while rows := report.landed(self._read):
                self._append(out, rows)
                self._read += len(rows)
            if last and len(self._written) < status.total:  # cancelled, or landed while we looked away
                self._append(out, (row for row in report.rows() if row.result))
            out.flush()
            if last:
                self._backup.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._path}: {error.strerror or error}; the results are kept, write them "
                f"elsewhere with: llmq results {self._run_id} -o OTHER.jsonl"
            ) from error

    def _open(self) -> IO[str]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.is_file() and self._path.stat().st_size:
            self._path.replace(self._backup)
        return self._path.open("w", encoding="utf-8", newline="")

    def _append(self, out: IO[str], rows: Iterable[Row]) -> None:
        for row in rows:
            if row.item_id not in self._written:
                self._written.add(row.item_id)
                out.write(line(row) + "\n")

    def close(self) -> None:
        with suppress(OSError):  # what could not be written has been told
            if self._out:
                self._out.close()
