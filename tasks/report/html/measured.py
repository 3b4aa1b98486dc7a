"""What was measured: rankings, distributions, throughput, pairs."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tasks.bench.cell import length_words
from tasks.report.boxes import Box, box
from tasks.report.findings import finding, titled
from tasks.report.html import strips
from tasks.report.html.axis import Axis, fit
from tasks.report.html.heat import Cell as HeatCell
from tasks.report.html.heat import heat_map
from tasks.report.html.markup import Child, Markup, joined, tag
from tasks.report.html.scatter import Point, scatter
from tasks.report.html.tables import folded
from tasks.report.metric import METRICS, Metric
from tasks.report.rank import Entry, Ranking, by_terms, rankings
from tasks.report.remarks import without_rank
from tasks.report.sample import CACHED, FIRST, Cell, Sample
from tasks.report.stats import quantile
from tasks.report.told import Told
from tasks.report.wording import NONE, number, share

BOXES = 60  # rows of one chart; those of the most answers stay
BOXED = ("ttft_ms", "itl_ms", "e2e_latency_s")
HOW_TO_READ = (
    "A box is the middle half of the answers, the line in it the median; whiskers reach to the last answer "
    "within 1.5 box lengths, rings are answers beyond."
)


def findings(told: Told) -> list[Markup]:
    """Who is first at what, and whether that can be said."""
    return [found for ranking in told.rankings if (found := _finding(ranking, told))]


def ranking_tables(told: Told) -> Iterator[Markup]:
    for ranking in told.rankings:
        yield _ranking(ranking, told)


def distributions(told: Told) -> Iterator[Markup]:
    """Box plots of each metric, prompts read anew and from the cache apart."""
    figures = list(_box_plots(told))
    if figures:
        yield tag("p", HOW_TO_READ, class_="note")
        yield from figures


def _box_plots(told: Told) -> Iterator[Markup]:
    for name in BOXED:
        metric = METRICS[name]
        for apart in (FIRST, CACHED) if metric.apart == "prompt" else (None,):
            for samples in by_terms(told.gathered.samples):
                if figure := _boxes(told, samples, metric, apart):
                    yield figure


def throughput(told: Told) -> Iterator[Markup]:
    """Latency against throughput, and each against the requests at a time where there are several levels."""
    points = [point for sample in _by_level(told) if (point := _speed(sample, told))]
    if points:
        yield scatter(
            "Latency against throughput",
            "Right and low is better: many requests a second, each answered soon. How much work a host was "
            "given shows here, too. A line joins levels of concurrency.",
            points,
            ("requests a second", "1/s"),
            ("median end-to-end latency", "s"),
        )
    if len({sample.cell.length for sample in told.gathered.samples}) > 1:
        yield _lengths(told)
    if len(told.account.concurrencies) > 1:
        yield _levels(told, "e2e_latency_s", "Latency against concurrency", "median end-to-end latency")
        yield _levels(told, "rps", "Throughput against concurrency", "requests a second")


def pair_map(told: Told) -> Markup | None:
    if not told.pairs:
        return None
    cells = {
        key: HeatCell(
            pair.median_s,
            f"{number(pair.median_s)} s" if pair.median_s is not None else "no time",
            f"n {len(pair.took_s):,}"
            + (f", {pair.failed:,} failed" if pair.failed else "")
            + (f", {pair.open:,} open" if pair.open else ""),
        )
        for key, pair in sorted(told.pairs.items())
    }
    return joined(
        tag("p", "Median seconds of inference from the first answer to the last, both together, without "
            "waiting. Deeper is longer.", class_="note"),
        heat_map("Who wrote first, and who had the last word", "first ↓ last →", cells),
    )  # fmt: skip


def name_of(cell: Cell, told: Told) -> str:
    """Without the terms, which a title says. Where everything is simulated, the page says it once, loudly."""
    return _plain(cell.who, told)


def _series(cell: Cell, told: Told) -> str:
    """What loads are loads of."""
    return _plain(replace(cell, concurrency=None, rate_rps=None).name, told)


def _plain(name: str, told: Told) -> str:
    return re.sub(" · simulated[^·]*$", "", name) if told.simulated == "all" and told.one_pace else name


def _finding(ranking: Ranking, told: Told) -> Markup | None:
    found = finding(ranking, lambda entry: name_of(entry.cell, told))
    if not found:
        return None
    names = joined([[" and " if n else "", tag("b", name)] for n, name in enumerate(found.best)])
    return tag("li", tag("span", found.about, class_="metric"), tag("span", names, found.said))


def _ranking(ranking: Ranking, told: Told) -> Markup:
    metric, shared = ranking.metric, Counter(entry.rank for entry in ranking.entries)
    ends = [
        end
        for entry in ranking.entries
        if entry.value is not None
        for end in (entry.value, *((entry.interval.low, entry.interval.high) if entry.interval else ()))
    ]
    axis = fit(ends, metric.unit)
    value = "rate" if metric.per_second else "median"
    tails = () if metric.per_second else ("#p90", "#p95", "#p99")
    head = ("#rank", "host · model", "#n", f"#{value}", "#95 % interval", "", *tails, "#failed")
    rows = [_cells(entry, shared, axis, told) for entry in ranking.entries if entry.n]
    notes = [*without_rank(ranking, lambda entry: name_of(entry.cell, told)), *ranking.notes]
    title = _capital(titled(metric, ranking.apart, ranking.terms))
    said = f"{title} ({metric.unit}, {metric.direction} is better)"
    return tag(
        "div",
        folded(said, head, rows, "ranking"),
        tag("ul", [tag("li", note) for note in notes], class_="note") if notes else None,
        class_="rankingbox",
    )


def _cells(entry: Entry, shared: Counter[int | None], axis: Axis, told: Told) -> tuple[Child, ...]:
    one, interval = entry.summary, entry.interval
    failed = sum(entry.failed.values())
    tail = [one.p90, one.p95, one.p99] if one else []
    value = entry.value if entry.value is not None else math.nan
    drawing = strips.interval_drawing(
        value, interval.low if interval else None, interval.high if interval else None, axis
    )
    return (
        NONE if entry.rank is None else f"{entry.rank}{'=' if shared[entry.rank] > 1 else ''}",
        name_of(entry.cell, told),
        f"{entry.n:,}",
        tag("b", number(entry.value)),
        f"{number(interval.low)} to {number(interval.high)}" if interval else NONE,
        drawing,
        *(number(figure) or NONE for figure in tail),
        f"{failed:,} ({share(failed, failed + entry.n)})" if failed else NONE,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _boxes(told: Told, samples: list[Sample], metric: Metric, apart: str | None) -> Markup | None:
    """Of samples under like terms."""
    found: list[tuple[str, Box]] = []
    for sample in samples:
        usable = (
            request.value(metric.name)
            for request in sample.requests
            if request.apart(metric.apart) == apart and (request.counted or not metric.counted)
        )
        if one := box(usable):
            found.append((name_of(sample.cell, told), one))
    if not found:
        return None
    shown = sorted(found, key=lambda pair: -pair[1].n)[:BOXES]
    shown.sort(key=lambda pair: pair[1].median, reverse=metric.direction == "higher")
    axis = fit(_reach(one for _, one in shown), metric.unit)
    title = _capital(titled(metric, apart, samples[0].cell.terms))
    notes = ["The axis is logarithmic."] if axis.log else []
    if len(found) > BOXES:
        notes.append(f"The {BOXES} with most answers of {len(found)} are drawn.")
    return strips.chart(
        title,
        f"{metric.unit}, {metric.direction} is better",
        [strips.box_strip(name, one, axis) for name, one in shown],
        axis,
        notes,
        by="median",
    )


def _reach(boxes: Iterable[Box]) -> list[float]:
    return [value for one in boxes for value in (one.low, one.high, *one.outliers)]


def _speed(sample: Sample, told: Told) -> Point | None:
    latencies = sorted(v for r in sample.requests if not math.isnan(v := r.value("e2e_latency_s")))
    rate = _rate(sample)
    if not latencies or rate is None:
        return None
    return Point(_series(sample.cell, told), sample.cell.name, rate, quantile(latencies, 0.5))


def _by_level(told: Told) -> list[Sample]:
    def place(sample: Sample) -> tuple[str, int]:
        return _series(sample.cell, told), sample.cell.concurrency or 0

    return sorted(told.gathered.samples, key=place)


def _rate(sample: Sample) -> float | None:
    made = rankings([sample], METRICS["rps"])
    return made[0].entries[0].value if made else None


def _lengths(told: Told) -> Markup:
    """The time to the first token of prompts read anew, by the length they were to have."""
    points = []
    for sample in told.gathered.samples:
        times = sorted(
            v for r in sample.requests if r.prompt == FIRST and not math.isnan(v := r.value("ttft_ms"))
        )
        if sample.cell.length and times:
            series = _plain(replace(sample.cell, length=None).name, told)
            at = float(sample.cell.length), quantile(times, 0.5)
            points.append(Point(series, f"{series} · {length_words(sample.cell.length)}", *at))
    return scatter(
        "Time to first token against the prompt's length",
        "Each line is a host with a model under a load.",
        sorted(points, key=lambda point: (point.series, point.x)),
        ("length of the prompt, as asked for", "tokens"),
        ("median time to first token", METRICS["ttft_ms"].unit),
    )


def _levels(told: Told, metric: str, title: str, what: str) -> Markup:
    points = []
    for sample in _by_level(told):
        cell = sample.cell
        if cell.concurrency is None:
            continue
        if metric == "rps":
            value = _rate(sample)
        else:
            latencies = sorted(v for r in sample.requests if not math.isnan(v := r.value(metric)))
            value = quantile(latencies, 0.5) if latencies else None
        if value is not None:
            points.append(Point(_series(cell, told), cell.name, float(cell.concurrency), value))
    return scatter(
        title,
        "Each line is a host with a model, and with prompts of one length where that is set.",
        points,
        ("requests at a time", ""),
        (what, METRICS[metric].unit),
    )
