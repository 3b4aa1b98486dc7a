"""Charts as PNG, with matplotlib, which is an extra: it is imported here alone, and only to draw."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tasks.errors import InputError, OutputError
from tasks.report.account import Account
from tasks.report.findings import APART
from tasks.report.gather import gather
from tasks.report.metric import METRICS, Metric
from tasks.report.pairs import Pairs, pairs
from tasks.report.rank import resolve
from tasks.report.row import Row
from tasks.report.sample import Cell, Sample
from tasks.report.wording import NONE, number, visible
from tasks.report.write import unwritable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LATENCY, MEMORY, TPS, PAIRS = "latency_by_model.png", "memory_by_model.png", "tps_by_model.png", "pairs.png"
MISSING = "charts as PNG need matplotlib: pip install 'llmq-fleet[bench]', or make the page without --png"
INK, ACCENT, WASH = "#16202a", "#0b6a82", "#d5e9ee"
MOST = 60  # boxes in a chart; those of the most answers stay
SHORT, TAIL = 72, 40  # characters of a name, and of its end, which tells the cells of one model apart


@dataclass(frozen=True, slots=True)
class Drawn:
    """The files that were drawn, and why each of the others was not, by name."""

    paths: tuple[Path, ...]
    left_out: dict[str, str]


def available() -> bool:
    """Is matplotlib there?"""
    return find_spec("matplotlib") is not None


def check(folder: Path) -> None:
    """Before any work: matplotlib is there, and the folder takes files. Raises InputError."""
    if not available():
        raise InputError(MISSING)
    if fault := unwritable(folder / LATENCY):
        raise InputError(fault)


def draw(rows: Iterable[tuple[str, Row]], folder: Path) -> Drawn:
    """latency_by_model.png, memory_by_model.png, tps_by_model.png and pairs.png in `folder`, of (run id, row)
    pairs, which a Source gives. Raises InputError without matplotlib, OutputError where it cannot write."""
    if not available():
        raise InputError(MISSING)
    account = Account()
    samples = gather(account.through(rows)).samples
    figures: dict[str, Figure | str] = {
        LATENCY: _by_model(samples, METRICS["e2e_latency_s"]),
        MEMORY: _by_model(samples, resolve("memory", samples)),
        TPS: _by_model(samples, METRICS["output_tps"]),
        PAIRS: _heat(pairs(account.items)),
    }
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            if not isinstance(figure, str):
                figure.savefig(folder / name, dpi=150)
                paths.append(folder / name)
    except OSError as error:
        raise OutputError(f"cannot write charts to {folder}: {error.strerror or error}") from error
    return Drawn(tuple(paths), {name: why for name, why in figures.items() if isinstance(why, str)})


def _by_model(samples: Sequence[Sample], metric: Metric) -> "Figure | str":
    """A box for each host x model, what must be kept apart apart; or why there is none. Terms by themselves,
    the best of each on top; what all have in common is said once, above."""
    found: list[tuple[Sample, Words, list[float]]] = []
    for sample in samples:
        for apart in sorted({r.apart(metric.apart) or "" for r in sample.requests}):
            values = [
                value
                for r in sample.requests
                if (r.apart(metric.apart) or "") == apart
                and (r.counted or not metric.counted)
                and not math.isnan(value := r.value(metric.name))
            ]
            if values:
                found.append((sample, _words(sample.cell, APART.get(apart, apart)), values))
    if not found:
        return f"no answer has {metric.name} ({metric.title})"
    found = sorted(found, key=lambda one: -len(one[2]))[:MOST]
    sign = 1 if metric.direction == "lower" else -1
    found.sort(key=lambda one: (one[0].cell.weight, sign * median(one[2])), reverse=True)
    shared = [len({words[n] for _, words, _ in found}) == 1 < len(found) for n in range(len(found[0][1]))]
    figure, axes = _sheet(9, 1.4 + 0.38 * len(found))
    axes.boxplot(
        [values for _, _, values in found],
        orientation="horizontal",
        widths=0.6,
        patch_artist=True,
        boxprops={"facecolor": WASH, "edgecolor": ACCENT},
        medianprops={"color": ACCENT, "linewidth": 2.5},
        whiskerprops={"color": ACCENT},
        capprops={"color": ACCENT},
        flierprops={"marker": "o", "markersize": 3, "markeredgecolor": "#52606d"},
    )
    axes.set_yticks(
        range(1, len(found) + 1),
        [_plain(f"{_said(words, shared, of_all=False)} (n {len(values):,})") for _, words, values in found],
    )
    axes.set_title(_plain(_said(found[0][1], shared, of_all=True)), fontsize=11, color=INK)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{metric.title}, {metric.unit}; {metric.direction} is better", color=INK)
    axes.grid(axis="x", color="#dfe4e8", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure


Words = tuple[str, ...]  # what names a box, in an order that all have


def _words(cell: Cell, apart: str) -> Words:
    who = ("", cell.pair) if cell.pair else (cell.host or "", cell.model or "")
    return (*(visible(one) for one in who), cell.terms, cell.kind, apart)


def _said(words: Words, shared: Sequence[bool], *, of_all: bool) -> str:
    """The words that all share, or the others."""
    return " · ".join(word for word, common in zip(words, shared, strict=True) if word and common == of_all)


def _heat(found: Pairs) -> "Figure | str":
    timed = {key: pair.median_s for key, pair in sorted(found.items()) if pair.median_s is not None}
    if not timed:
        return (
            "no pair has an answer with a time"
            if found
            else "nothing here was asked in pairs (llmq chain, matrix)"
        )
    rows, columns = (list(dict.fromkeys(key[place] for key in timed)) for place in (0, 1))
    figure, axes = _sheet(3.6 + 1.5 * len(columns), 2.2 + 0.6 * len(rows))
    cells = [[timed.get((row, column), math.nan) for column in columns] for row in rows]
    axes.imshow(cells, cmap="Blues", aspect="auto", vmin=0, vmax=2 * max(timed.values()))
    axes.set_xticks(range(len(columns)), map(_plain, columns), rotation=20, ha="right")
    axes.set_yticks(range(len(rows)), map(_plain, rows))
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            pair = found.get((row, column))
            failed = f"\n{pair.failed} failed" if pair and pair.failed else ""
            said = f"{number(timed[row, column])} s" if (row, column) in timed else NONE
            axes.text(x, y, said + failed, ha="center", va="center", color=INK)
    axes.set_title(
        "Median inference of both together, first (rows) to last (columns)", fontsize=11, color=INK
    )
    return figure


def _sheet(wide: float, high: float) -> "tuple[Figure, Axes]":
    """Without pyplot, which would look for a screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, high), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, colors=INK)
    return figure, axes


def _plain(name: str) -> str:
    """No formula, which a pair of dollars would begin, and no line that fills the picture."""
    name = visible(name).replace("\n", " ")
    cut = SHORT - 1 - TAIL
    return (name if len(name) <= SHORT else f"{name[:cut]}…{name[-TAIL:]}").replace("$", r"\$")
