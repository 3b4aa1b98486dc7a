"""Points of two figures; each has a number in it that the list below tells the name of, so that no label
covers another, however narrow the window."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.report.html.axis import Axis, fit
from tasks.report.html.markup import Markup, joined, tag
from tasks.report.wording import number

HEIGHT, BELOW = 240, 24


@dataclass(frozen=True, slots=True)
class Point:
    """`series`: points of one are joined in their order."""

    series: str
    name: str
    x: float
    y: float


def scatter(title: str, reading: str, points: Sequence[Point], x: tuple[str, str], y: tuple[str, str]) -> Markup:
    """A figure. `x` and `y`: what they are and their unit."""
    across, up = fit((p.x for p in points), x[1]), fit((p.y for p in points), y[1])
    series = list(dict.fromkeys(point.series for point in points))
    drawing = tag(
        "svg",
        tag("title", title),
        tag("desc", f"{x[0]} across, {y[0]} up; the list below has every point"),
        _grid(across, up),
        [_joined([p for p in points if p.series == one], across, up) for one in series],
        [_point(series.index(point.series) + 1, point, across, up) for point in points],
        role="img",
        width="100%",
        height=HEIGHT + BELOW,
        class_="plane",
    )
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", reading)),
        tag("p", f"{y[0]}, {y[1]}", class_="yname"),
        tag("div", drawing, class_="planebox"),
        tag("p", f"{x[0]}, {x[1]}", class_="xname"),
        _legend(series, points, x, y),
    )


def _grid(across: Axis, up: Axis) -> Markup:
    last = len(across.ticks) - 1
    return joined(
        [tag("line", x1="0", x2="100%", y1=_y(up, t), y2=_y(up, t), class_="grid") for t in up.ticks],
        [tag("text", number(t) or "0", x="0", y=_y(up, t) - 4, class_="first") for t in up.ticks[1:]],
        [
            tag("text", number(t) or "0", x=f"{across.at(t):g}%", y=HEIGHT + 18,
                class_="first" if n == 0 else "last" if n == last else None)
            for n, t in enumerate(across.ticks)
        ],
    )  # fmt: skip


def _joined(own: Sequence[Point], across: Axis, up: Axis) -> Markup:
    return joined(
        tag("line", x1=f"{across.at(a.x):g}%", x2=f"{across.at(b.x):g}%", y1=_y(up, a.y), y2=_y(up, b.y), class_="link")
        for a, b in zip(own, own[1:], strict=False)
    )


def _point(n: int, point: Point, across: Axis, up: Axis) -> Markup:
    x, y = f"{min(max(across.at(point.x), 3), 97):g}%", _y(up, point.y)
    return tag(
        "g",
        tag("title", f"{point.name}: {number(point.x)} {across.unit}, {number(point.y)} {up.unit}"),
        tag("circle", cx=x, cy=y, r=10, class_="dot"),
        tag("text", str(n), x=x, y=y + 4, class_="in"),
    )


def _legend(series: list[str], points: Sequence[Point], x: tuple[str, str], y: tuple[str, str]) -> Markup:
    def said(one: str) -> str:
        own = [point for point in points if point.series == one]
        if len(own) > 1:
            return f"{len(own)} levels, up to {number(max(p.y for p in own))} {y[1]}"
        return f"{number(own[0].x)} {x[1]}, {number(own[0].y)} {y[1]}"

    return tag("ol", [tag("li", tag("b", one), " ", said(one)) for one in series], class_="legend")


def _y(up: Axis, value: float) -> float:
    return round(HEIGHT - up.at(value) / 100 * (HEIGHT - 16), 1)
