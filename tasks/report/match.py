"""What is compared with what: under each load that both sides were asked, by itself. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tasks.report.compare import Side
from tasks.report.rank import by_terms
from tasks.report.sample import Cell, Sample, merge
from tasks.report.wording import some

Named = tuple[str, Sequence[Sample]]
Match = tuple[str, Side, Side]  # terms, a, b


def matches(a: Named, b: Named) -> tuple[list[Match], list[str]]:
    """Of two sides. Also what a reader must know: loads that only one was asked under, and what was taken
    together. Where they share no load all answers are compared, and that is said."""
    (left, one), (right, two) = ((name, _by_load(samples)) for name, samples in (a, b))
    shared = [load for load in one if load in two]
    if shared:
        made = [(load, _side(left, one[load]), _side(right, two[load])) for load in shared]
        rest = [(left, one.keys() - two.keys()), (right, two.keys() - one.keys())]
        notes = [f"only {name} was asked {_listed(own)}: not compared" for name, own in rest if own]
    else:
        made = [("", _side(left, [*chain(*one.values())]), _side(right, [*chain(*two.values())]))]
        notes = [f"they were asked under different loads: {left} {_listed(one)}; {right} {_listed(two)}"]
    return made, [*notes, *dict.fromkeys(_together(made))]


def _by_load(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    return {like[0].cell.terms: like for like in by_terms(one for one in samples if one.requests)}


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
