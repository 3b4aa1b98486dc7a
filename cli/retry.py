"""`llmq retry`: run again what failed."""

import json
from pathlib import Path

import click

from cli.options import json_option, output_option
from cli.screen import echo


@click.command(short_help="Run again only what failed.")
@click.argument("run")
@click.option("--error", metavar="TYPE", help="Only items that failed with this, as in `timeout`.")
@click.option("--wait", is_flag=True, help="Follow the new run to its end.")
@output_option
@json_option
@click.pass_context
def retry(
    ctx: click.Context, run: str, error: str | None, wait: bool, outputs: tuple[Path, ...], as_json: bool
) -> None:
    """Start a new run of RUN's plan: what failed there, or was cancelled, is asked again; its answers are
    carried over. RUN must have ended. Workers (`llmq worker`) take it from there; with `llmq run`, give the
    same command again instead: it asks only what has no answer yet.

    \b
    llmq retry latest
    llmq retry 3f9a --error timeout --wait -o results.json
    """
    from cli.progress import Progress
    from cli.submit import wait_for_end, warn_if_nobody
    from tasks.report.write import check_outputs
    from tasks.retry import retry as again
    from tasks.session import session
    from tasks.settings import read_settings

    if outputs and not wait:
        raise click.UsageError("-o needs --wait; or later: llmq results RUN -o FILE")
    check_outputs(outputs)
    with Progress(quiet=as_json) as progress, session(read_settings(), patient=wait, say=progress.say) as on:
        started = again(on.ledger, on.runs.find(run), error)
        progress.note(("goes on with" if started.continued else "enqueued") + f" run {started.run_id}")
        warn_if_nobody(on, started.run_id, progress)
        if wait:
            ctx.exit(wait_for_end(on, started.run_id, outputs, progress, as_json=as_json))
        status = on.runs.status(started.run_id)
    left = status.total - status.finished
    if as_json:
        echo(json.dumps({"run_id": started.run_id, "continued": started.continued, "open": left}))
    else:
        echo(started.run_id)
        echo(f"{left} of {status.total} items again; follow: llmq watch {started.run_id}", err=True)


COMMANDS = (retry,)
