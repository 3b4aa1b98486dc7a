"""How long a benchmark will still take, from how its cells go. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tasks.bench.cell import Load
from tasks.work import Bundle

LEAST = 3  # requests of a cell after its first, before its pace means anything


@dataclass(frozen=True, slots=True)
class Going:
    """A cell as it goes: `done` of its requests have ended. Those of one `lane` (tasks/bench/machines.py)
    come one after the other."""

    host: str
    model: str | None
    load: Load
    lane: str
    done: float

    @property
    def left(self) -> float:
        return self.load.items - self.done

    def seconds(self, pace_s: float) -> float:
        """What is left of it takes so long, at a pace of so many seconds a request; one that has a schedule
        is no faster than that."""
        return self.left * (max(pace_s, 1 / self.load.rate_rps) if self.load.rate_rps else pace_s)


class Left(NamedTuple):
    """`at_least` so long: some of it may take longer, and `unknown` cells of which nothing is known come on
    top."""

    seconds: float
    at_least: bool
    unknown: int


def going(
    bundles: Mapping[int, Bundle],
    by_host: Mapping[str, int],
    shares: Mapping[int, float],
    lanes: Mapping[str, str],
) -> dict[int, Going]:
    """The cells of a plan, by number. `by_host`: results so far; cells of a host have theirs in the order of
    the plan. `shares` of those at work, and of those that were interrupted."""
    ended, found = dict(by_host), dict[int, Going]()
    for number, bundle in sorted(bundles.items()):
        host, load = bundle.host or "", bundle.load
        assert load
        has_all = ended.get(host, 0) >= load.items
        if has_all:
            ended[host] -= load.items
        done = load.items if has_all else load.items * shares.get(number, 0.0)
        found[number] = Going(host, bundle.model, load, lanes.get(host, host), done)
    return found


class Forecast:
    """Fed with all cells again and again; what was done before the first time says nothing of a pace."""

    def __init__(self) -> None:
        self._paces: dict[int, _Pace] = {}

    def left(self, now_s: float, cells: Mapping[int, Going]) -> Left | None:
        """None: nothing is known yet. The lane with most to do decides."""
        for number, cell in cells.items():
            self._paces.setdefault(number, _Pace(cell.done)).saw(now_s, cell.done)
        seen = [(cells[n], pace.each_s) for n, pace in self._paces.items() if n in cells and pace.each_s]
        lanes: dict[str, float] = {}
        certain, unknown = True, 0
        for number, cell in cells.items():
            if cell.left <= 0:
                continue
            guess = self._cell_left(now_s, cell, self._paces[number], seen)
            seconds, sure = guess or (0.0, False)
            certain, unknown = certain and sure, unknown + (guess is None)
            lanes[cell.lane] = lanes.get(cell.lane, 0.0) + seconds
        most_s = max(lanes.values(), default=0.0)
        return None if unknown and not most_s else Left(most_s, not certain, unknown)

    def _cell_left(
        self, now_s: float, cell: Going, pace: "_Pace", seen: "Iterable[_Seen]"
    ) -> tuple[float, bool] | None:
        """Seconds, and whether that is all; None: nothing is known of such cells."""
        if pace.each_s:
            idle_s = min(now_s - pace.changed_s, pace.each_s)  # the next one is as far
            return max(0.0, cell.seconds(pace.each_s) - idle_s), True
        if not pace.moves:  # what was done of it before is done again
            cell = Going(cell.host, cell.model, cell.load, cell.lane, 0.0)
        if cell.load.rate_rps:
            return cell.seconds(0.0), True
        guess = _like(cell, [one for one in seen if (one[0].host, one[0].model) == (cell.host, cell.model)])
        return (cell.seconds(guess[0]), guess[1]) if guess else None


_Seen = tuple[Going, float]


def _like(cell: Going, seen: list[_Seen]) -> tuple[float, bool] | None:
    """Seconds a request by those cells of the same host and model, and whether that is an estimate or only
    the least: more requests at a time take no longer for each, nor do shorter prompts."""
    many, length = cell.load.at_once, cell.load.length or 0
    of_length = {one.load.at_once: each_s for one, each_s in seen if (one.load.length or 0) == length}
    if fewer := [other for other in of_length if other <= many]:
        return of_length[max(fewer)], True
    if of_length:
        return of_length[min(of_length)], False
    shorter = sorted(
        (one.load.length or 0, each_s)
        for one, each_s in seen
        if one.load.at_once == many and (one.load.length or 0) < length
    )
    return (_further(shorter[-2:], length), False) if shorter else None


def _further(points: list[tuple[int, float]], length: int) -> float:
    """On the line through the last two lengths: reading takes as long again for each token, or longer."""
    (before, each_before_s), (last, each_s) = points[0], points[-1]
    slope = (each_s - each_before_s) / (last - before) if last > before else 0.0
    return each_s + max(0.0, slope) * (length - last)


@dataclass(slots=True)
class _Pace:
    """Of one cell, from the end of its first request on, for that may load a model."""

    done: float
    moves: bool = False
    changed_s: float = 0.0
    _began_s: float | None = None
    _before: float = 0.0

    def saw(self, now_s: float, done: float) -> None:
        if done < self.done:  # it begins anew
            self.moves, self._began_s = True, None
        if done > self.done:
            self.moves, self.changed_s = True, now_s
        if self._began_s is None and done >= 1:
            self._began_s, self._before, self.changed_s = now_s, done, now_s
        self.done = done

    @property
    def each_s(self) -> float | None:
        """Seconds a request, of those at a time together; None: not known yet."""
        if self._began_s is None or self.done - self._before < LEAST or self.changed_s <= self._began_s:
            return None
        return (self.changed_s - self._began_s) / (self.done - self._before)
