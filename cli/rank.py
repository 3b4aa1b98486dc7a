"""`llmq rank`: which host or model is better, and which cannot be told apart."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.columns import number, table
from cli.options import json_option
from cli.screen import echo

if TYPE_CHECKING:
    from tasks.report.rank import Entry, Ranking
    from tasks.report.rows import Source

HEAD = ("95 % interval", "p90", "p95", "p99", "mean", "failed")


@click.command(short_help="Which host or model is better at what.")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option(
    "--by",
    "by",
    metavar="METRIC",
    multiple=True,
    help="ttft, itl, tps, e2e, rps, goodput, prefill, memory, energy or a column of the results; of pairs "
    "also inference and total, of the whole chain. Repeatable.",
)
@click.option(
    "--per",
    type=click.Choice(["host", "model", "engine", "pair", "model-pair"]),
    help="Take together what else differs; by default each host x model is ranked. pair: chains, by who "
    "wrote first and last; model-pair: by their models alone.",
)
@click.option("--slo", "slos", multiple=True, metavar="LIMITS", help="For goodput: ttft=500ms,e2e=10s")
@click.option(
    "--history", "from_history", is_flag=True, help="Rank all runs of the history, each as one value."
)
@click.option("--since", metavar="WHEN", help="With --history: 2026-01-31, 7d or 12h.")
@json_option
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Write the summary (.csv) or the ranking (.json), of all metrics unless --by. Repeatable.",
)
def rank(
    runs: tuple[str, ...],
    by: tuple[str, ...],
    per: str | None,
    slos: tuple[str, ...],
    from_history: bool,
    since: str | None,
    as_json: bool,
    outputs: tuple[Path, ...],
) -> None:
    """Rank hosts and models by what RUNs measured (default: the latest). A rank is 1 + how many are better
    beyond doubt (their 95 % interval lies wholly on the better side); who share one are marked `1=`. RUN may
    also be a file of results or requests, or a folder of them (`bench/`).

    \b
    llmq rank
    llmq rank 3f9a --by ttft --by goodput --slo ttft=500ms,e2e=10s
    llmq rank bench/ --by tps
    llmq rank --per pair --by total
    llmq rank results.json --per model -o summary.csv -o ranking.json
    llmq rank --history --since 30d --by tps
    """
    from tasks.report.ranking_files import check_sidecars, write_ranking, write_summary

    if (from_history and runs) or (since and not from_history):
        raise click.UsageError("--history takes all filed runs: name runs, or --history with --since")
    check_sidecars(outputs)
    if from_history:
        if per or slos:
            raise click.UsageError("the history keeps no single answers: --per and --slo need a RUN")
        head, shown, written = _of_history(by, since)
    else:
        head, shown, written = _of_runs(runs, by, per, slos)
    for path in outputs:
        if path.suffix.lower() == ".csv":
            write_summary(written, path)
        else:
            write_ranking(head, written, path)
        echo(f"written: {path}", err=True)
    if as_json:
        from tasks.report.summary import ranking_object

        echo(json.dumps(head | {"rankings": [ranking_object(one) for one in shown]}))
    elif not outputs:
        print_rankings(shown, head["notes"])


Made = tuple[dict[str, Any], "list[Ranking]", "list[Ranking]"]  # head, rankings to show, rankings to write


def _of_runs(words: tuple[str, ...], by: tuple[str, ...], per: str | None, slos: tuple[str, ...]) -> Made:
    from tasks.errors import InputError
    from tasks.report.engines import engines_and_machines
    from tasks.report.gather import gather
    from tasks.report.limits import read_limits
    from tasks.report.metric import METRICS, find_metric
    from tasks.report.paired import PAIRED, WHOLE, check_of_chains, gather_pairs, of_last_hop
    from tasks.report.rank import SHOWN, rankings, resolve
    from tasks.report.remarks import remarks

    limits = read_limits(slos)
    check_of_chains([*limits, *(find_metric(word).name for word in by)], per)
    with sources(words or ("latest",)) as by_word:
        found = list({source.run: source for source in by_word.values()}.values())
        open_runs = [source.run for source in found if not source.ended]
        rows = (one for source in found for one in source)
        gathered = gather_pairs(rows, per) if per in PAIRED else gather(rows, per)
        machines = engines_machines(by_word) if per == "engine" else {}
    if not any(sample.requests for sample in gathered.samples):
        raise InputError(f"nothing to rank in {', '.join(s.run for s in found)}: {_why_nothing(gathered)}")
    wanted = [resolve(word, gathered.samples) for word in by]
    names = [one.name for one in WHOLE] if per in PAIRED else SHOWN
    shown = wanted or [METRICS[name] for name in (*names, *(["goodput_rps"] if limits else []))]
    every = wanted or [one for one in METRICS.values() if one.per_second != "good" or limits]
    if per in PAIRED:
        wanted, shown = ([of_last_hop(one) for one in some] for some in (wanted, shown))
        every = shown
    made = {
        metric.name: rankings(gathered.samples, metric, limits) for metric in dict.fromkeys([*shown, *every])
    }
    notes = remarks(gathered, open_runs=open_runs) + engines_and_machines(gathered.samples, machines)
    notes += [note for one in found for note in one.notes]
    notes += [f"{one.title}: no answer has this figure" for one in wanted if not made[one.name]]
    head = {
        "runs": [source.run for source in found],
        "per": "engine x model" if per == "engine" else per or "host x model",
        "limits": limits,
        "notes": notes,
    }
    return head, [r for m in shown for r in made[m.name]], [r for m in every for r in made[m.name]]


def _of_history(by: tuple[str, ...], since: str | None) -> Made:
    from cli.history import needs_history
    from tasks.report.metric import find_metric
    from tasks.report.paired import check_of_chains
    from tasks.report.rank import SHOWN

    needs_history()
    from tasks.report.filing import rankings_of_runs
    from tasks.report.filing import since as moment
    from tasks.report.history import Filter, history
    from tasks.settings import read_settings

    metrics = [find_metric(word).name for word in by] or list(SHOWN)
    check_of_chains(metrics, None)
    wanted = Filter(since=moment(since) if since else None)
    with history(read_settings()) as kept:
        made = [ranking for name in metrics for ranking in rankings_of_runs(kept, name, wanted)]
        ids = [run["run_id"] for run in kept.runs(wanted)]
    notes = [] if made else ["the history has no such figures yet; runs are filed when they are seen to end"]
    return {"runs": ids, "per": "host x model", "limits": {}, "notes": notes}, made, made


@contextmanager
def sources(words: Iterable[str]) -> "Iterator[dict[str, Source]]":
    """The results that words name, runs or files, by word; Redis is open meanwhile where it is needed. A run
    that several words name is one Source."""
    from tasks.report.collect import report
    from tasks.report.read import is_file, read_file
    from tasks.report.rows import source_of
    from tasks.session import session
    from tasks.settings import read_settings

    words = tuple(dict.fromkeys(words))
    found = {word: read_file(Path(word)) for word in words if is_file(word)}
    with ExitStack() as stack:
        if len(found) < len(words):
            on = stack.enter_context(session(read_settings()))
            ids = {word: on.runs.find(word) for word in words if word not in found}
            reports = {run_id: source_of(report(on.runs, run_id)) for run_id in ids.values()}
            found |= {word: reports[run_id] for word, run_id in ids.items()}
        yield found


def engines_machines(found: "Mapping[str, Source]") -> dict[str, str]:
    """Host -> its engine's machine, where run.json or its run knows it."""
    from tasks.report.engines import machines_of
    from tasks.report.ranking_files import beside
    from tasks.served import signed

    return machines_of(
        host
        for word, source in found.items()
        for host in (
            signed(source.report.runs.ledger.redis, source.run)
            if source.report
            else beside(Path(word), source.run).get("hosts", ())
        )
    )


def _why_nothing(gathered: Any) -> str:
    from tasks.report.remarks import counted

    failed: Counter[str] = sum((sample.failed for sample in gathered.samples), Counter()) + gathered.nowhere
    aside: Counter[str] = sum((sample.aside for sample in gathered.samples), Counter())
    parts = [f"tries that failed: {counted(failed)}"] if failed else []
    parts += [f"no measurements: {counted(aside)}"] if aside else []
    parts += [f"{gathered.unpaired} items end no pair's chain"] if gathered.unpaired else []
    parts += [f"{gathered.open} items have no result yet"] if gathered.open else []
    return "; ".join(parts) or "it has no items"


def print_rankings(shown: "Sequence[Ranking]", notes: Iterable[str]) -> None:
    from tasks.report.findings import titled
    from tasks.report.remarks import without_rank

    for ranking in shown:
        metric = ranking.metric
        said = titled(metric, ranking.apart, ranking.terms)
        echo(f"{said} ({metric.unit}, {metric.direction} is better)")
        shared = Counter(entry.rank for entry in ranking.entries)
        value = "rate" if metric.per_second else "median"
        lines = table(
            [("rank", "", "n", value, *HEAD), *(_cells(entry, shared) for entry in ranking.entries)], left=2
        )
        for line in lines:
            echo(f"  {line}")
        for note in (*without_rank(ranking, lambda entry: entry.cell.who), *ranking.notes):
            echo(f"  - {note}")
        echo()
    for note in notes:
        echo(f"note: {note}")


def _cells(entry: "Entry", shared: "Counter[int | None]") -> tuple[str, ...]:
    one, interval = entry.summary, entry.interval
    place = "-" if entry.rank is None else f"{entry.rank}{'=' if shared[entry.rank] > 1 else ''}"
    tail = [one.p90, one.p95, one.p99, one.mean] if one else [None] * 4
    failed = sum(entry.failed.values())
    return (
        place,
        entry.cell.who,
        str(entry.n),
        number(entry.value),
        f"{number(interval.low)} to {number(interval.high)}" if interval else "",
        *(number(value) for value in tail),
        f"{failed} ({100 * (entry.error_rate or 0):.1f} %)" if failed else "",
    )


COMMANDS = (rank,)
