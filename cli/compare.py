"""`llmq compare`: is A better than B, and by how much."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cli.options import json_option
from cli.screen import echo

if TYPE_CHECKING:
    from tasks.report.compare import Comparison
    from tasks.report.match import Within
    from tasks.report.rows import Source
    from tasks.report.sample import Sample

PART = re.compile(r"(?:(?P<run>.+?)/)?(?P<kind>host|model|engine):(?P<id>.+)")


@click.command(short_help="Is A better than B, and by how much?")
@click.argument("a")
@click.argument("b")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Where hosts and models are looked up.")
@click.option("--by", multiple=True, metavar="METRIC", help="As in `llmq rank`. Repeatable.")
@click.option("--slo", "slos", multiple=True, metavar="LIMITS", help="For goodput: ttft=500ms,e2e=10s")
@json_option
def compare(
    a: str, b: str, runs: tuple[str, ...], by: tuple[str, ...], slos: tuple[str, ...], as_json: bool
) -> None:
    """Compare two hosts (host:ID), models (model:NAME) or engines (engine:NAME) of a run (--run, default: the
    latest), or two runs, or parts of them (RUN/host:ID). A run may also be a file of results or requests, or
    a folder (`bench/`).

    Hosts and engines are compared by each model they share, models by each host, runs by both. Where they
    share none, all answers are compared, and a note says that the verdict is not theirs alone.

    Where both answered the same papers and prompts, these are compared pair by pair; that finds smaller
    differences, and no host is blamed for long papers. Where no difference is found, the answer says how
    large one would have been.

    \b
    llmq compare host:mac-1 host:mac-2
    llmq compare engine:ollama engine:llama_cpp
    llmq compare 3f9a 77b0 --by ttft
    llmq compare old.json/host:pi latest/host:pi --by tps --json
    """
    from cli.rank import engines_machines, sources
    from tasks.report.compare import COMPARED
    from tasks.report.compare import compare as compare_sides
    from tasks.report.engines import engines_and_machines
    from tasks.report.match import failures, matches, on_both_sides
    from tasks.report.metric import METRICS
    from tasks.report.rank import resolve

    if a == b:
        raise click.UsageError(f"A and B are both {a}")
    limits = _limits(by, slos)
    wanted = {word: _parts(word, runs) for word in (a, b)}
    with sources(run for named, _, _ in wanted.values() for run in named) as found:
        samples = [_samples(word, *wanted[word], found) for word in (a, b)]
        machines = engines_machines(found) if "engine" in {kind for _, kind, _ in wanted.values()} else {}
    names = [wanted[word][2] or word for word in (a, b)]
    if names[0] == names[1]:
        names = [a, b]
    metrics = [resolve(word, [*samples[0], *samples[1]]) for word in by] or [
        METRICS[name] for name in COMPARED
    ]
    within = _within({kind for _, kind, _ in wanted.values()})
    found_matches, said = matches((names[0], samples[0]), (names[1], samples[1]), within)
    made = [
        replace(one, terms=terms)
        for terms, left, right in found_matches
        for metric in metrics
        for one in compare_sides(left, right, metric, limits)
        if by or one.n_a or one.n_b
    ]
    said += failures(zip(names, samples, strict=True))
    said += on_both_sides(*samples)
    said += engines_and_machines([*samples[0], *samples[1]], machines)
    said += _of_sources(found.values())
    _show(made, said, as_json)


def _of_sources(found: Iterable["Source"]) -> list[str]:
    """What is to be known of the runs and files themselves."""
    still_open = sorted({one.run for one in found if not one.ended})
    notes = dict.fromkeys(note for one in found for note in one.notes)
    return [*notes, *(f"run {run} is still going: this is what it has so far" for run in still_open)]


def _show(made: list["Comparison"], said: list[str], as_json: bool) -> None:
    """A sentence each, then the notes; the same as one object for programs."""
    if as_json:
        echo(json.dumps({"comparisons": [one.to_object() for one in made], "notes": said}))
        return
    for one in made:
        echo(one.sentence())
    for note in dict.fromkeys(said + [one.note for one in made if one.note]):
        echo(f"note: {note}")


def _limits(by: tuple[str, ...], slos: tuple[str, ...]) -> dict[str, float]:
    """Those of --slo, once all that is asked for can be compared."""
    from tasks.report.limits import read_limits
    from tasks.report.metric import find_metric
    from tasks.report.paired import check_of_chains

    limits = read_limits(slos)
    wanted = [find_metric(word) for word in by]
    check_of_chains([*limits, *(metric.name for metric in wanted)], None)
    if any(metric.per_second == "good" for metric in wanted) and not limits:
        raise click.UsageError("goodput counts answers within limits; say which: --slo ttft=500ms,e2e=10s")
    return limits


def _parts(word: str, runs: tuple[str, ...]) -> tuple[tuple[str, ...], str | None, str | None]:
    """The runs a side is looked for in, `host`, `model` or `engine`, and which."""
    match = PART.fullmatch(word)
    if not match:
        return (word,), None, None
    return ((match["run"],) if match["run"] else runs or ("latest",)), match["kind"], match["id"]


def _within(kinds: set[str | None]) -> "Within":
    """What both sides must have alike, where they can: a host that was given the smaller model is no faster
    for it."""
    if None in kinds:
        return "host", "model"
    if kinds == {"host"}:
        return ("model",)
    return ("host",) if kinds == {"model"} else ()


def _samples(
    word: str, runs: tuple[str, ...], kind: str | None, wanted: str | None, found: "dict[str, Source]"
) -> "list[Sample]":
    from tasks.errors import InputError
    from tasks.report.gather import gather

    once = {found[run].run: found[run] for run in runs}.values()  # `latest` and an id may be one run
    gathered = gather((pair for one in once for pair in one), "engine" if kind == "engine" else None)
    kept = [one for one in gathered.samples if kind is None or getattr(one.cell, kind) == wanted]
    if not any(one.requests for one in kept):
        known = sorted({str(getattr(one.cell, kind or "host")) for one in gathered.samples if one.requests})
        there = f"; there are {kind or 'host'}s {', '.join(known)}" if known else ""
        raise InputError(f"{word}: no answer to compare{there}")
    return kept


COMMANDS = (compare,)
