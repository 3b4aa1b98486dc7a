"""`llmq chain`: one model answers, another is asked about what it said."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import chain_options, json_option, output_option, simulate_option, to_asked

if TYPE_CHECKING:
    from tasks.intake.stages import Stage

_ASKED = "MODEL[@HOST]"


@click.command(short_help="Let one model work on another's answers.")
@click.option("--generate", metavar=_ASKED, help="Who answers the prompts.")
@click.option("--summarize", metavar=_ASKED, help="Who is asked about these answers.")
@click.option("--summarize-prompt", metavar="TEXT", help="What it is asked; {content} is the answer.")
@click.option(
    "--stages",
    "stages_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Instead of these: any number of stages from a TOML file.",
)
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, help="Ask each so often.")
@click.option(
    "--submit", "elsewhere", is_flag=True, help="Enqueue for workers elsewhere, print the run's id."
)
@chain_options
@output_option
@json_option
@simulate_option
@click.pass_context
def chain(
    ctx: click.Context,
    /,
    generate: str | None,
    summarize: str | None,
    summarize_prompt: str | None,
    stages_file: Path | None,
    elsewhere: bool,
    fleet: Path | None,
    dry_run: bool,
    fresh: bool,
    outputs: tuple[Path, ...],
    as_json: bool,
    simulate: bool | str,
    **work: Any,
) -> None:
    """Ask the prompts about every paper (without a PATH: as they are), then the next model about each
    answer.

    Runs as `llmq run` does. MODEL@HOST asks that host only. A stage that fails ends its chain, with its
    reason. An output named chains.csv or NAME.chains.csv has one row per chain.

    \b
    llmq chain -p "Why is the sky blue?" --generate qwen2.5:0.5b@pi --summarize llama3.2:1b@imac
    llmq chain papers/ --stages configs/stages/draft-critique-rewrite.toml -o results.json -o chains.csv
    """
    from cli.run import run_here
    from tasks.report.write import check_outputs
    from tasks.settings import read_settings

    stages = _stages(generate, summarize, summarize_prompt, stages_file)
    if elsewhere and (simulate or outputs):
        raise click.UsageError("--submit waits for nothing; later: llmq results RUN -o FILE")
    check_outputs(outputs)
    settings = read_settings({"fleet": fleet})
    asked = to_asked(**work, stages=stages)
    if elsewhere:
        from cli.submit import submit_asked

        ctx.exit(submit_asked(settings, asked, (), dry_run=dry_run, fresh=fresh, wait=False, as_json=as_json))
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


def _stages(
    generate: str | None, summarize: str | None, summarize_prompt: str | None, file: Path | None
) -> "tuple[Stage, ...]":
    from tasks.intake.stage_files import pair, read_stages

    if file:
        if generate or summarize or summarize_prompt:
            raise click.UsageError("--stages says all stages; leave out --generate and --summarize")
        return read_stages(file)
    if not (generate and summarize):
        raise click.UsageError("name both models: --generate MODEL --summarize MODEL (or --stages FILE)")
    return pair(generate, summarize, summarize_prompt)


COMMANDS = (chain,)
