"""`llmq history`: what earlier runs and benchmarks measured; a run is filed when it is seen to have ended."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.columns import number, table
from cli.options import json_option
from cli.screen import echo

if TYPE_CHECKING:
    from tasks.report.collect import Report
    from tasks.settings import Settings

FIGURES = ("ttft_ms", "itl_ms", "output_tps", "e2e_latency_s", "rps")
HEAD = ("", "", "n", "TTFT ms", "ITL ms", "tok/s", "e2e s", "1/s", "failed")


@click.group(invoke_without_command=True, short_help="What earlier runs and benchmarks measured.")
@click.option("--host", metavar="ID", help="Only this host.")
@click.option("--model", metavar="NAME", help="Only this model.")
@click.option("--since", metavar="WHEN", help="Only runs that ended since: 2026-01-31, 7d or 12h.")
@json_option
@click.pass_context
def history(
    ctx: click.Context, host: str | None, model: str | None, since: str | None, as_json: bool
) -> None:
    """The runs that were filed, newest first, with the medians of each host x model. A run is filed when
    `run`, `watch`, `submit --wait` or `results` first see that it has ended, and never changes afterwards.
    `llmq rank --history` ranks over all of them.

    \b
    llmq history --since 30d --host mac-1
    llmq history --json
    llmq history add 3f9a
    llmq history add old/results.json
    """
    if ctx.invoked_subcommand:
        return
    needs_history()
    from tasks.report.filing import since as moment
    from tasks.report.history import Filter
    from tasks.report.history import history as opened
    from tasks.settings import read_settings

    wanted = Filter(host, model, moment(since) if since else None)
    with opened(read_settings()) as kept:
        runs, figures = kept.runs(wanted), kept.figures(wanted)
        name = kept.name
    if as_json:
        runs = [run | {"head": json.loads(run["head"])} for run in runs]
        echo(json.dumps({"history": name, "runs": runs, "figures": figures}))
        return
    for run in runs:
        _print(run, [row for row in figures if row["run_id"] == run["run_id"]])
    if not runs:
        narrowed = "with these options" if wanted != Filter() else "; `llmq history add RUN` files one"
        echo(f"no runs in {name} {narrowed}".replace(" ;", ";"), err=True)


@history.command(short_help="File a run or a results file.")
@click.argument("what", metavar="FILE|RUN", nargs=-1, required=True)
@json_option
def add(what: tuple[str, ...], as_json: bool) -> None:
    """File a RUN that has ended, or a FILE of results or requests (.json, .jsonl, .csv, .parquet), or a
    folder of them (`bench/`). What is there already stays.

    \b
    llmq history add latest
    llmq history add old/results.json
    """
    needs_history()
    from cli.rank import sources
    from tasks.errors import InputError
    from tasks.report.filing import file_source
    from tasks.report.history import history as opened
    from tasks.settings import read_settings

    filed: dict[str, bool] = {}
    with sources(what) as found, opened(read_settings()) as kept:
        if going := [source.run for source in found.values() if not source.ended]:
            raise InputError(f"run {going[0]} is still going; it is filed when it has ended")
        for word, source in found.items():
            filed[source.run] = file_source(kept, source, "run" if source.report else Path(word).name)
    if as_json:
        echo(json.dumps({"filed": [run for run, new in filed.items() if new], "runs": list(filed)}))
        return
    for run, new in filed.items():
        echo(f"{run} is filed" if new else f"{run} was filed before, and stays as it was")


def keep_in_history(report: "Report", settings: "Settings") -> None:
    """File a run that has ended; what goes wrong is said and harms nothing. Without SQLAlchemy (a base
    installation) there is no history."""
    from worker_agent.errors import LLMQError

    if not report.status.ended or find_spec("sqlalchemy") is None:
        return
    from tasks.report.filing import file_run

    try:
        file_run(report, settings)
    except LLMQError as error:
        echo(f"note: the run is not in the history: {error}", err=True)


def needs_history() -> None:
    """Raises UsageError where the history cannot be: a machine with the base installation."""
    if find_spec("sqlalchemy") is None:
        raise click.UsageError("the history needs SQLAlchemy: pip install 'llmq-fleet[master]'")


def _print(run: dict[str, Any], figures: list[dict[str, Any]]) -> None:
    from tasks.report.sample import Cell
    from tasks.report.wording import simulated

    name = f" ({run['name']})" if run["name"] else ""
    counts = f", {run['successful']} of {run['total']} answered" if run["total"] is not None else ""
    seconds = f" in {run['seconds']:.1f} s" if run["seconds"] else ""
    source = "" if run["source"] == "run" else f", from {run['source']}"
    echo(f"{run['ended_at'][:16].replace('T', ' ')}Z  {run['run_id']}{name}{counts}{seconds}{source}")
    rows = []
    for cell in dict.fromkeys(row["cell"] for row in figures):
        own = {(row["metric"], row["apart"]): row for row in figures if row["cell"] == cell}
        shown = [own.get((m, "first")) or own.get((m, "")) or own.get((m, "cached")) for m in FIGURES]
        one = next(iter(own.values()))
        n = max(row["n"] for row in own.values())
        medians = [number(row["p50"] or row["mean"]) if row else "" for row in shown]
        asked_as = {"length": one["target_prompt_tokens"], "stage": one["stage"]}
        terms = Cell(concurrency=one["concurrency"], **asked_as).terms
        asked = " · ".join(part for part in (one["model"], terms) if part)
        model = f"{asked} ({simulated(one['time_scale'])})" if one["simulated"] else asked
        rows.append((one["host"] or "", model, str(n), *medians, str(one["failed"] or "")))
    for line in table([HEAD, *rows], left=2) if rows else []:
        echo(f"    {line}")


COMMANDS = (history,)
