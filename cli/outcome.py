"""Following a run to its end and saying how it ended; shared by `run`, `submit --wait` and `watch`."""

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.screen import echo

if TYPE_CHECKING:
    from cli.progress import Progress
    from tasks.request import Asked
    from tasks.session import Session
    from tasks.submit import Submitted


def enqueue(
    work: "Session",
    asked: "Asked",
    outputs: Sequence[Path],
    progress: "Progress",
    begun: str,
    *,
    fresh: bool,
) -> "Submitted":
    """Submit what was asked and say so (`begun`: the word for a new run). Answers in JSONL outputs that are
    there from before count as earlier ones."""
    from tasks.onfile import OnFile
    from tasks.report.write import grows
    from tasks.submit import Submitted, submit

    def start(one: Submitted) -> None:
        progress.note(("goes on with" if one.continued else begun) + f" run {one.run_id}")

    with closing(OnFile(filter(grows, outputs))) as on_file:
        started = submit(
            work.ledger,
            work.texts,
            asked.manifest,
            asked.files,
            fresh=fresh,
            on_file=on_file,
            on_start=start,
            on_wait=progress.note,
        )
    if started.reused:
        progress.note(f"{started.reused} answers of earlier runs are reused (--fresh asks again)")
    return started


def follow_to_end(work: "Session", run_id: str, outputs: Sequence[Path], progress: "Progress") -> list[Path]:
    """Show the run until it has ended; JSONL outputs grow as results land. Returns the outputs that are
    still to be written: a full disk stops no run."""
    from tasks.errors import OutputError
    from tasks.follow import Landing, follow
    from tasks.report.write import grows

    with ExitStack() as stack:
        landings = {path: Landing(work.runs, run_id, path) for path in filter(grows, outputs)}
        for landing in landings.values():
            stack.callback(landing.close)
        for view in follow(work.ledger, run_id):
            for trouble in view.troubles():
                progress.note(trouble)
            progress.show(view)
            for path, landing in list(landings.items()):
                try:
                    landing.write(view.status, last=view.status.ended)
                except OutputError as error:
                    progress.note(str(error))
                    del landings[path]
    progress.stop()
    return [path for path in outputs if path not in landings]


def write_outputs(work: "Session", run_id: str, outputs: Sequence[Path]) -> None:
    """Every one is tried; then the first failure is raised."""
    from tasks.errors import OutputError
    from tasks.report.collect import report
    from tasks.report.write import write

    made = report(work.runs, run_id)
    failure: OutputError | None = None
    for path in outputs:
        try:
            write(made, made.rows, path)
        except OutputError as error:
            failure = failure or error
    if failure:
        raise failure


def say_outcome(work: "Session", run_id: str, outputs: Sequence[Path], *, as_json: bool) -> int:
    """The end of a run on stdout. Returns the exit code: 0, or 1 with failed items."""
    from cli.history import keep_in_history
    from tasks.report.collect import report

    made = report(work.runs, run_id)
    summary = made.summary()
    keep_in_history(made, work.settings)
    notes = _simulations(work, run_id)
    if as_json:
        echo(json.dumps(summary | {"outputs": [str(path) for path in outputs], "notes": notes}))
    else:
        echo(_sentence(summary))
        for note in notes:
            echo(f"note: {note}")
        for path in outputs:
            echo(f"results: {path}")
        if not outputs:
            echo(f"results: llmq results {run_id} -o results.json")
        if summary["failed"]:
            echo(f"what failed, and why: llmq results {run_id} --failed")
    return 1 if summary["failed"] else 0


def _simulations(work: "Session", run_id: str) -> list[str]:
    """Which of the hosts that answered are none."""
    from tasks.report.wording import simulated, simulations
    from tasks.served import signed

    hosts = [host for host in signed(work.client, run_id) if host.get("simulated")]
    return [*simulations((host["id"], simulated(host.get("time_scale"))) for host in hosts)]


def _sentence(summary: dict[str, Any]) -> str:
    parts = [f"{summary['successful']} of {summary['total_tasks']} answered"]
    failed = summary["failed"] - summary["cancelled"]
    parts += [f"{summary['reused']} of them by earlier runs"] if summary["reused"] else []
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{summary['cancelled']} cancelled"] if summary["cancelled"] else []
    parts += [f"{summary['cut']} cut at --max-tokens"] if summary["cut"] else []
    parts += [f"{len(summary['files_skipped'])} files skipped"] if summary["files_skipped"] else []
    seconds = summary["total_time_seconds"]
    return f"run {summary['run_id']} {summary['state']}: {', '.join(parts)}, in {seconds:.1f} s"
