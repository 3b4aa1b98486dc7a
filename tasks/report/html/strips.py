"""Charts of one strip a row: boxes, intervals, bars over time. Every x is a percentage and every text that
matters is HTML beside the strip, so that a chart is as wide as the window and its letters stay their size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.report.account import ANSWERED, CUT
from tasks.report.boxes import Box
from tasks.report.html.axis import Axis
from tasks.report.html.fold import WHOLE, ends, rest
from tasks.report.html.markup import Markup, joined, tag
from tasks.report.lanes import Bar, Track
from tasks.report.wording import number, share

OUTCOMES = {ANSWERED: "ok", CUT: "cut"}


@dataclass(frozen=True, slots=True)
class Strip:
    """A row: whose, what is said of it at the right, and its drawing, `height` pixels high."""

    name: str
    said: str
    title: str
    drawing: Markup
    height: int = 26


def chart(
    title: str,
    reading: str,
    strips: Sequence[Strip],
    axis: Axis,
    notes: Iterable[str] = (),
    *,
    by: str,
    ordered: Sequence[Strip] | None = None,
) -> Markup:
    """A figure. `reading`: how to read it, in a sentence. Of many strips both ends and the middle of those
    `ordered` (as they stand if None) `by` something are seen, and all of them are a click away."""
    all_ = _strips(strips, axis)
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", reading)),
        all_ if len(strips) <= WHOLE else _sketch(ends(ordered or strips), axis, by),
        rest(f"all {len(strips):,}", all_) if len(strips) > WHOLE else None,
        [tag("p", note, class_="note") for note in notes],
    )


def box_drawing(one: Box, axis: Axis) -> Markup:
    """Box, median, whiskers, outliers."""
    low, q1, median, q3, high = (axis.at(v) for v in (one.low, one.q1, one.median, one.q3, one.high))
    return joined(
        _line(low, high, 13, "whisker"),
        [_upright(x, 9, 17, "whisker") for x in (low, high)],
        tag("rect", x=_pc(q1), y=6, width=_pc(max(q3 - q1, 0.2)), height=14, rx=2, class_="box"),
        _upright(median, 4, 22, "median"),
        [tag("circle", cx=_pc(axis.at(v)), cy=13, r=2, class_="outlier") for v in one.outliers],
    )


def box_strip(name: str, one: Box, axis: Axis) -> Strip:
    said = f"{number(one.median)} {axis.unit}"
    title = (
        f"{name}: median {number(one.median)}, middle half {number(one.q1)} to {number(one.q3)}, whiskers "
        f"{number(one.low)} to {number(one.high)} {axis.unit}, {one.n:,} answers"
        + (f", {one.beyond:,} beyond the whiskers" if one.beyond else "")
    )
    return Strip(f"{name}", f"{said} · n {one.n:,}", title, box_drawing(one, axis))


def interval_drawing(value: float, low: float | None, high: float | None, axis: Axis) -> Markup:
    """A point and its interval."""
    reach = None if low is None or high is None else _line(axis.at(low), axis.at(high), 8, "reach")
    return tag(
        "svg",
        _line(0, 100, 8, "rail"),
        reach,
        tag("circle", cx=_pc(axis.at(value)), cy=8, r=4, class_="point"),
        class_="inline",
        height=16,
        aria_hidden="true",
    )


def busy_strip(track: Track) -> Strip:
    """How much of a host's slots was at work, over time."""
    step = 100 / len(track.busy)
    bars = [
        tag("rect", x=_pc(n * step), y=round(34 - 32 * busy, 2), width=_pc(step * 0.86),
            height=round(32 * busy, 2), class_="busy")
        for n, busy in enumerate(track.busy)
        if busy > 0
    ]  # fmt: skip
    slots = f"{track.slots} slot{'s' if track.slots > 1 else ''}{' seen' if track.counted else ''}"
    said = f"{share(track.utilisation, 1)} of {slots}"
    return Strip(
        track.host,
        said,
        f"{track.host}: at work {said} on average",
        joined(_line(0, 100, 34.5, "rail"), bars),
        36,
    )


def lane_strip(track: Track) -> Strip:
    """Each request as a bar in its lane; failures stand above as marks."""
    step = 9 if track.lanes <= 8 else 5
    drawn = joined(
        [_line(0, 100, 6 + step * (lane + 1), "rail") for lane in range(track.lanes)],
        [_request(bar, step) for bar in track.bars if bar.outcome in OUTCOMES],
        [_mark(bar) for bar in track.bars if bar.outcome not in OUTCOMES],
    )
    failed = sum(bar.outcome not in OUTCOMES for bar in track.bars)
    lanes = f"{track.lanes} lane{'s' if track.lanes > 1 else ''}"
    said = lanes + (f", {failed:,} failed" if failed else "")
    return Strip(
        track.host,
        said,
        f"{track.host}: {len(track.bars):,} requests drawn in {said}",
        drawn,
        10 + step * track.lanes,
    )


def _request(bar: Bar, step: int) -> Markup:
    return tag(
        "rect",
        x=_pc(100 * bar.begin),
        y=7 + step * bar.lane,
        width=_pc(max(100 * (bar.end - bar.begin) - 0.05, 0.15)),
        height=step - 2,
        class_=OUTCOMES[bar.outcome],
    )


def _mark(bar: Bar) -> Markup:
    return _upright(round(100 * bar.end, 2), 0, 7, "bad")


def _sketch(few: Sequence[Strip], axis: Axis, by: str) -> Markup:
    said = f"The first, the middle and the last by {by}:"
    return tag("div", tag("p", said, class_="note"), _strips(few, axis), class_="sketch")


def _strips(strips: Sequence[Strip], axis: Axis) -> Markup:
    return tag("ol", [_row(strip, axis) for strip in strips], _foot(axis), class_="strips")


def _row(strip: Strip, axis: Axis) -> Markup:
    grid = [_upright(axis.at(tick), 0, strip.height, "grid") for tick in axis.ticks]
    drawing = tag(
        "svg", tag("title", strip.title), grid, strip.drawing, role="img", height=strip.height, width="100%"
    )
    return tag("li", tag("span", strip.name, class_="who"), drawing, tag("span", strip.said, class_="said"))


def _foot(axis: Axis) -> Markup:
    last = len(axis.ticks) - 1
    texts = [
        tag("text", number(tick) or "0", (f" {axis.unit}" if n == last else None), x=_pc(axis.at(tick)), y=13,
            class_="first" if n == 0 else "last" if n == last else None)
        for n, tick in enumerate(axis.ticks)
    ]  # fmt: skip
    return tag("li", tag("svg", *texts, height=18, width="100%"), class_="axis", aria_hidden="true")


def _line(x1: float, x2: float, y: float, class_: str) -> Markup:
    return tag("line", x1=_pc(x1), x2=_pc(x2), y1=y, y2=y, class_=class_)


def _upright(x: float, y1: float, y2: float, class_: str) -> Markup:
    return tag("line", x1=_pc(x), x2=_pc(x), y1=y1, y2=y2, class_=class_)


def _pc(percent: float) -> str:
    return f"{round(percent, 2):g}%"
