"""`llmq worker`: the documented safe way to start what `celery -A tasks worker` starts."""

import os
from pathlib import Path

import click


@click.command(
    short_help="Serve this machine's engine, or one host of a fleet.",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--fleet", type=click.Path(path_type=Path, dir_okay=False), help="The fleet file.")
@click.option("--host", metavar="ID", help="Which host of it.")
@click.option(
    "--grace", type=click.FloatRange(0), metavar="S", help="Seconds for running requests after SIGTERM (30)."
)
@click.argument("celery_options", nargs=-1, type=click.UNPROCESSED)
def worker(
    fleet: Path | None, host: str | None, grace: float | None, celery_options: tuple[str, ...]
) -> None:
    """Work for the queue with the engine on this machine, or with one host of a fleet file.

    Further options are Celery's: -c N sets the slots, -Q consumes those queues only, -n names the node.

    \b
    LLMQ_REDIS_URL=redis://:PASSWORD@master:6379/0 llmq worker
    llmq worker --fleet fleet.toml --host imac-office
    """
    from tasks.settings import read_settings

    given = {"LLMQ_FLEET": fleet, "LLMQ_HOST": host, "LLMQ_GRACE_S": grace}
    os.environ |= {name: str(value) for name, value in given.items() if value is not None}
    level = read_settings().log_level
    from tasks.celery import app

    app.worker_main(["worker", "--loglevel", level, *celery_options])


COMMANDS = (worker,)
