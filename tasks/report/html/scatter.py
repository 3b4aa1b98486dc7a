"""Points of two figures; each has a number in it that the list below tells the name of, so that no label
covers another, however narrow the window."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.report.html.axis import Axis, fit
from tasks.report.html.markup import Markup, joined, tag
from tasks.report.wording import number

HEIGHT, BELOW = 240, 24
RADIUS, NEAR, MOST_NAMED = 10, 3.0, 3  # pixels, percent of the width, numbers in one circle


@dataclass(frozen=True, slots=True)
class Point:
    """`series`: points of one are joined in their order."""

    series: str
    name: str
    x: float
    y: float


def scatter(
    title: str, reading: str, points: Sequence[Point], x: tuple[str, str], y: tuple[str, str]
) -> Markup:
    """A figure. `x` and `y`: what they are and their unit."""
    across, up = fit((p.x for p in points), x[1]), fit((p.y for p in points), y[1])
    series = list(dict.fromkeys(point.series for point in points))
    drawing = tag(
        "svg",
        tag("title", title),
        tag("desc", f"{x[0]} across, {y[0]} up; the list below has every point"),
        _grid(across, up),
        [_joined([p for p in points if p.series == one], across, up) for one in series],
        [_point(one, series, across, up) for one in _clusters(points, across, up)],
        role="img",
        width="100%",
        height=HEIGHT + BELOW,
        class_="plane",
    )
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", reading)),
        tag("p", _called(y, up), class_="yname"),
        tag("div", drawing, class_="planebox"),
        tag("p", _called(x, across), class_="xname"),
        _legend(series, points, x, y),
    )


def _called(what: tuple[str, str], axis: Axis) -> str:
    return ", ".join(part for part in (*what, "logarithmic" if axis.log else "") if part)


def _within(across: Axis, value: float) -> str:
    """No circle crosses the edge."""
    return f"{min(max(across.at(value), 3), 97):g}%"


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
        tag(
            "line",
            x1=_within(across, a.x),
            x2=_within(across, b.x),
            y1=_y(up, a.y),
            y2=_y(up, b.y),
            class_="link",
        )
        for a, b in pairwise(own)
    )


def _clusters(points: Sequence[Point], across: Axis, up: Axis) -> list[list[Point]]:
    """Points that would cover each other, together."""
    found: list[list[Point]] = []
    for point in points:
        for one in found:
            near_x = abs(across.at(one[0].x) - across.at(point.x)) < NEAR
            if near_x and abs(_y(up, one[0].y) - _y(up, point.y)) < RADIUS:
                one.append(point)
                break
        else:
            found.append([point])
    return found


def _point(own: Sequence[Point], series: list[str], across: Axis, up: Axis) -> Markup:
    x, y = _within(across, own[0].x), _y(up, own[0].y)
    numbers = [str(n) for n in dict.fromkeys(series.index(point.series) + 1 for point in own)]
    text = ",".join(numbers[:MOST_NAMED]) + ("…" if len(numbers) > MOST_NAMED else "")
    said = (f"{p.name}: {number(p.x)} {across.unit}, {number(p.y)} {up.unit}" for p in own)
    return tag(
        "g",
        tag("title", "; ".join(said)),
        tag("circle", cx=x, cy=y, r=RADIUS + 4 * (min(len(numbers), MOST_NAMED) - 1), class_="dot"),
        tag("text", text, x=x, y=y + 4, class_="in"),
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
