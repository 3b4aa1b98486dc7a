"""Points of two figures; each has a number in it that the list below tells the name of, so that no label
covers another, however narrow the window."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from tasks.report.html.axis import Axis, fit
from tasks.report.html.fold import parted, rest
from tasks.report.html.markup import Markup, joined, tag
from tasks.report.wording import number

HEIGHT, BELOW = 240, 24  # pixels
DOT, LETTER, MOST_NAMED = 20, 6.5, 3  # of a dot: its height, what a letter takes, the most numbers in it
EDGE = 3.0  # percent of the width that no point comes nearer to an edge
WIDTHS = {"wide": 620, "narrow": 280}  # the least that a drawing has, on a desk or on paper, and on a phone


@dataclass(frozen=True, slots=True)
class Point:
    """`series`: points of one are joined in their order."""

    series: str
    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Dot:
    """Points that would cover each other, with the numbers of their series. `x` in percent, `y` in pixels."""

    points: tuple[Point, ...]
    numbers: tuple[int, ...]
    x: float
    y: float

    @property
    def text(self) -> str:
        named = ",".join(str(number) for number in self.numbers[:MOST_NAMED])
        return named + ("…" if len(self.numbers) > MOST_NAMED else "")

    @property
    def width(self) -> float:
        """In pixels."""
        return max(DOT, LETTER * len(self.text) + 8)

    def within(self, width: int) -> float:
        """`x` such that it does not cross the edge of a drawing so wide."""
        half = max(50 * self.width / width, EDGE)
        return min(max(self.x, half), 100 - half)

    def covers(self, other: "Dot", width: int) -> bool:
        apart = abs(self.within(width) - other.within(width)) * width / 100
        return apart < (self.width + other.width) / 2 and abs(self.y - other.y) < DOT

    def with_(self, other: "Dot") -> "Dot":
        """Both in one, between them."""
        points = self.points + other.points
        share = len(other.points) / len(points)
        numbers = tuple(sorted({*self.numbers, *other.numbers}))
        x, y = (a + (b - a) * share for a, b in ((self.x, other.x), (self.y, other.y)))
        return Dot(points, numbers, x, y)


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
        [
            tag(
                "g",
                [_drawn(dot, across, up, width) for dot in dots(points, across, up, width)],
                class_=class_,
            )
            for class_, width in WIDTHS.items()
        ],
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
    """No dot crosses the edge."""
    return f"{min(max(across.at(value), EDGE), 100 - EDGE):g}%"


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


def dots(points: Sequence[Point], across: Axis, up: Axis, width: int) -> list[Dot]:
    """None of which covers another in a drawing of that width or a wider one."""
    series = list(dict.fromkeys(point.series for point in points))
    found = [Dot((p,), (series.index(p.series) + 1,), across.at(p.x), _y(up, p.y)) for p in points]
    while True:  # two in one are larger, and may cover a third
        fewer: list[Dot] = []
        for dot in found:
            under = [other for other in fewer if other.covers(dot, width)]
            fewer = [other for other in fewer if other not in under]
            fewer.append(reduce(Dot.with_, under, dot))
        if len(fewer) == len(found):
            return fewer
        found = fewer


def _drawn(dot: Dot, across: Axis, up: Axis, width: int) -> Markup:
    x, y = f"{dot.within(width):g}%", round(dot.y, 1)
    half = f"translate({-dot.width / 2:g} 0)"
    said = (f"{p.name}: {number(p.x)} {across.unit}, {number(p.y)} {up.unit}" for p in dot.points)
    return tag(
        "g",
        tag("title", "; ".join(said)),
        tag(
            "rect", x=x, y=y - DOT / 2, width=dot.width, height=DOT, rx=DOT / 2, transform=half, class_="dot"
        ),
        tag("text", dot.text, x=x, y=y + 4, class_="in"),
    )


def _legend(series: list[str], points: Sequence[Point], x: tuple[str, str], y: tuple[str, str]) -> Markup:
    def said(one: str) -> str:
        own = [point for point in points if point.series == one]
        if len(own) > 1:
            return f"{len(own)} levels, up to {number(max(p.y for p in own))} {y[1]}"
        return f"{number(own[0].x)} {x[1]}, {number(own[0].y)} {y[1]}"

    items = [tag("li", tag("b", one), " ", said(one)) for one in series]
    first, others = parted(items)
    return joined(
        tag("ol", first, class_="legend"),
        rest(f"{len(others):,} more", tag("ol", others, class_="legend", start=len(first) + 1))
        if others
        else None,
    )


def _y(up: Axis, value: float) -> float:
    return round(HEIGHT - up.at(value) / 100 * (HEIGHT - 16), 1)
