"""`llmq`: the front door. Commands parse, call `tasks`, and print; what goes wrong is one line and an
exit code: 0 done, 1 items failed, 2 wrong usage, input or output, 3 no broker or unknown run, 130
interrupted."""

import sys

import click

from cli import (
    bench,
    cancel,
    chain,
    compare,
    doctor,
    history,
    matrix,
    presets,
    rank,
    report,
    results,
    retry,
    run,
    simulate,
    status,
    submit,
    watch,
    worker,
)
from cli.screen import echo
from worker_agent.errors import LLMQError

UNREACHABLE = {"broker", "unknown_run"}


class Doors(click.Group):
    """All commands; llmq's own errors become one message and an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LLMQError as error:
            echo(f"llmq: {error}", err=True)
            ctx.exit(3 if error.kind in UNREACHABLE else 2)
        except KeyboardInterrupt:
            echo("interrupted", err=True)
            ctx.exit(130)


@click.group(cls=Doors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="llmq-fleet", prog_name="llmq")
def main() -> None:
    """llmq turns a room full of private machines into one LLM.

    \b
    llmq run papers/          everything here: Redis, a worker per host, results
    llmq submit papers/       enqueue for workers that run elsewhere
    llmq doctor               is everything in order?
    """


ANSWERING = (run, submit, chain, watch, status, results, retry, cancel, presets, worker, doctor, simulate)
MEASURING = (bench, matrix, rank, compare, history, report)
for module in (*ANSWERING, *MEASURING):
    for command in module.COMMANDS:
        main.add_command(command)


if __name__ == "__main__":
    sys.exit(main())
