"""From what a person asks of a benchmark to a manifest. Raises InputError before any work."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tasks.bench.cell import Bench, places
from tasks.errors import InputError
from tasks.hosts import HostRecord
from tasks.intake.prompts import Prompt
from tasks.intake.stages import Stage
from tasks.request import Asked, asked
from tasks.work import Manifest, Params
from worker_agent.config import Host

# About as long as each other, and none that a model answers in a word.
PROMPTS = (
    Prompt("tides", "Why are there two tides a day at most coasts, and why do they come later every day?"),
    Prompt(
        "bread", "How does a sourdough rise without any yeast from a shop? Tell what happens in the dough."
    ),
    Prompt("bridge", "Why can a stone arch span a river without mortar? Explain where the forces go."),
    Prompt(
        "index", "How does an index make a data base find a row sooner, and what does it cost on writing?"
    ),
    Prompt("maps", "Why does every flat map of the world distort something? Compare two projections."),
)


def chosen_hosts(hosts: Sequence[Host], ids: Sequence[str]) -> tuple[Host, ...]:
    """Those of the fleet that are named; all where none is."""
    known = [host.id for host in hosts]
    if unknown := [one for one in ids if one not in known]:
        raise InputError(f"no host {', '.join(unknown)} in the fleet; there is {', '.join(known)}")
    return tuple(host for host in hosts if not ids or host.id in ids)


def stages_of(bench: Bench, records: Iterable[HostRecord]) -> tuple[Stage, ...]:
    """One for each host that takes work x its models, or those named."""
    hosts = [(one.id, [model.name for model in one.models]) for one in records if one.able]
    return tuple(Stage(model=model, host=host) for host, model in places(hosts, bench.models))


def newcomers(manifest: Manifest, records: Iterable[HostRecord]) -> tuple[Stage, ...]:
    """Those of hosts that were to be measured, were down when the run began, and take work now."""
    bench = manifest.bench
    missing = missing_hosts(manifest)
    return stages_of(bench, (one for one in records if one.id in missing)) if bench and missing else ()


def missing_hosts(manifest: Manifest) -> set[str]:
    """Hosts that were to be measured and have no cell yet."""
    return set(manifest.bench.hosts if manifest.bench else ()) - {stage.host for stage in manifest.stages}


def to_bench(
    bench: Bench,
    records: Iterable[HostRecord],
    prompts: Sequence[Prompt],
    params: Params,
    name: str | None,
) -> Asked:
    """A run of cells: every host that takes work x its models, or those named."""
    stages = stages_of(bench, records)
    if not stages:
        raise InputError("no host that takes work has a model to measure; `llmq doctor` looks closer")
    models = tuple(dict.fromkeys(stage.model for stage in stages if stage.model))
    made = asked((), otherwise=tuple(prompts), models=models, params=params, name=name, stages=stages)
    return Asked(replace(made.manifest, bench=bench), ())
