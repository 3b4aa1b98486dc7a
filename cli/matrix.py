"""`llmq matrix`: every model of one list answers, every model of another works on each answer."""

from pathlib import Path
from typing import Any

import click

from cli.options import Way, chain_options, here_options, to_asked


@click.command(short_help="Every generator x every summarizer, as one run.")
@click.argument("suite", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--repeats", type=click.IntRange(1), help="Ask each so often; else as the suite says.")
@chain_options
@here_options
@click.pass_context
def matrix(ctx: click.Context, /, suite: Path, repeats: int | None, way: Way, **work: Any) -> None:
    """Run the SUITE, a TOML file: which models generate, which summarize, and the prompts (where the command
    line names some: those instead). An output named chains.csv has a row per chain, one named p2p.csv the
    22 columns of the P2P testing framework.

    \b
    llmq matrix configs/suites/p2p.toml -o results.json -o p2p.csv
    """
    from cli.run import run_here
    from tasks.intake.suite_files import read_suite

    read = read_suite(suite)
    settings = way.settings()
    asked = to_asked(**work, stages=read.stages, more=read.prompts, repeats=repeats or read.repeats)
    ctx.exit(run_here(settings, asked, way))


COMMANDS = (matrix,)
