"""`llmq worker`: the documented safe way to start what `celery -A tasks worker` starts."""

import json
import os
from pathlib import Path
from typing import Any

import click

from cli.flags import json_option
from cli.screen import echo


class Slots(click.ParamType):  # type: ignore[type-arg]
    """A number from 1 on, or `auto`."""

    name = "slots"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "auto" else click.IntRange(1).convert(value, param, ctx)


@click.command(short_help="Serve this machine's engine, or one host of a fleet.")
@click.option("--fleet", type=click.Path(path_type=Path, dir_okay=False), help="The fleet file.")
@click.option("--host", metavar="ID", help="Which host of it.")
@click.option(
    "--grace", type=click.FloatRange(0), metavar="S", help="Seconds for running requests after SIGTERM (30)."
)
@click.option("--pause", is_flag=True, help="Let a host finish what it works on, then give it nothing more.")
@click.option("--resume", is_flag=True, help="Give a paused host work again.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    metavar="S",
    help="With --pause: seconds until running requests are shut.",
)
@json_option
@click.option("-c", "--concurrency", type=Slots(), metavar="N", help="The host's slots; auto: find out.")
@click.option("-Q", "--queues", metavar="A,B", help="Consume these queues only.")
@click.option("-n", "--hostname", metavar="NAME", help="The name of the Celery node.")
@click.option("-l", "--loglevel", help="DEBUG, INFO, WARNING or ERROR.")
@click.pass_context
def worker(
    ctx: click.Context,
    fleet: Path | None,
    host: str | None,
    grace: float | None,
    pause: bool,
    resume: bool,
    wait_s: float,
    as_json: bool,
    concurrency: int | str | None,
    queues: str | None,
    hostname: str | None,
    loglevel: str | None,
) -> None:
    """Work for the queue with the engine on this machine, or with one host of a fleet file.

    -c, -Q, -n and -l are those of `celery -A tasks worker`, which is the same worker.

    --pause and --resume start none: they tell the worker of --host, or the one that runs on this machine.
    A host stays paused, whatever becomes of its worker, until it is resumed.

    \b
    LLMQ_REDIS_URL=redis://:PASSWORD@master:6379/0 llmq worker
    llmq worker --fleet fleet.toml --host imac-office
    llmq worker --pause --host imac-office
    """
    if pause and resume:
        raise click.UsageError("--pause or --resume, not both")
    if pause or resume:
        ctx.exit(_pause(host, wait_s, as_json=as_json) if pause else _resume(host, as_json=as_json))
    from tasks.settings import read_settings

    given = {"LLMQ_FLEET": fleet, "LLMQ_HOST": host, "LLMQ_GRACE_S": grace, "LLMQ_LOG_LEVEL": loglevel}
    os.environ |= {name: str(value) for name, value in given.items() if value is not None}
    level = read_settings().log_level
    from tasks.worker import work

    ctx.exit(work(concurrency=concurrency, queues=queues, hostname=hostname, loglevel=level))


def _pause(named: str | None, wait_s: float, *, as_json: bool) -> int:
    """Returns the exit code: 1 if the host still holds something."""
    from tasks import pause
    from tasks.session import session
    from tasks.settings import read_settings

    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            echo(text, err=True)

    settings = read_settings({"host": named})
    with session(settings) as on:
        host_id = pause.host_to_pause(on.client, settings.host)
        pause.pause(on.client, host_id)
        empty, shut = pause.wait_empty(on.client, host_id, wait_s, say)
    if as_json:
        echo(json.dumps({"host": host_id, "paused": True, "holds_nothing": empty, "shut": shut}))
    elif empty:
        back = "llmq worker --resume" + (f" --host {named}" if named else "")
        echo(f"{host_id} is paused and holds nothing; {back} takes work again")
    else:
        echo(
            f"{host_id} is paused, and its worker does not let go of what it held; it is taken back when its "
            "lease ends",
            err=True,
        )
    return 0 if empty else 1


def _resume(named: str | None, *, as_json: bool) -> int:
    from tasks import pause
    from tasks.session import session
    from tasks.settings import read_settings

    settings = read_settings({"host": named})
    with session(settings) as on:
        host_id = pause.host_to_resume(on.client, settings.host)
        was_paused = pause.resume(on.client, host_id)
    if as_json:
        echo(json.dumps({"host": host_id, "paused": False, "was_paused": was_paused}))
    else:
        echo(f"{host_id} takes work again" if was_paused else f"{host_id} was not paused")
    return 0


COMMANDS = (worker,)
