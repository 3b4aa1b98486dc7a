"""`llmq watch`: follow a run from any terminal."""

from pathlib import Path

import click

from cli.options import json_option, output_option, run_argument


@click.command(short_help="Follow a run to its end.")
@run_argument
@output_option
@json_option
@click.pass_context
def watch(ctx: click.Context, run: str, outputs: tuple[Path, ...], as_json: bool) -> None:
    """Show how RUN goes until it has ended. Ctrl-C lets go; the run goes on.

    RUN is an id, the beginning of one, a name, or `latest` (the default).

    \b
    llmq watch
    llmq watch 3f9a -o results.jsonl
    """
    from cli.progress import Progress
    from cli.submit import wait_for_end
    from tasks.report.write import check_outputs
    from tasks.session import session
    from tasks.settings import read_settings

    check_outputs(outputs)
    with Progress(quiet=as_json) as progress, session(read_settings(), patient=True, say=progress.say) as on:
        ctx.exit(wait_for_end(on, on.runs.find(run), outputs, progress, as_json=as_json))


COMMANDS = (watch,)
