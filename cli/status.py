"""`llmq status` and `llmq runs`: how runs stand."""

import json
import time
from dataclasses import asdict
from typing import Any

import click

from cli.options import json_option, run_argument
from cli.screen import echo


@click.command(short_help="How a run stands, and what it waits for.")
@run_argument
@json_option
def status(run: str, as_json: bool) -> None:
    """Counts, hosts and what RUN waits for (default: the latest).

    \b
    llmq status
    llmq status 3f9a --json
    """
    from cli.progress import counts, describe
    from tasks.follow import follow
    from tasks.session import session
    from tasks.settings import read_settings

    with session(read_settings()) as on:
        view = next(follow(on.ledger, on.runs.find(run)))
    if as_json:
        fields = asdict(view.status) | {
            "hosts": [asdict(h) for h in view.hosts],
            "waiting_for": view.waiting_for(),
        }
        echo(json.dumps(fields))
        return
    one = view.status
    named = f" ({one.name})" if one.name else ""
    echo(f"run {one.run_id}{named}: {one.state}{_priority(one)}, {counts(view)}")
    if one.cut:
        echo(f"{one.cut} answers cut at --max-tokens")
    for host in view.hosts:
        load = (
            f"{host.busy}/{host.slots} slots at work"
            + (f" (slots {host.slots_are})" if host.slots_are else "")
            + (", paused" if host.drained else "")
        )
        echo(f"  {host.id}: {one.by_host.get(host.id, 0)} items, {load}")
    if not one.ended and (rest := describe(view)):
        echo(rest)


@click.command(short_help="All runs this Redis knows.")
@json_option
def runs(as_json: bool) -> None:
    """All runs, newest first.

    \b
    llmq runs
    """
    from tasks.session import session
    from tasks.settings import read_settings

    with session(read_settings()) as on:
        statuses = [on.runs.status(run_id) for run_id in on.runs.ids()]
    if as_json:
        echo(json.dumps([asdict(one) for one in statuses]))
        return
    for one in statuses:
        echo(_line(one))
    if not statuses:
        echo("no runs yet; start one: llmq run papers/", err=True)


def _line(one: Any) -> str:
    created = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.created_ms / 1000))
    failed = f", {one.failed} failed" if one.failed else ""
    name = f"  {one.name}" if one.name else ""
    items = f"{one.finished}/{one.total} items{failed}{_priority(one)}"
    return f"{one.run_id}  {created}  {one.state:<10}  {items}{name}"


def _priority(one: Any) -> str:
    return f", {one.priority} priority" if one.priority != "normal" else ""


COMMANDS = (status, runs)
