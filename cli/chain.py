"""`llmq chain`: one model answers, another is asked about what it said."""

from typing import TYPE_CHECKING, Any

import click

from cli.options import Way, chain_options, here_options, to_asked

if TYPE_CHECKING:
    from tasks.intake.stages import Stage

_ASKED = "MODEL[@HOST]"


def _once(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str | None:
    if len(given) > 1:
        often = "twice" if len(given) == 2 else f"{len(given)} times"
        raise click.UsageError(f"{option.opts[0]} is given {often}: llmq matrix asks every pair", ctx)
    return given[0] if given else None


@click.command(short_help="Let one model work on another's answers.")
@click.option("--generate", metavar=_ASKED, multiple=True, callback=_once, help="Who answers the prompts.")
@click.option(
    "--summarize", metavar=_ASKED, multiple=True, callback=_once, help="Who is asked about these answers."
)
@click.option("--summarize-prompt", metavar="TEXT", help="What it is asked; {content} is the answer.")
@click.option(
    "--stages",
    "stages_file",
    metavar="NAME|FILE",
    help="Instead of these: any number of stages, from configs/stages or a TOML file.",
)
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, help="Ask each so often.")
@click.option(
    "--submit", "elsewhere", is_flag=True, help="Enqueue for workers elsewhere, print the run's id."
)
@chain_options
@here_options
@click.pass_context
def chain(
    ctx: click.Context,
    /,
    generate: str | None,
    summarize: str | None,
    summarize_prompt: str | None,
    stages_file: str | None,
    elsewhere: bool,
    way: Way,
    **work: Any,
) -> None:
    """Ask the prompts about every paper (without a PATH: as they are), then the next model about each
    answer.

    Runs as `llmq run` does. MODEL@HOST asks that host only. A stage that fails ends its chain, with its
    reason. An output named chains.csv or NAME.chains.csv has one row per chain.

    \b
    llmq chain -p "Why is the sky blue?" --generate qwen2.5:0.5b@pi --summarize llama3.2:1b@imac
    llmq chain papers/ --stages draft-critique-rewrite -o results.json -o chains.csv
    """
    from cli.run import run_here
    from cli.submit import submit_asked

    stages = _stages(generate, summarize, summarize_prompt, stages_file)
    if elsewhere and (way.simulate or way.outputs):
        raise click.UsageError("--submit waits for nothing; later: llmq results RUN -o FILE")
    settings = way.settings()
    asked = to_asked(**work, stages=stages)
    ctx.exit((submit_asked if elsewhere else run_here)(settings, asked, way))


def _stages(
    generate: str | None, summarize: str | None, summarize_prompt: str | None, file: str | None
) -> "tuple[Stage, ...]":
    from tasks.intake.config_files import config_file
    from tasks.intake.stage_files import pair, read_stages

    if file:
        if generate or summarize or summarize_prompt:
            raise click.UsageError("--stages says all stages; leave out --generate and --summarize")
        return read_stages(config_file("stages", "stages", file))
    if not (generate and summarize):
        raise click.UsageError("name both models: --generate MODEL --summarize MODEL (or --stages FILE)")
    return pair(generate, summarize, summarize_prompt)


COMMANDS = (chain,)
