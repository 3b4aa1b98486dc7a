"""What is compared with what: under each load that both sides were asked, by itself; of engines also each
model. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tasks.errors import InputError
from tasks.report.compare import Side
from tasks.report.rank import by_terms
from tasks.report.sample import Cell, Sample, merge
from tasks.report.wording import some

Named = tuple[str, Sequence[Sample]]
Match = tuple[str, Side, Side]  # terms, a, b


def matches(a: Named, b: Named) -> tuple[list[Match], list[str]]:
    """Of two sides. Also what a reader must know: loads that only one was asked under, and what was taken
    together. Where they share no load all answers are compared, and that is said; prompts of other lengths,
    and engines without a model in common, are not: raises InputError."""
    of_engines = any(one.cell.engine for one in (*a[1], *b[1]))
    (left, one), (right, two) = ((name, _by_load(samples, of_engines)) for name, samples in (a, b))
    shared = [load for load in one if load in two]
    if shared:
        made = [(load, _side(left, one[load]), _side(right, two[load])) for load in shared]
        rest = [(left, one.keys() - two.keys()), (right, two.keys() - one.keys())]
        notes = [f"only {name} was asked {_listed(own)}: not compared" for name, own in rest if own]
    elif of_engines or _lengths(a[1]) != _lengths(b[1]):
        raise InputError(f"they were asked nothing alike: {left} {_listed(one)}; {right} {_listed(two)}")
    else:
        made = [("", _side(left, [*chain(*one.values())]), _side(right, [*chain(*two.values())]))]
        notes = [f"they were asked under different loads: {left} {_listed(one)}; {right} {_listed(two)}"]
    return made, [*notes, *dict.fromkeys(_together(made))]


def _by_load(samples: Iterable[Sample], of_engines: bool) -> dict[str, list[Sample]]:
    """By the load's words, behind those of the model where engines are compared."""
    found: dict[str, list[Sample]] = {}
    for one in chain(*by_terms(one for one in samples if one.requests)):
        words = (one.cell.model if of_engines else "", one.cell.terms)
        found.setdefault(" · ".join(filter(None, words)), []).append(one)
    return found


def _lengths(samples: Iterable[Sample]) -> set[int | None]:
    return {one.cell.length for one in samples if one.requests}


def _side(name: str, samples: Sequence[Sample]) -> Side:
    return Side(name, merge(samples, Cell(host=name, simulated=all(one.cell.simulated for one in samples))))


def _together(made: Iterable[Match]) -> Iterator[str]:
    for _, *sides in made:
        for side in sides:
            for what, which in (("models", side.sample.models), ("hosts", side.sample.hosts)):
                if len(which) > 1:
                    yield f"{side.name}: {what} taken together: {some(sorted(which))}"


def _listed(loads: Iterable[str]) -> str:
    return ", ".join(sorted(load or "as a run asks" for load in loads))
