"""What is compared with what: under each load that both sides were asked, by itself, and of hosts also each
model, of models each host, of runs each model of a host, that both have. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal

from tasks.errors import InputError
from tasks.report.asked import not_alike
from tasks.report.compare import Side
from tasks.report.rank import by_terms
from tasks.report.remarks import counted
from tasks.report.sample import Cell, Sample, merge
from tasks.report.wording import several, simulations, some

Named = tuple[str, Sequence[Sample]]
Match = tuple[str, Side, Side]  # terms, a, b
Within = Sequence[Literal["host", "model"]]  # what both sides must have alike, where they can

_CALLED = {"host": "machines", "model": "models"}


def matches(a: Named, b: Named, within: Within = ()) -> tuple[list[Match], list[str]]:
    """Of two sides. Also what a reader must know: what only one was asked, and what was taken together. Where
    they share no load, or nothing `within` which to compare, all answers are compared, and that is said;
    prompts of other lengths, and engines without a model in common, are not: raises InputError."""
    of_engines = any(one.cell.engine for one in (*a[1], *b[1]))
    within = ("model",) if of_engines else _telling(a, b, within)

    def place(cell: Cell) -> str:
        return _place(cell, within)

    def every(cell: Cell) -> str:
        return " · ".join(filter(None, (place(cell), cell.terms)))

    alike = not of_engines and _lengths(a[1]) == _lengths(b[1])
    if found := _in_common(a, b, every):
        notes = _only_one(a, b, every)
    elif within and not of_engines and (found := _of_like_length(a, b, place)):
        notes = [_told_apart("they were asked under different loads", a, b, _load), *_only_one(a, b, place)]
    elif within and not of_engines and (found := _in_common(a, b, _load)):
        notes = [_differ(a, b, within), *_only_one(a, b, _load)]
    elif alike:
        found = [("", _side(a[0], list(_asked(a[1]))), _side(b[0], list(_asked(b[1]))))]
        notes = [_differ(a, b, within)] if within else []
        notes += [_told_apart("they were asked under different loads", a, b, _load)]
    else:
        raise InputError(_told_apart("they were asked nothing alike", a, b, every))
    notes += dict.fromkeys(_together(found))
    notes += dict.fromkeys(note for _, *sides in found for note in not_alike(one.sample for one in sides))
    return found, [*_simulated(found), *notes]


def failures(sides: Iterable[Named]) -> Iterator[str]:
    """Of each side, what no figure has in it."""
    for name, samples in sides:
        failed: Counter[str] = sum((one.failed for one in samples), Counter())
        tries = sum(one.tries for one in samples)
        if failed:
            share = f"{failed.total():,} of {tries:,} tries failed"
            yield f"{name}: {share}, and are in no figure: {counted(failed)}"


def on_both_sides(a: Sequence[Sample], b: Sequence[Sample]) -> Iterator[str]:
    """A host compared with a model that it serves is compared with itself in part."""
    one, two = (
        {(r.run, r.place, r.started_s) for sample in side for r in sample.requests} for side in (a, b)
    )
    if shared := len({request for request in one & two if not math.isnan(request[2])}):
        yield f"{several(shared, 'answer')} of {len(one | two):,} are on both sides, and make them more alike"


def _telling(a: Named, b: Named, within: Within) -> Within:
    """Nothing where both have only one such place, and the same: then it goes without saying."""
    places = {_place(one.cell, within) for _, samples in (a, b) for one in _asked(samples)}
    return within if len(places) > 1 else ()


def _place(cell: Cell, within: Within) -> str:
    """`sim-8b on mac-1`, or the part of it that is asked for."""
    parts = (cell.model if "model" in within else None, f"on {cell.host}" if "host" in within else None)
    return " ".join(filter(None, parts))


def _load(cell: Cell) -> str:
    return cell.terms


def _asked(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Those with answers, the lightest load first."""
    return chain(*by_terms(one for one in samples if one.requests))


def _by(samples: Iterable[Sample], name: Callable[[Cell], str]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for one in _asked(samples):
        found.setdefault(name(one.cell), []).append(one)
    return found


def _in_common(a: Named, b: Named, name: Callable[[Cell], str]) -> list[Match]:
    one, two = _by(a[1], name), _by(b[1], name)
    return [(what, _side(a[0], one[what]), _side(b[0], two[what])) for what in one if what in two]


def _of_like_length(a: Named, b: Named, name: Callable[[Cell], str]) -> list[Match]:
    one, two = _by(a[1], name), _by(b[1], name)
    return [match for match in _in_common(a, b, name) if _lengths(one[match[0]]) == _lengths(two[match[0]])]


def _only_one(a: Named, b: Named, name: Callable[[Cell], str]) -> list[str]:
    one, two = _by(a[1], name), _by(b[1], name)
    rest = [(a[0], one.keys() - two.keys()), (b[0], two.keys() - one.keys())]
    return [f"only {side} was asked {_listed(own)}: not compared" for side, own in rest if own]


def _differ(a: Named, b: Named, within: Within) -> str:
    what = " and ".join(_CALLED[one] for one in within)
    both = "; ".join(
        f"{side}: {some(sorted(_by(samples, lambda cell: _place(cell, within).removeprefix('on '))))}"
        for side, samples in (a, b)
    )
    return f"the {what} differ, and the verdict is theirs as much: {both}"


def _told_apart(what: str, a: Named, b: Named, name: Callable[[Cell], str]) -> str:
    return f"{what}: {'; '.join(f'{side} {_listed(_by(samples, name))}' for side, samples in (a, b))}"


def _lengths(samples: Iterable[Sample]) -> set[int | None]:
    return {one.cell.length for one in samples if one.requests}


def _side(name: str, samples: Sequence[Sample]) -> Side:
    kinds = frozenset(one.cell.kind for one in samples if one.requests)
    of_bench = any(one.cell.load_mode for one in samples)
    taken = merge(samples, Cell(host=name))
    return Side(name, taken, in_turn=_in_turn(samples), kinds=kinds, of_bench=of_bench)


def _in_turn(samples: Sequence[Sample]) -> bool:
    """Whether some of them, in one run or in two, were asked only when others had answered."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for one in samples:
        own: dict[str, list[float]] = {}
        for request in one.requests:
            if not math.isnan(request.finished_s):
                own.setdefault(request.run, []).extend((request.started_s, request.finished_s))
        for run, moments in own.items():
            spans.setdefault(run, []).append((min(moments), max(moments)))
    if any(max(begin_s for begin_s, _ in own) >= min(end_s for _, end_s in own) for own in spans.values()):
        return len(samples) > 1
    return any(len(own) < len(samples) for own in spans.values())


def _together(made: Iterable[Match]) -> Iterator[str]:
    for _, *sides in made:
        for side in sides:
            for what, which in (("models", side.sample.models), ("hosts", side.sample.hosts)):
                if len(which) > 1:
                    yield f"{side.name}: {what} taken together: {some(sorted(which))}"


def _simulated(made: Iterable[Match]) -> Iterator[str]:
    """Said once: a simulation is no measurement of a machine."""
    kinds = [(side.name, kind) for _, *sides in made for side in sides for kind in sorted(side.known_kinds)]
    return simulations(kinds)


def _listed(loads: Iterable[str]) -> str:
    return ", ".join(sorted(load or "as a run asks" for load in loads))
