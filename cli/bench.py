"""`llmq bench`: how fast is each model on each host, under which load."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import json_option, simulate_option

if TYPE_CHECKING:
    from cli.cells import Wish
    from cli.measured import Wanted
    from cli.progress import Progress
    from tasks.bench.cell import Bench
    from tasks.settings import Settings
    from worker_agent.config import Host

_FILE = click.Path(path_type=Path, dir_okay=False)
FILES = (".json", ".jsonl", ".csv", ".parquet", ".html")  # whoever names one of these means a file


def _numbers(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...]:
    """`1,4,16`"""
    try:
        found = tuple(dict.fromkeys(float(part) for part in text.split(","))) if text else ()
    except ValueError:
        raise click.BadParameter(f"{text!r}: expected numbers as in 1,4,16") from None
    if any(not 0 < number <= 1e6 for number in found):
        raise click.BadParameter(f"{text!r}: each is more than 0")
    return found


def _counts(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...]:
    found = _numbers(ctx, option, text)
    if any(number != int(number) for number in found):
        raise click.BadParameter(f"{text!r}: expected whole numbers as in 1,4,16")
    return tuple(int(number) for number in found)


def _folder(ctx: click.Context, option: click.Parameter, folder: Path | None) -> Path | None:
    if folder and folder.suffix.lower() in FILES:
        raise click.BadParameter(
            f"a benchmark writes several files, and {folder} would be the folder they stand in: "
            f"name it -o {folder.with_suffix('')}/"
        )
    return folder


@click.command(short_help="How fast is each model on each host.")
@click.option("--fleet", type=_FILE, help="The fleet file (fleet.toml or the seed's workers.json).")
@click.option("--host", "hosts", multiple=True, metavar="ID", help="Only this host. Repeatable.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model. Repeatable.")
@click.option("--concurrency", callback=_counts, metavar="N[,N]", help="Requests at a time.  [default: 1]")
@click.option("--rate", "rates", callback=_numbers, metavar="R[,R]", help="Instead: requests a second.")
@click.option(
    "--arrivals",
    type=click.Choice(["constant", "poisson"]),
    default="constant",
    show_default=True,
    help="How they come at a --rate.",
)
@click.option("--sweep", is_flag=True, help="Double the concurrency while throughput gains 5 %.")
@click.option(
    "--requests",
    type=click.IntRange(1),
    metavar="N",
    help="Measured in each cell.  [default: 30, or 4 for each at a time]",
)
@click.option("--warmup", type=click.IntRange(0), metavar="N", help="Before them, apart.  [default: 3]")
@click.option("--suite", metavar="NAME|FILE", help="Models and prompts from configs/suites, or a TOML file.")
@click.option("-p", "--prompt", "prompts", multiple=True, metavar="TEXT", help="A prompt of your own.")
@click.option("--prompt-file", "prompt_files", multiple=True, type=_FILE, help="Prompts from a file.")
@click.option("--max-tokens", type=click.IntRange(1), help="Most tokens an answer.  [default: 128]")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True)
@click.option("--seed", type=int, help="For Poisson arrivals, and for sampling where the engine takes one.")
@click.option("--slo", "slos", multiple=True, metavar="LIMITS", help="For goodput: ttft=500ms,e2e=10s")
@click.option("--no-cache-bust", is_flag=True, help="Send prompts as they are: engines may know them.")
@click.option("--shared", is_flag=True, help="Measure although host or machine do other work.")
@click.option("--name", help="A name to find the run by.")
@click.option("--fresh", is_flag=True, help="Start anew even if the same benchmark is open.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_folder,
    metavar="DIR",
    help="Write rows, cells, summary, ranking, run.json, the report's page and charts here.",
)
@json_option
@simulate_option
@click.pass_context
def bench(
    ctx: click.Context,
    /,
    fleet: Path | None,
    folder: Path | None,
    slos: tuple[str, ...],
    fresh: bool,
    simulate: bool | str,
    as_json: bool,
    **asked: Any,
) -> None:
    """Measure models x hosts x load, with a worker for each host of the fleet.

    A cell (a host, a model, a load) has its host to itself, and hosts on one machine take turns. Warm-up is
    apart, every prompt begins in a way no engine has seen. Ctrl-C pauses: cells that are complete stay, the
    same command asks the others.

    \b
    llmq bench --fleet fleet.toml --concurrency 1,4,16 -o bench/
    llmq bench --host mac-1 --model llama3.2:1b --rate 0.5,1,2 --arrivals poisson --slo ttft=500ms
    llmq bench --suite exo-lab -o bench/
    llmq bench --suite lengths -o bench/
    """
    from cli.cells import Wish
    from cli.measured import Wanted, outputs_in
    from tasks.report.limits import read_limits
    from tasks.report.write import check_outputs
    from tasks.settings import read_settings

    wish = Wish(**asked)
    wish.check()
    limits = read_limits(slos)
    _check_extras()
    if folder:
        check_outputs(outputs_in(folder, exo_lab=False))
        _say_without_charts()
    settings = read_settings({"fleet": fleet})
    wanted = Wanted(folder, limits, as_json)
    ctx.exit(_bench(settings, wanted, wish, fleet, simulate=simulate, fresh=fresh))


def _check_extras() -> None:
    """Before anything is measured that could then not be told."""
    from worker_agent.errors import ConfigError

    if not find_spec("numpy"):
        raise ConfigError("`llmq bench` computes intervals with numpy: pip install 'llmq-fleet[master]'")


def _say_without_charts() -> None:
    from cli.screen import echo
    from tasks.report import charts

    if not charts.available():
        echo("without charts: these need matplotlib (pip install 'llmq-fleet[bench]')", err=True)


def _bench(
    settings: "Settings",
    wanted: "Wanted",
    wish: "Wish",
    fleet: Path | None,
    *,
    simulate: bool | str,
    fresh: bool,
) -> int:
    from cli.run import fleet_hosts
    from tasks.bench.asked import chosen_hosts

    suite = wish.read_suite()
    wanted.exo_lab = bool(suite.results)
    questions = wish.asks(suite), wish.params(suite), wish.name
    models = wish.names(suite)
    with fleet_hosts(settings, fleet, simulate=simulate, models=models, seed=wish.seed) as every:
        # Simulated ones serve the models by the names that were asked for.
        hosts = chosen_hosts(every if simulate else suite.named(every), wish.hosts)
        return _measure(settings, wanted, hosts, wish.bench(suite, hosts), questions, fresh=fresh)


def _measure(
    settings: "Settings",
    wanted: "Wanted",
    hosts: "tuple[Host, ...]",
    bench: "Bench",
    questions: Any,
    *,
    fresh: bool,
) -> int:
    import signal

    from cli.measured import HowFar, say_measured, say_paused
    from cli.outcome import follow_to_end
    from cli.progress import Progress
    from tasks.bench.asked import to_bench
    from tasks.bench.machines import lanes, taking_turns
    from tasks.fleet import workers
    from tasks.hosts import live_hosts
    from tasks.session import session

    with Progress(quiet=wanted.as_json) as progress, session(settings, patient=True, say=progress.say) as on:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop: as with Ctrl-C
        run_id = None
        try:
            with workers(hosts, on.client, settings) as fleet:
                fleet.wait_up(on.client, progress.note)
                fleet.check_models(bench.models)
                for host in (one for one in hosts if one.id in fleet.down):
                    where, why = f"{host.id} ({host.url})", fleet.down[host.id]
                    progress.note(f"{where} is down, and is measured if it comes up meanwhile: {why}")
                for line in taking_turns(lanes(fleet.records, shared=bench.shared)):
                    progress.note(line)
                wanted.down = dict(fleet.down)
                wanted.saw(fleet.records)
                for note in () if bench.models else wanted.missed(fleet.records):
                    progress.note(note)
                run_id = _start(on, to_bench(bench, fleet.records, *questions), progress, wanted, fresh=fresh)
                progress.says = HowFar(on)
                follow_to_end(on, run_id, (), progress)
                wanted.saw(live_hosts(on.client))  # some may have come up
        except KeyboardInterrupt:
            progress.stop()
            if run_id:
                say_paused(on, run_id, wanted)
            raise
        finally:
            wanted.close()
        return say_measured(on, run_id, wanted)


def _start(on: Any, asked: Any, progress: "Progress", wanted: "Wanted", *, fresh: bool) -> str:
    from cli.measured import say_replaced
    from tasks.bench.submission import Submission

    wanted.submission = Submission(on, asked, fresh=fresh, say=progress.note)
    started = wanted.submission.started()
    progress.note(("goes on with" if started.continued else "started") + f" run {started.run_id}")
    say_replaced(wanted.folder, started.run_id, progress.note)
    return started.run_id


COMMANDS = (bench,)
