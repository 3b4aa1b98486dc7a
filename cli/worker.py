"""`llmq worker`: the documented safe way to start what `celery -A tasks worker` starts."""

import os
from pathlib import Path

import click


@click.command(short_help="Serve this machine's engine, or one host of a fleet.")
@click.option("--fleet", type=click.Path(path_type=Path, dir_okay=False), help="The fleet file.")
@click.option("--host", metavar="ID", help="Which host of it.")
@click.option(
    "--grace", type=click.FloatRange(0), metavar="S", help="Seconds for running requests after SIGTERM (30)."
)
@click.option("-c", "--concurrency", type=click.IntRange(1), metavar="N", help="The host's slots.")
@click.option("-Q", "--queues", metavar="A,B", help="Consume these queues only.")
@click.option("-n", "--hostname", metavar="NAME", help="The name of the Celery node.")
@click.option("-l", "--loglevel", help="DEBUG, INFO, WARNING or ERROR.")
@click.pass_context
def worker(
    ctx: click.Context,
    fleet: Path | None,
    host: str | None,
    grace: float | None,
    concurrency: int | None,
    queues: str | None,
    hostname: str | None,
    loglevel: str | None,
) -> None:
    """Work for the queue with the engine on this machine, or with one host of a fleet file.

    -c, -Q, -n and -l are those of `celery -A tasks worker`, which is the same worker.

    \b
    LLMQ_REDIS_URL=redis://:PASSWORD@master:6379/0 llmq worker
    llmq worker --fleet fleet.toml --host imac-office
    """
    from tasks.settings import read_settings

    given = {"LLMQ_FLEET": fleet, "LLMQ_HOST": host, "LLMQ_GRACE_S": grace, "LLMQ_LOG_LEVEL": loglevel}
    os.environ |= {name: str(value) for name, value in given.items() if value is not None}
    level = read_settings().log_level
    from tasks.worker import work

    ctx.exit(work(concurrency=concurrency, queues=queues, hostname=hostname, loglevel=level))


COMMANDS = (worker,)
