"""The chains of a run: each answer nobody asks about any more, with all that led to it. Streams; knows no
file format."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tasks.intake.stages import Later, Stage, below
from tasks.report.collect import Report, Row
from tasks.result import Failure


@dataclass(frozen=True, slots=True)
class Hop:
    """One stage of a chain. Times in seconds, None: unknown."""

    row: Row

    def metric(self, name: str) -> Any:
        return self.row.result.metrics.get(name) if self.row.result else None

    @property
    def hop_s(self) -> float | None:
        """From when anybody could have claimed it to its answer, by the clock of Redis. None where another
        run gave the answer."""
        result = self.row.result
        if not result or result.reused_from or result.added_ms is None or result.ended_ms is None:
            return None
        return (result.ended_ms - result.added_ms) / 1000

    @property
    def network_s(self) -> float | None:
        """What the call took beyond the time that the engine says it took, the opening of the connection
        included."""
        call_s, server_s = self.metric("stream_end_s"), self.metric("server_total_s")
        if call_s is None or server_s is None:
            return None
        return max(0.0, float(call_s - server_s)) + (self.metric("connect_ms") or 0.0) / 1000


@dataclass(frozen=True, slots=True)
class Chain:
    """A first answer, what was asked about it, and so on to the end."""

    hops: tuple[Hop, ...]

    @property
    def first(self) -> Row:
        return self.hops[0].row

    @property
    def last(self) -> Row:
        return self.hops[-1].row

    @property
    def success(self) -> bool | None:
        """None: it has not ended."""
        return self.last.result.success if self.last.result else None

    @property
    def failure(self) -> tuple[str, Failure] | None:
        """The stage that failed, and why."""
        for hop in self.hops:
            if hop.row.result and hop.row.result.error:
                return hop.row.stage, hop.row.result.error
        return None

    @property
    def reused(self) -> int:
        return sum(bool(hop.row.result and hop.row.result.reused_from) for hop in self.hops)

    @property
    def total_s(self) -> float | None:
        """From when the first could have been claimed to the last answer, by the clock of Redis. None where
        answers of other runs are among them."""
        first, last = self.first.result, self.last.result
        if self.reused or not first or not last or first.added_ms is None or last.ended_ms is None:
            return None
        return (last.ended_ms - first.added_ms) / 1000

    def sum_of(self, name: str) -> float | None:
        """Of all hops; None where one is unknown."""
        return _sum(hop.metric(name) for hop in self.hops)

    @property
    def network_s(self) -> float | None:
        return _sum(hop.network_s for hop in self.hops)


def chains(report: Report, wanted: Collection[str] | None = None) -> Iterator[Chain]:
    """Every chain of a run in plan order; with `wanted`, those that have one of these items."""
    parents: dict[str, Row] = {}  # of one first bundle: its chains stand together in the plan
    below_first = False
    for row in report.rows():
        if row.parent is None and below_first:
            parents.clear()
        below_first = row.parent is not None
        if not row.ends:
            parents[row.item_id] = row
            continue
        path = [row]
        while path[-1].parent is not None:
            path.append(parents[path[-1].parent])
        if wanted is None or any(one.item_id in wanted for one in path):
            yield Chain(tuple(map(Hop, reversed(path))))


def hop_names(stages: Iterable[Stage]) -> tuple[str, ...]:
    """What to call the stages of every depth: their name, where all of a depth have one and no other has
    it; else `stage1`, `stage2`, ..."""
    stages = tuple(stages)
    at: list[set[str]] = []
    for index, stage in enumerate(stages):
        firsts = [Later(index, 0, 0, 0)] if stage.after is None else []
        for later in (*firsts, *(below(stages, index) if firsts else ())):
            at += [set()] * (later.depth + 1 - len(at))
            at[later.depth] = at[later.depth] | {stages[later.stage].name}
    every = [name for names in at for name in names]
    return tuple(
        name if len(names) == 1 and every.count(name := next(iter(names))) == 1 else f"stage{number}"
        for number, names in enumerate(at, 1)
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
