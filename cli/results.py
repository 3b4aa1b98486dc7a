"""`llmq results`: a run's results, as files or on the screen."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import json_option, output_option, run_argument
from cli.screen import echo

if TYPE_CHECKING:
    from tasks.report.collect import Row


@click.command(short_help="A run's results, as files or on the screen.")
@run_argument
@output_option
@json_option
@click.option("--failed", is_flag=True, help="Only items that failed, with their reasons.")
@click.pass_context
def results(ctx: click.Context, run: str, outputs: tuple[Path, ...], as_json: bool, failed: bool) -> None:
    """Write RUN's results (default: the latest) to files, or print them. An open run gives what it has.

    \b
    llmq results -o results.json -o results.csv
    llmq results 3f9a --failed
    """
    from cli.history import keep_in_history
    from tasks.lifetime import keep
    from tasks.report.collect import report
    from tasks.report.write import check_outputs, write, write_json
    from tasks.session import session
    from tasks.settings import read_settings

    check_outputs(outputs)
    settings = read_settings()
    with session(settings) as on:
        made = report(on.runs, on.runs.find(run))
        rows = made.failed_rows if failed else made.rows
        for path in outputs:
            write(made, rows, path)
            echo(f"results: {path}", err=True)
        if as_json:
            write_json(made, rows(), sys.stdout)
        elif not outputs:
            (_print_failed if failed else _print)(rows())
        if made.status.ended:
            keep_in_history(made, settings)
            keep(on.runs, made.manifest.run_id, int(settings.result_ttl_days * 86400))


def _print_failed(rows: "Iterable[Row]") -> None:
    """One line for each paper and reason, however many prompts ended so."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.result and row.result.error:
            error = row.result.error
            reasons.setdefault((row.file or "no paper", f"{error.type}: {error.message}"), []).append(
                row.prompt_name
            )
    for (file, reason), prompts in reasons.items():
        echo(f"{file} ({', '.join(prompts)}): {reason}")
    if not reasons:
        echo("nothing failed", err=True)


def _print(rows: "Iterable[Row]") -> None:
    for row in rows:
        where = f"{row.file or '-'} · {row.prompt_name}" + (
            f" · {row.stage}" if row.stage != "generate" else ""
        )
        if row.result is None:
            echo(f"{where}: not yet")
        elif row.result.error:
            echo(f"{where}: FAILED {row.result.error.type}: {row.result.error.message}")
        else:
            echo(f"{where} ({row.result.host}, {row.result.model}):\n{row.result.answer}\n")


COMMANDS = (results,)
