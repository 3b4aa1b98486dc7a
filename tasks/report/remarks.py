"""What a reader must know beside the tables: what is not in them, and why. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tasks.report.asked import not_alike
from tasks.report.rank import Entry, Ranking, by_terms
from tasks.report.sample import Gathered, Sample
from tasks.report.wording import several, simulations, some, span


def remarks(gathered: Gathered, *, open_runs: Iterable[str] = (), simulated: bool = True) -> list[str]:
    """What a reader must know beside the tables: what is not in them, and why, and (`simulated`) which hosts
    are no machines."""
    said = [f"run {run} is still going: this is what it has so far" for run in open_runs]
    if simulated:
        said += simulations(_who(sample) for sample in gathered.samples)
    if gathered.nowhere:
        said.append(f"failed before any host had them: {counted(gathered.nowhere)}")
    said += [clock_note(host, offset_s) for host, offset_s in sorted(gathered.clocks.items())]
    if gathered.unpaired:
        said.append(f"left out, since they end no pair's chain: {gathered.unpaired} items")
    said += _no_answer_at_all(gathered.samples)
    runs = max((len({r.run for r in sample.requests}) for sample in gathered.samples), default=0)
    if runs > 1:
        said.append(
            f"answers of {runs} runs count as if they were of one: what differs from run to run is in no "
            "interval (`llmq rank --history` takes each run as one value)"
        )
    said += dict.fromkeys(note for like in by_terms(gathered.samples) for note in not_alike(like))
    aside: Counter[str] = sum((sample.aside for sample in gathered.samples), Counter())
    if aside:
        said.append(f"set aside, no measurements: {counted(aside)}")
    if cut := sum(sample.cut for sample in gathered.samples):
        names = some([sample.cell.name for sample in gathered.samples if sample.cut])
        said.append(f"{several(cut, 'answer')} cut at --max-tokens, counted as they are: {names}")
    return said


def _no_answer_at_all(samples: Sequence[Sample]) -> Iterator[str]:
    """What failed under terms that have no ranking, since nobody answered under them."""
    ranked = {sample.cell.weight for sample in samples if sample.requests}
    for sample in samples:
        if sample.failed and ranked and sample.cell.weight not in ranked:
            yield f"{sample.cell.name}: no answer, tries that failed: {counted(sample.failed)}"


def _who(sample: Sample) -> tuple[str, str]:
    cell = sample.cell
    name = cell.pair or cell.host or cell.engine or cell.model or "all"
    return name, cell.kind


def clock_note(host: str, offset_s: float) -> str:
    """`the clock of pi is 10 min 0 s ahead of that of Redis: ...`"""
    side = "ahead of" if offset_s > 0 else "behind"
    off = span(round(abs(offset_s), 1))
    return (
        f"the clock of {host} is {off} {side} that of Redis: its moments stand in the "
        "rows as it stamped them, and count here by the clock of Redis"
    )


def without_rank(ranking: Ranking, name_of: Callable[[Entry], str]) -> Iterator[str]:
    """Who has no rank, and why, those of one reason together."""
    names: dict[str, list[str]] = {}
    for entry in ranking.entries:
        if entry.reason:
            failed = f" (failed: {counted(entry.failed)})" if entry.failed and not entry.n else ""
            names.setdefault(f"{entry.reason}{failed}", []).append(name_of(entry))
    for reason, without in names.items():
        if len(without) == len(ranking.entries) > 1:
            yield f"none of them has a rank: {reason}"
        else:
            yield f"{some(sorted(without))} {'has' if len(without) == 1 else 'have'} no rank: {reason}"


def counted(reasons: Mapping[str, int]) -> str:
    """`3 timeout, 1 overloaded`"""
    return ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items(), key=lambda one: -one[1]))
