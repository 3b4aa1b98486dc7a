"""`llmq matrix`: every model of one list answers, every model of another works on each answer."""

from pathlib import Path
from typing import Any

import click

from cli.options import chain_options, json_option, output_option, simulate_option, to_asked


@click.command(short_help="Every generator x every summarizer, as one run.")
@click.argument("suite", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--repeats", type=click.IntRange(1), help="Ask each so often; else as the suite says.")
@chain_options
@output_option
@json_option
@simulate_option
@click.pass_context
def matrix(
    ctx: click.Context,
    /,
    suite: Path,
    repeats: int | None,
    fleet: Path | None,
    dry_run: bool,
    fresh: bool,
    outputs: tuple[Path, ...],
    as_json: bool,
    simulate: bool | str,
    **work: Any,
) -> None:
    """Run the SUITE, a TOML file: which models generate, which summarize, and the prompts (where the command
    line names some: those instead). An output named chains.csv has a row per chain, one named p2p.csv the
    22 columns of the P2P testing framework.

    \b
    llmq matrix configs/suites/p2p.toml -o results.json -o p2p.csv
    """
    from cli.run import run_here
    from tasks.intake.suite_files import read_suite
    from tasks.report.write import check_outputs
    from tasks.settings import read_settings

    read = read_suite(suite)
    check_outputs(outputs)
    settings = read_settings({"fleet": fleet})
    asked = to_asked(**work, stages=read.stages, more=read.prompts, repeats=repeats or read.repeats)
    ctx.exit(
        run_here(
            settings,
            asked,
            outputs,
            fleet=fleet,
            simulate=simulate,
            dry_run=dry_run,
            fresh=fresh,
            as_json=as_json,
        )
    )


COMMANDS = (matrix,)
