"""`llmq matrix`: every model of one list answers, every model of another works on each answer."""

from typing import Any

import click

from cli.options import Way, chain_options, here_options, to_asked


@click.command(short_help="Every generator x every summarizer, as one run.")
@click.argument("suite", metavar="NAME|FILE")
@click.option("--repeats", type=click.IntRange(1), help="Ask each so often; else as the suite says.")
@chain_options
@here_options
@click.pass_context
def matrix(ctx: click.Context, /, suite: str, repeats: int | None, way: Way, **work: Any) -> None:
    """Run a suite, by its name in configs/suites or as a TOML file: which models generate, which summarize,
    and the prompts (where the command line names some: those instead). An output named chains.csv has a row
    per chain, one named p2p.csv the 22 columns of the P2P testing framework.

    \b
    llmq matrix p2p -o results.json -o p2p.csv
    llmq matrix mine.toml --fleet fleet.toml -o results.json -o chains.csv
    """
    from cli.run import run_here
    from tasks.intake.config_files import config_file
    from tasks.intake.suite_files import is_matrix, read_suite

    read = read_suite(config_file("suites", "suite", suite, is_matrix))
    settings = way.settings()
    asked = to_asked(**work, stages=read.stages, more=read.prompts, repeats=repeats or read.repeats)
    ctx.exit(run_here(settings, asked, way))


COMMANDS = (matrix,)
