"""`llmq cancel` and `llmq rm`: end a run, remove a run."""

import click

from cli.options import json_option
from cli.screen import echo


@click.command(short_help="Stop a run; what it has answered is kept.")
@click.argument("run")
@json_option
def cancel(run: str, as_json: bool) -> None:
    """Stop RUN at once: queued work goes, running requests are shut. Its answers are kept.

    \b
    llmq cancel latest
    """
    import json

    from tasks.lifetime import withdraw
    from tasks.session import session
    from tasks.settings import read_settings

    with session(read_settings()) as on:
        run_id = on.runs.find(run)
        owed = on.ledger.cancel(run_id)
        withdraw(on.runs, run_id)
    if as_json:
        echo(json.dumps({"run_id": run_id, "cancelled": owed >= 0}))
    else:
        echo(f"run {run_id} is cancelled" if owed >= 0 else f"run {run_id} had already ended")


@click.command(short_help="Remove a run and its results.")
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(run: str, yes: bool) -> None:
    """Remove RUN with all its results from Redis, and the texts that no other run needs. A run that is
    open must be cancelled first.

    \b
    llmq rm 3f9a
    """
    from tasks.errors import InputError
    from tasks.lifetime import remove
    from tasks.session import session
    from tasks.settings import read_settings

    with session(read_settings()) as on:
        one = on.runs.status(on.runs.find(run))
        if not one.ended:
            raise InputError(f"run {one.run_id} is {one.state}; cancel it first: llmq cancel {one.run_id}")
        if not yes:
            click.confirm(f"remove run {one.run_id} with {one.finished} results?", abort=True)
        remove(on.runs, one.run_id)
    echo(f"run {one.run_id} is removed")


COMMANDS = (cancel, rm)
