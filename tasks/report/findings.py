"""What a ranking says, in a line. Pure; knows no markup."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.report.metric import Metric
from tasks.report.rank import Entry, Ranking
from tasks.report.sample import CACHED, FIRST
from tasks.report.wording import number

NAMED = 3
APART = {FIRST: "prompt read anew", CACHED: "prompt from the cache"}


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is the question, `best` who comes first (NAMED at most), `said` what is true of them. Without a
    name `said` stands alone."""

    about: str
    best: tuple[str, ...]
    said: str

    @property
    def line(self) -> str:
        return f"{self.about}: {' and '.join(self.best)}{self.said}"


def finding(ranking: Ranking, name_of: Callable[[Entry], str]) -> Finding | None:
    """Who is first, or that nobody can be told from the others; None where fewer than two have a rank."""
    ranked = [entry for entry in ranking.entries if entry.rank]
    best = [entry for entry in ranked if entry.rank == 1]
    if len(ranked) < 2:
        return None
    about = titled(ranking.metric, ranking.apart, ranking.terms)
    if len(best) == len(ranked):
        said = f"no difference can be told between the {len(ranked)} that have enough answers"
        return Finding(about, (), said)
    names = tuple(name_of(entry) for entry in best[:NAMED])
    if len(best) == 1:
        said = f" ({number(best[0].value)} {ranking.metric.unit}) is first of {len(ranked)}"
    else:
        more = f" and {len(best) - NAMED} more" if len(best) > NAMED else ""
        said = f"{more} share the first place of {len(ranked)}"
    return Finding(about, names, said)


def titled(metric: Metric, apart: str | None, terms: str) -> str:
    """`time to first token, prompt read anew, 4 at a time`"""
    return ", ".join(part for part in (metric.title, APART.get(apart or "", apart), terms) if part)
