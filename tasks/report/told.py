"""All that a report tells, found in one pass over the rows. Knows no markup."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.report.account import Account
from tasks.report.cells import beside_cells
from tasks.report.gather import gather
from tasks.report.lanes import Timeline, timeline
from tasks.report.metric import METRICS
from tasks.report.pairs import Pairs, pairs
from tasks.report.rank import SHOWN, Ranking, rankings, resolve
from tasks.report.remarks import remarks
from tasks.report.rows import Source
from tasks.report.sample import Gathered
from tasks.report.sidecar import sidecar
from tasks.report.wording import simulated, simulations

RARE = ("energy_j", "energy_j_per_token")  # ranked where it is known


@dataclass(frozen=True, slots=True)
class Told:
    """`head`: the summary as in results.json, what is known of it; `about`: the document of run.json, or
    nothing. `state`: as the run says, `ended` where only a file is there."""

    run: str
    state: str
    ended: bool
    head: Mapping[str, Any]
    about: Mapping[str, Any]
    account: Account
    gathered: Gathered
    rankings: tuple[Ranking, ...]
    notes: tuple[str, ...]
    pairs: Pairs
    timeline: Timeline | None

    @property
    def simulated(self) -> str | None:
        """`all` or `some` of the answers are, or none."""
        if not self.account.simulated:
            return None
        hosts = [seen for seen in self.account.hosts.values() if seen.answered]
        return "all" if hosts and all(seen.simulated for seen in hosts) else "some"

    @property
    def one_pace(self) -> bool:
        return len(self.paces) == 1

    @property
    def paces(self) -> list[str]:
        """Which hosts are simulated, and at which pace."""
        seen = self.account.hosts.items()
        kinds = [(host, simulated(one.time_scale)) for host, one in seen if one.simulated]
        return [*simulations(kinds)]

    @property
    def length_s(self) -> float | None:
        """From submit to end, or from the first request to the last answer."""
        took_s = self.head.get("total_time_seconds")
        if isinstance(took_s, int | float):
            return float(took_s)
        return self.timeline.length_s if self.timeline else None


def tell(source: Source, about: Mapping[str, Any] | None = None) -> Told:
    """Reads every row of the source once."""
    account = Account()
    gathered = gather(account.through(source))
    if about is None:
        about = sidecar(source.report) if source.report else {}
    slots = {
        str(host["id"]): host["slots"] for host in about.get("hosts") or () if _counts(host.get("slots"))
    }
    metrics = [METRICS[name] for name in SHOWN]
    metrics += [resolve("memory", gathered.samples), *(METRICS[name] for name in RARE)]
    made = [ranking for metric in metrics for ranking in rankings(gathered.samples, metric)]
    notes = list(remarks(gathered, open_runs=[] if source.ended else [source.run], simulated=False))
    notes += beside_cells(source.report, slots) if source.report else ()
    notes += source.notes
    return Told(
        source.run,
        str(source.head.get("state") or "ended"),
        source.ended,
        source.head,
        about,
        account,
        gathered,
        tuple(made),
        tuple(notes),
        pairs(account.items),
        timeline(account, slots),
    )


def _counts(slots: Any) -> bool:
    return isinstance(slots, int) and slots > 0
