"""Options that several commands share, and the settings they amount to."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cli.flags import json_option as json_option

if TYPE_CHECKING:
    from tasks.intake.prompts import Prompt
    from tasks.intake.stages import Stage
    from tasks.request import Asked
    from tasks.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_PROFILE = "llmq.profile"
_FILE = click.Path(path_type=Path, dir_okay=False)

_MODELS = click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Answer with this model; each of several."
)
_WORK = (
    click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path)),
    click.option("--fleet", type=_FILE, help="The fleet file (fleet.toml or the seed's workers.json)."),
    click.option("--preset", "presets", multiple=True, help="A named list of prompts; default: research."),
    click.option("-p", "--prompt", "prompts", multiple=True, metavar="TEXT", help="A prompt of your own."),
    click.option("--prompt-file", "prompt_files", multiple=True, type=_FILE, help="Prompts from a file."),
    click.option(
        "--max-tokens", type=click.IntRange(1), default=1024, show_default=True, help="Most tokens an answer."
    ),
    click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True),
    click.option("--seed", type=int, help="For sampling, where engines take one; and of simulated engines."),
    click.option(
        "--overflow",
        type=click.Choice(["split", "error"]),
        default="split",
        show_default=True,
        help="A paper that fits no window: read it in parts, or refuse it.",
    ),
    click.option(
        "--max-concurrent", type=click.IntRange(1), metavar="N", help="Papers of this run at work at once."
    ),
    click.option(
        "--priority",
        type=click.Choice(["low", "normal", "high"]),
        default="normal",
        show_default=True,
        help="Runs of higher priority go first.",
    ),
    click.option("--name", help="A name to find the run by; of several runs, the newest."),
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N papers."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and what does not fit."),
    click.option("--fresh", is_flag=True, help="Start anew even if the same run is open."),
)


def work_options(command: F) -> F:
    """What `run` and `submit` have in common."""
    return chain_options(_MODELS(command))


def chain_options(command: F) -> F:
    """The same for runs whose stages say which models are asked."""
    for option in reversed(_WORK):
        command = option(command)
    return command


def output_option(command: F) -> F:
    return click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        type=click.Path(),
        callback=_files,
        help="Write results here: .json, .jsonl, .csv or .parquet; DIR/ takes requests.csv, requests.jsonl "
        "(one row a request) and run.json (how to repeat it). Repeatable.",
    )(command)


def _files(ctx: click.Context, option: click.Parameter, names: tuple[str, ...]) -> tuple[Path, ...]:
    """A name that ends in a slash is a folder, and stands for the files in it."""
    if not any(name.endswith("/") for name in names):
        return tuple(map(Path, names))
    from tasks.report.write import in_folder

    return tuple(
        path for name in names for path in (in_folder(Path(name)) if name.endswith("/") else (Path(name),))
    )


def simulate_option(command: F) -> F:
    """`simulate`: False, True, or the name of the profile that says which engines."""
    command = click.option(
        "--profile",
        metavar="NAME|FILE",
        is_eager=True,  # before --simulate, whose value it becomes
        expose_value=False,
        callback=lambda ctx, _, name: ctx.meta.__setitem__(_PROFILE, name),
        help="Which simulated engines: a fleet as in configs/profiles, or one; implies --simulate.",
    )(command)
    return click.option(
        "--simulate",
        is_flag=True,
        callback=lambda ctx, _, simulate: ctx.meta.get(_PROFILE) or simulate,
        help="Use simulated engines; every result says so.",
    )(command)


@dataclass(frozen=True, slots=True)
class Way:
    """How a run is made, whatever it asks."""

    fleet: Path | None
    dry_run: bool
    fresh: bool
    outputs: tuple[Path, ...]
    as_json: bool
    simulate: bool | str = False

    def settings(self) -> "Settings":
        """They are read once every output is known to be writable. Raises ConfigError, OutputError."""
        from tasks.report.write import check_outputs
        from tasks.settings import read_settings

        check_outputs(self.outputs)
        return read_settings({"fleet": self.fleet})


def way_options(command: F) -> F:
    """Beside `work_options` or `chain_options`: the command gets these, and --fleet, --dry-run and --fresh of
    those, as one `way`."""
    return output_option(json_option(_with_way(command)))


def here_options(command: F) -> F:
    """The same for runs on this machine."""
    return output_option(json_option(simulate_option(_with_way(command))))


def _with_way(command: F) -> F:
    @wraps(command)
    def called(*args: Any, **options: Any) -> Any:
        own = {name: options.pop(name) for name in Way.__dataclass_fields__ if name in options}
        return command(*args, way=Way(**own), **options)

    return cast(F, called)


def run_argument(command: F) -> F:
    return click.argument("run", metavar="[RUN]", default="latest")(command)


def to_asked(
    paths: tuple[Path, ...],
    presets: tuple[str, ...],
    prompts: tuple[str, ...],
    prompt_files: tuple[Path, ...],
    max_tokens: int,
    temperature: float,
    seed: int | None,
    overflow: str,
    max_concurrent: int | None,
    priority: str,
    name: str | None,
    limit: int | None,
    models: tuple[str, ...] = (),
    stages: "tuple[Stage, ...]" = (),
    repeats: int = 1,
    more: "tuple[Prompt, ...]" = (),
) -> "Asked":
    """What the work options ask for. Raises InputError."""
    from tasks.request import asked
    from tasks.work import Params

    return asked(
        paths,
        presets=presets,
        prompts=prompts,
        prompt_files=prompt_files,
        models=models,
        params=Params(max_tokens, temperature, seed, overflow),
        name=name,
        max_concurrent=max_concurrent,
        priority=priority,
        limit=limit,
        stages=stages,
        repeats=repeats,
        otherwise=more,
    )
