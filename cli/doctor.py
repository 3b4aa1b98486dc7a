"""`llmq doctor`: is everything in order, and if not, what to do."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import json_option
from cli.screen import echo

if TYPE_CHECKING:
    from tasks.doctor import Examined, Finding

GOOD, WARNING, BAD = "✓", "!", "✗"


@click.command(short_help="Is everything in order?")
@click.option("--fleet", type=click.Path(path_type=Path, dir_okay=False), help="The fleet file.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, fleet: Path | None, as_json: bool) -> None:
    """Check the installation, Redis and every host; say hello to each; advise on each finding.

    Exits with 0 if all is well, 1 if a host or the installation is not, 3 if Redis does not answer.

    \b
    llmq doctor
    llmq doctor --fleet fleet.toml --json
    """
    from tasks import doctor as checks
    from tasks.fleet import hosts_of
    from tasks.settings import find_fleet, read_settings

    settings = read_settings({"fleet": fleet})
    hosts = hosts_of(find_fleet(settings, fleet))
    findings = [*checks.installation(), *checks.redis_findings(settings)]
    redis_answers = not any(one.what == "redis" and not one.ok for one in findings)
    examined = list(checks.examine_all(hosts, checks.records(settings) if redis_answers else {}))
    if as_json:
        echo(json.dumps({"findings": [asdict(f) for f in findings], "hosts": [asdict(h) for h in examined]}))
    else:
        _print(findings, examined)
    healthy = all(f.ok for f in findings) and all(h.ok for h in examined) and bool(examined)
    ctx.exit(0 if healthy else 1 if redis_answers else 3)


@click.command("_engine-here", hidden=True)
@click.pass_context
def engine_here(ctx: click.Context) -> None:
    """Exit with 0 if a fleet file or an engine is found here, else with 1 (for `make run`)."""
    from tasks.fleet import hosts_of
    from tasks.settings import find_fleet, read_settings

    ctx.exit(0 if hosts_of(find_fleet(read_settings())) else 1)


def _print(findings: "list[Finding]", examined: "list[Examined]") -> None:
    for finding in findings:
        mark = BAD if not finding.ok else WARNING if finding.advice else GOOD
        echo(f"{mark} {finding.what}: {finding.detail}")
        _advise(finding.advice)
    for host in examined:
        took = f"{host.seconds:.1f} s" if host.seconds is not None else "-"
        echo(f"{GOOD if host.ok else BAD} {host.id}  {host.address}  load {host.load}  {took}")
        echo(f"    {_about(host)}")
        _advise(host.note)
        _advise(host.advice)
    echo(f"Healthy hosts {sum(host.ok for host in examined)}/{len(examined)}")
    if not examined:
        _advise("no fleet file and no engine on this machine: start an LLM server, or write a fleet.toml")


def _about(host: "Examined") -> str:
    from tasks.report.wording import simulated

    if host.problem:
        return host.problem
    kind = f" ({simulated(host.time_scale)})" if host.simulated else ""
    models = ", ".join(host.models[:4]) + (", ..." if len(host.models) > 4 else "")
    return f"{host.engine} {host.version or ''}{kind}; {models}; window {host.window or 'unknown'}"


def _advise(advice: str) -> None:
    if advice:
        echo(f"    -> {advice}")


COMMANDS = (doctor, engine_here)
