"""`llmq run`: everything on this machine, from papers to results."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import Way, here_options, to_asked, work_options

if TYPE_CHECKING:
    from tasks.request import Asked
    from tasks.settings import Settings
    from worker_agent.config import Host


@click.command(short_help="Everything here: Redis, a worker per host, results.")
@work_options
@here_options
@click.pass_context
def run(ctx: click.Context, /, way: Way, **work: Any) -> None:
    """Answer every prompt for every paper, with a worker for each host of the fleet.

    The fleet is --fleet, LLMQ_FLEET, llmq.toml, ./fleet.toml or ./workers.json, else the engines found on
    this machine. Ctrl-C pauses: finished answers are kept and the same command goes on.

    \b
    llmq run papers/ --preset research -o results.json -o results.csv
    llmq run papers/ -p "What is the main contribution of {filename}?" --fleet fleet.toml
    """
    settings = way.settings()
    ctx.exit(run_here(settings, to_asked(**work), way))


def run_here(settings: "Settings", asked: "Asked", way: Way) -> int:
    """A run with a worker for each host, from its start to its results. Returns the exit code."""
    models = asked.manifest.models_asked
    seed = asked.manifest.params.seed
    with fleet_hosts(settings, way.fleet, simulate=way.simulate, models=models, seed=seed) as hosts:
        if way.dry_run:
            from cli.forecast import say_forecast
            from tasks.forecast import able_of_fleet

            return say_forecast(asked, able_of_fleet(hosts, asked.manifest.first_models), as_json=way.as_json)
        return _run(settings, asked, hosts, way)


@contextmanager
def fleet_hosts(
    settings: "Settings",
    fleet: Path | None,
    *,
    simulate: bool | str,
    models: Sequence[str] = (),
    seed: int | None = None,
) -> "Iterator[tuple[Host, ...]]":
    """The hosts of the run. Simulated ones serve the `models` that it names and are drawn from its `seed`,
    unless a profile says what they serve and its seed. Raises ConfigError where there is none."""
    from tasks.children import simulated, simulators
    from tasks.fleet import hosts_of
    from tasks.settings import find_fleet
    from worker_agent.errors import ConfigError
    from worker_agent.simulator.fleet import SEED, load_machines

    seed = SEED if seed is None else seed
    with ExitStack() as stack:
        if isinstance(simulate, str):
            machines = load_machines(simulate, otherwise=seed)
            hosts = tuple(one.host for one in stack.enter_context(simulators(machines)))
        elif simulate:
            hosts = stack.enter_context(simulated(seed, models=models))
        else:
            hosts = hosts_of(find_fleet(settings, fleet))
        if not hosts:
            given = click.get_current_context().command_path  # also `llmq bench`, `llmq chain`
            raise ConfigError(
                "no LLM server answers on this machine and there is no fleet file. Start one (LM Studio, "
                "Ollama, llama.cpp), name your machines with --fleet, or see llmq work with simulated "
                f"engines: {given} --simulate ..."
            )
        yield hosts


def _run(settings: "Settings", asked: "Asked", hosts: "tuple[Host, ...]", way: Way) -> int:
    from cli.outcome import enqueue, follow_to_end, say_outcome, write_outputs
    from cli.progress import Progress
    from tasks.fleet import workers
    from tasks.hosts import live_hosts
    from tasks.session import session

    outputs = way.outputs
    with Progress(quiet=way.as_json) as progress, session(settings, patient=True, say=progress.say) as work:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop: as with Ctrl-C
        try:
            with workers(hosts, work.client, settings) as fleet:
                fleet.wait_up(work.client, progress.note)
                fleet.check_stages(asked.manifest.all_stages, live_hosts(work.client))
                if fleet.down:
                    progress.note(f"left out until they come up: {', '.join(fleet.down)}")
                started = enqueue(work, asked, outputs, progress, "started", fresh=way.fresh)
                outputs = outputs or _default_outputs(started.run_id, chain=bool(asked.manifest.stages))
                left = follow_to_end(work, started.run_id, outputs, progress)
        except KeyboardInterrupt:
            progress.note("paused; the answers so far are kept, the same command goes on")
            raise
        write_outputs(work, started.run_id, left)
        return say_outcome(work, started.run_id, outputs, as_json=way.as_json)


def _default_outputs(run_id: str, *, chain: bool) -> tuple[Path, ...]:
    """Where results go when nobody says."""
    suffixes = (".json", ".csv", ".chains.csv") if chain else (".json", ".csv")
    return tuple(Path("results") / f"{run_id}{suffix}" for suffix in suffixes)


COMMANDS = (run,)
