"""What a benchmark measured: the table of its cells, the ranking, the files."""

import csv
import json
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.columns import number, table
from cli.screen import echo

if TYPE_CHECKING:
    from tasks.bench.submission import Submission
    from tasks.errors import OutputError
    from tasks.follow import View
    from tasks.hosts import HostRecord
    from tasks.report.cells import CellRow
    from tasks.report.collect import Report
    from tasks.report.rank import Ranking
    from tasks.session import Session
    from tasks.work import Bundle

HEAD = (
    "host",
    "model",
    "load",
    "n",
    "ok",
    "failed",
    "TTFT ms",
    "ITL ms",
    "tok/s",
    "tok/s in all",
    "1/s",
    "good 1/s",
)
ROWS, SUMMARY, RANKING, CELLS, EXO_LAB = (
    ("requests.csv", "requests.jsonl", "run.json"),
    "summary.csv",
    "ranking.json",
    "cells.csv",
    "benchmark_results.csv",
)
SHOWN = ("ttft_ms", "itl_ms", "output_tps", "e2e_latency_s", "rps", "system_output_tps")
BEFORE = {
    "waits": "waits for other work there to end",
    "loads": "makes its model ready",
    "away": "waits a minute for its engine to come back",
}


@dataclass
class Wanted:
    """How the outcome is to be told, and what was seen on the way: slots by host, hosts that are down, and
    models that a host has and did not offer, because it had loaded others."""

    folder: Path | None
    limits: dict[str, float]
    as_json: bool
    exo_lab: bool = False
    slots: dict[str, int] = field(default_factory=dict)
    down: dict[str, str] = field(default_factory=dict)
    unloaded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    submission: "Submission | None" = None

    def saw(self, records: "Iterable[HostRecord]") -> None:
        self.slots |= {record.id: record.slots for record in records}

    def missed(self, records: "Iterable[HostRecord]") -> Iterator[str]:
        """Where every model was meant: those that are not measured, and what to do."""
        self.unloaded |= {record.id: record.unloaded for record in records if record.unloaded}
        return _unloaded(self)

    def close(self) -> None:
        if self.submission:
            self.submission.close()


def outputs_in(folder: Path, *, exo_lab: bool) -> tuple[Path, ...]:
    names = (*ROWS, SUMMARY, RANKING, CELLS, *((EXO_LAB,) if exo_lab else ()))
    return tuple(folder / name for name in names)


def say_replaced(folder: Path | None, run_id: str, say: Callable[[str], None]) -> None:
    """Where the folder has the files of another run: what becomes of them, while there is time."""
    from tasks.report.ranking_files import run_in

    if folder and (other := run_in(folder)) and other != run_id:
        say(f"{folder}/ has the files of run {other}: they are replaced when this one has ended")


class HowFar:
    """The line that shows progress: how long it will still take, and the cells at work."""

    def __init__(self, on: "Session") -> None:
        from tasks.bench.forecast import Forecast

        self._on, self._forecast = on, Forecast()
        self._lanes: dict[str, str] = {}  # of hosts that are gone, too

    def __call__(self, view: "View") -> str:
        from cli.progress import taker_of
        from tasks.bench.progress import noted, words
        from tasks.queues import queue_of_host

        on, run_id = self._on, view.status.run_id
        at_work = noted(on.ledger, run_id)
        bundles = dict(on.runs.bundles(run_id))
        parts = [] if view.status.ended else self._left(view, bundles, at_work)
        told_of = words(on.ledger, run_id)
        shares = {n: _how_far(share, told_of.get(n)) for n, share in at_work.items()}
        parts += [f"{place(bundles[n])} {told}" for n, told in shares.items() if n in bundles]
        parts += [f"waiting for {taker_of(queue)}" for queue in view.waiting_for()]
        busy = (host.id for host in view.hosts if host.able and host.busy)
        parts += [
            f"{one} does other work first" for one in busy if view.status.waiting.get(queue_of_host(one))
        ]
        parts += [f"{host.id} is down" for host in view.hosts if host.trouble]
        return " · ".join(parts)

    def _left(self, view: "View", bundles: "Mapping[int, Bundle]", at_work: Mapping[int, float]) -> list[str]:
        """`about 4 min left`; `at least 4 min left, 2 cells not timed yet`."""
        from cli.progress import duration
        from tasks.bench.forecast import going
        from tasks.bench.machines import lanes

        shared = any(bundle.load.shared for bundle in bundles.values() if bundle.load)
        self._lanes |= lanes(view.hosts, shared=shared)
        # Read after the notes: what has lost its note since has its results.
        status = self._on.runs.status(view.status.run_id)
        cells = going(bundles, status.by_host, at_work, self._lanes)
        left = self._forecast.left(time.monotonic(), cells)
        if left is None or left.seconds < 1:
            return []
        more = left.at_least or status.state == "submitting" or view.waiting_for()
        many = "1 cell" if left.unknown == 1 else f"{left.unknown} cells"
        unknown = f", {many} not timed yet" if left.unknown else ""
        return [f"{'at least' if more else 'about'} {duration(left.seconds)} left{unknown}"]


def _how_far(share: float, word: str | None) -> str:
    failed = f", {word} failed" if word else ""
    return BEFORE.get(word or "") or f"{100 * share:.0f} %{failed}"


def place(bundle: "Bundle") -> str:
    load = bundle.load
    return f"{bundle.host}, {bundle.model}, {load.words}:" if load else ""


def say_paused(on: "Session", run_id: str, wanted: Wanted) -> None:
    """How far it is; the same command goes on."""
    from tasks.bench.asked import missing_hosts
    from tasks.report.collect import report

    made = report(on.runs, run_id)
    cells = _cells(on, made, wanted)
    wanted.down = {host: why for host, why in wanted.down.items() if host in missing_hosts(made.manifest)}
    if wanted.as_json:
        head = {"run_id": run_id, "state": made.status.state, "notes": _down(wanted)}
        echo(json.dumps(head | {"cells": [asdict(cell) for cell in cells]}))
    else:
        _print_cells(cells, wanted)
    echo("paused: complete cells are kept, the same command asks the others from their start", err=True)
    if any(cell.n for cell in cells):
        echo(f"rows of the complete cells: {_rows_command(run_id, wanted)}", err=True)


def _rows_command(run_id: str, wanted: Wanted) -> str:
    """What writes the rows there are, into the folder that was named."""
    folder = shlex.quote(f"{wanted.folder}/") if wanted.folder else "DIR/"
    return f"llmq results {run_id} -o {folder}"


def say_measured(on: "Session", run_id: str, wanted: Wanted) -> int:
    """Tell, write and file what was measured. Returns the exit code: 1 if anything failed or is missing."""
    from cli.history import keep_in_history
    from tasks.bench.asked import missing_hosts
    from tasks.report.cells import knee_lines
    from tasks.report.collect import report
    from tasks.report.summary import ranking_object

    made = report(on.runs, run_id)
    cells = _cells(on, made, wanted)
    wanted.down = {host: why for host, why in wanted.down.items() if host in missing_hosts(made.manifest)}
    ranked, notes = _rankings(made, wanted)
    bench = made.manifest.bench
    knee = knee_lines(cells, bench.requests) if bench and bench.sweep else []
    keep_in_history(made, on.settings)
    head = {
        "runs": [run_id],
        "limits": wanted.limits,
        "notes": [*notes, *knee, *_down(wanted)],
        "cells": [asdict(cell) for cell in cells],
    }
    shown = [one for one in ranked if one.metric.name in (*SHOWN, "goodput_rps")]
    paths, unwritten = _written(made, cells, head, ranked, wanted)
    if wanted.as_json:
        told = {"rankings": [ranking_object(one) for one in shown], "outputs": [str(path) for path in paths]}
        echo(json.dumps({"run_id": run_id, **head, **told}))
    else:
        _print_cells(cells, wanted)
        for line in knee:
            echo(line)
        echo()
        _print_findings(run_id, shown, notes)
        echo(f"results: {wanted.folder}/" if paths else f"results: {_rows_command(run_id, wanted)}")
    if unwritten:
        raise unwritten
    failed = made.status.failed or made.status.state != "done" or wanted.down
    return 1 if failed else 0


def _print_findings(run_id: str, shown: "list[Ranking]", notes: list[str]) -> None:
    """The tables where all cells were asked alike; else a line for each, since they fill many screens."""
    from cli.rank import print_rankings
    from tasks.report.findings import finding

    if len({ranking.terms for ranking in shown}) < 2:
        print_rankings(shown, notes)
        return
    for ranking in shown:
        if found := finding(ranking, lambda entry: entry.cell.who):
            echo(found.line)
    for note in notes:
        echo(f"note: {note}")
    echo(f"rankings with their intervals: llmq rank {run_id}")


def _cells(on: "Session", made: "Report", wanted: Wanted) -> "list[CellRow]":
    from tasks.bench.progress import noted
    from tasks.report.cells import cell_rows

    return cell_rows(made, wanted.limits, noted(on.ledger, made.manifest.run_id), wanted.slots)


def _rankings(made: "Report", wanted: Wanted) -> "tuple[list[Ranking], list[str]]":
    from tasks.report.gather import gather
    from tasks.report.metric import METRICS
    from tasks.report.rank import rankings
    from tasks.report.remarks import remarks
    from tasks.report.rows import source_of

    gathered = gather(source_of(made))
    every = [one for one in METRICS.values() if one.per_second != "good" or wanted.limits]
    ranked = [ranking for one in every for ranking in rankings(gathered.samples, one, wanted.limits)]
    return ranked, remarks(gathered)


def _written(
    made: "Report", cells: "list[CellRow]", head: Any, ranked: "list[Ranking]", wanted: Wanted
) -> "tuple[list[Path], OutputError | None]":
    """The files of the folder, and what kept them from being written: the table is told all the same."""
    from tasks.errors import OutputError

    try:
        return _write(made, cells, head, ranked, wanted), None
    except OutputError as error:
        return [], error


def _write(
    made: "Report", cells: "list[CellRow]", head: Any, ranked: "list[Ranking]", wanted: Wanted
) -> list[Path]:
    """The files of the folder, if one was named."""
    if not wanted.folder:
        return []
    from tasks.report.exo_lab import write_exo_lab
    from tasks.report.ranking_files import write_ranking, write_summary, write_text
    from tasks.report.rows import of_report
    from tasks.report.write import write

    for name in ROWS:
        write(made, made.rows, wanted.folder / name)
    write_summary(ranked, wanted.folder / SUMMARY)
    write_ranking(head, ranked, wanted.folder / RANKING)
    write_text(wanted.folder / CELLS, lambda out: _write_cells(cells, out))
    if wanted.exo_lab:
        fill: Callable[[Any], None] = lambda out: write_exo_lab((row for _, row in of_report(made)), out)  # noqa: E731
        write_text(wanted.folder / EXO_LAB, fill)
    _draw(made, wanted.folder)
    return list(outputs_in(wanted.folder, exo_lab=wanted.exo_lab))


def _draw(made: "Report", folder: Path) -> None:
    """The page, and the charts where the extra `bench` is installed."""
    from tasks.report import charts
    from tasks.report.page import write_report
    from tasks.report.rows import source_of

    source = source_of(made)
    write_report(source, folder / "report.html")
    if charts.available():
        charts.draw(source, folder)


def _write_cells(cells: "list[CellRow]", out: Any) -> None:
    from tasks.report.cells import CellRow
    from tasks.report.table import to_cell

    rows = csv.writer(out, lineterminator="\n")
    rows.writerow([one.name for one in fields(CellRow)])
    for cell in cells:
        values = asdict(cell) | {"notes": "; ".join(cell.notes)}
        rows.writerow([to_cell(value) for value in values.values()])


def _print_cells(cells: "list[CellRow]", wanted: Wanted) -> None:
    from tasks.report.cells import told_once
    from tasks.report.limits import limit_words

    if not cells:
        return
    known = {cell.host: cell.called for cell in cells if cell.simulated}
    for line in table([HEAD, *(_line(cell, known) for cell in cells)], left=3):
        echo(line)
    limits = [f"good 1/s: within {limit_words(wanted.limits)}"] if wanted.limits else []
    for note in (*limits, *told_once(cells), *_down(wanted)):
        echo(f"  - {note}")


def _line(cell: "CellRow", known: Mapping[str, str]) -> tuple[str, ...]:
    """`known`: how simulated hosts are called, before their first answer as well."""
    figures = (cell.ttft_ms, cell.itl_ms, cell.output_tps, cell.system_output_tps, cell.rps, cell.goodput_rps)
    failed = f"{100 * cell.error_rate:.1f} %" if cell.error_rate else ""
    return (
        known.get(cell.host, cell.host),
        cell.model,
        cell.load,
        str(cell.n),
        str(cell.ok),
        failed,
        *map(number, figures),
    )


def _down(wanted: Wanted) -> list[str]:
    """What is not measured at all."""
    return [*(f"{host} is not measured: {why}" for host, why in wanted.down.items()), *_unloaded(wanted)]


def _unloaded(wanted: Wanted) -> Iterator[str]:
    from tasks.report.wording import some

    for host, models in wanted.unloaded.items():
        yield (
            f"{host} has {some([*models])}, not loaded and so not measured: name them in the fleet file, "
            "models = [...]"
        )
