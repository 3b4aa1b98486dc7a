"""`llmq submit`: enqueue a run for workers that live elsewhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import Way, to_asked, way_options, work_options
from cli.screen import echo

if TYPE_CHECKING:
    from cli.progress import Progress
    from tasks.request import Asked
    from tasks.session import Session
    from tasks.settings import Settings


@click.command(short_help="Enqueue a run and print its id.")
@work_options
@way_options
@click.option("--wait", is_flag=True, help="Follow the run to its end.")
@click.pass_context
def submit(ctx: click.Context, /, way: Way, wait: bool, **work: Any) -> None:
    """Put every paper x prompt into the queue. Workers (`llmq worker`) take it from there.

    \b
    llmq submit papers/ --preset research
    llmq submit papers/ -p "List the data sets used." --wait -o results.csv
    """
    if way.outputs and not wait:
        raise click.UsageError("-o needs --wait; or later: llmq results RUN -o FILE")
    settings = way.settings()
    ctx.exit(submit_asked(settings, to_asked(**work), way, wait=wait))


def submit_asked(settings: "Settings", asked: "Asked", way: Way, *, wait: bool = False) -> int:
    """Enqueue what was asked, and follow it where that is wanted. Returns the exit code."""
    from cli.progress import Progress
    from tasks.session import session

    with Progress(quiet=way.as_json) as progress, session(settings, patient=wait, say=progress.say) as on:
        if way.dry_run:
            from cli.forecast import say_forecast
            from tasks.forecast import able_of_records
            from tasks.hosts import live_hosts

            able = able_of_records(live_hosts(on.client), asked.manifest.first_models)
            return say_forecast(asked, able, as_json=way.as_json)
        return _submit(on, asked, progress, way, wait=wait)


def _submit(on: "Session", asked: "Asked", progress: "Progress", way: Way, *, wait: bool) -> int:
    from cli.outcome import enqueue

    started = enqueue(on, asked, way.outputs, progress, "enqueued", fresh=way.fresh)
    warn_if_nobody(on, started.run_id, progress)
    if wait:
        return wait_for_end(on, started.run_id, way.outputs, progress, as_json=way.as_json)
    progress.stop()
    status = on.runs.status(started.run_id)
    if way.as_json:
        echo(
            json.dumps(
                {
                    "run_id": started.run_id,
                    "continued": started.continued,
                    "total_tasks": status.total,
                    "reused": started.reused,
                }
            )
        )
    else:
        echo(started.run_id)
        echo(f"{status.total} items; follow: llmq watch {started.run_id}", err=True)
    return 0


def wait_for_end(
    on: "Session", run_id: str, outputs: tuple[Path, ...], progress: "Progress", *, as_json: bool
) -> int:
    """Follow a run, write its results, say how it ended. Returns the exit code."""
    from cli.outcome import follow_to_end, say_outcome, write_outputs

    try:
        left = follow_to_end(on, run_id, outputs, progress)
    except KeyboardInterrupt:
        progress.note(f"let go; the run goes on: llmq watch {run_id}")
        raise
    write_outputs(on, run_id, left)
    return say_outcome(on, run_id, outputs, as_json=as_json)


def warn_if_nobody(on: "Session", run_id: str, progress: "Progress") -> None:
    """Say which of the run's work no live host takes."""
    from cli.progress import asked_of
    from tasks.hosts import live_hosts, serving

    hosts, status, manifest = live_hosts(on.client), on.runs.status(run_id), on.runs.manifest(run_id)
    later = manifest.queues if manifest.stages and not status.ended else ()
    for queue in dict.fromkeys((*status.waiting, *later)):
        if not serving(hosts, queue):
            progress.note(f"no live worker serves {asked_of(queue)} yet; the work waits (llmq worker)")
    models = {host.id: {model.name for model in host.models} for host in hosts}
    for stage in manifest.stages:
        if stage.host in models and stage.model and stage.model not in models[stage.host]:
            progress.note(f"{stage.name}: {stage.host} does not serve {stage.model}")


COMMANDS = (submit,)
