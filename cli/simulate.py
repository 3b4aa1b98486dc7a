"""`llmq simulate`: engines that are not there, for trying llmq and for tests."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.screen import echo

if TYPE_CHECKING:
    from worker_agent.config import Host
    from worker_agent.simulator.fleet import Simulated

HEAD = "# A simulated fleet"
LOOK_S = 0.5


@click.command(short_help="Serve a simulated engine, or a fleet of them.")
@click.option("--profile", default="laptop", show_default=True, help="A built-in profile, or a TOML file.")
@click.option("--seed", type=int, help="Same seed, same answers and times.  [default: the profile's, or 1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Of the first; the others follow. 0 takes free ones.",
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--fleet-out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the fleet file that names them.",
)
@click.pass_context
def simulate(
    ctx: click.Context, /, profile: str, seed: int | None, port: int, bind: str, fleet_out: Path | None
) -> None:
    """Serve a simulated engine, or each of a fleet in a process of its own, until stopped. Every answer is
    marked as simulated. Of a fleet all end, with exit code 1, when one of them does.

    \b
    llmq simulate --profile mac-studio --seed 7 --port 1234
    llmq simulate --profile living-room --fleet-out fleet.toml
    """
    from worker_agent.simulator.fleet import load_machines
    from worker_agent.simulator.server import serve

    _check_ours(fleet_out)
    machines = load_machines(profile, seed)
    if len(machines) > 1:
        ctx.exit(_serve_all(machines, port, bind, fleet_out))
    (one,) = machines

    def ready(url: str) -> None:
        _write(machines, [url], fleet_out)
        echo(f"{one.profile.name} ({one.profile.wire}) at {url}")

    serve(one.profile, port=port, host=bind, seed=one.seed, on_ready=ready)


def _serve_all(machines: "tuple[Simulated, ...]", port: int, bind: str, fleet_out: Path | None) -> int:
    """Until it is told to stop (0), or one of them has ended by itself (1): a fleet that lacks a machine is
    not the one that was asked for."""
    import signal
    import time

    from tasks.children import simulators
    from worker_agent.errors import ConfigError

    if port and port + len(machines) > 65536:
        raise ConfigError(f"{len(machines)} machines need as many ports from --port {port} on")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with simulators(machines, bind=bind, port=port) as engines:
            _write(machines, [one.host.url for one in engines], fleet_out)
            for one in engines:
                echo(f"{one.host.id} ({one.host.engine}) at {one.host.url}")
            echo(_how_to_use(fleet_out))
            while not any(one.ended for one in engines):
                time.sleep(LOOK_S)
            for one in engines:
                if one.ended:
                    echo(f"{one.host.id} has ended ({one.how()}); the others end too", err=True)
            return 1
    except KeyboardInterrupt:
        return 0  # as it is ended on purpose


def _how_to_use(fleet_out: Path | None) -> str:
    if fleet_out:
        return f"all up until Ctrl-C; elsewhere: llmq run papers/ --fleet {fleet_out}"
    return "all up until Ctrl-C; --fleet-out FILE writes the fleet file that names them"


def _check_ours(path: Path | None) -> None:
    """Raises ConfigError where a fleet file of a person would be overwritten."""
    from worker_agent.errors import ConfigError

    if path and path.exists() and not path.read_text(errors="replace").startswith(HEAD):
        raise ConfigError(f"{path} is there and was not written by --fleet-out; name another file")


def _write(machines: "tuple[Simulated, ...]", urls: list[str], path: Path | None) -> None:
    if path is None:
        return
    from tasks.fleet import as_toml

    hosts = [_as_host(one, url) for one, url in zip(machines, urls, strict=True)]
    try:
        path.write_text(f"{HEAD}, by llmq simulate.\n{as_toml(hosts)}", encoding="utf-8")
    except OSError as error:
        from worker_agent.errors import ConfigError

        raise ConfigError(f"{path}: {error.strerror}") from None


def _as_host(one: "Simulated", url: str) -> "Host":
    """As a person would write it: with a knee nobody knows how many slots it is worth."""
    from worker_agent.config import Host

    return Host(one.id, one.profile.wire, url, slots="auto" if one.profile.knee else one.profile.slots)


COMMANDS = (simulate,)
