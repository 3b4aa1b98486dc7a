"""How two runs share a fleet, and how soon a host that joins is at work.

    python benchmarks/fairness.py [--times 3]

Two simulated machines (0.2 s a request, 3 slots each) have one run of 80 papers x 3 prompts, and a second
like it is submitted when the first is under way. Counted is what each gets while both are open. Then a third
machine joins in the middle. Bounds: each run 40-60 % of what is answered meanwhile; the newcomer's first
answer within 5 s of its worker's start; nothing failed. `--times` rooms one after the other; the figure is
their median.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Figure, Machine, engines, parser, room, say, working, write_papers
from tasks.fleet import workers
from tasks.request import asked
from tasks.session import Session
from tasks.settings import read_settings
from tasks.submit import submit
from worker_agent.config import Host

FLEET = (Machine("a", 0.2, 3), Machine("b", 0.2, 3))
NEWCOMER = Machine("c", 0.2, 3)
PAPERS, POLL_S, MOST_S = 80, 0.05, 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one room showed."""

    answers: int
    first_share: float
    joined_s: float
    failed: int


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--times", type=int, default=3)
    asked = options.parse_args()
    seen = [_measure() for _ in range(asked.times)]
    shares = [one.first_share for one in seen]
    figures = [
        Figure("answers counted while both were open, least", min(one.answers for one in seen), least=100),
        Figure("share of the first run", median(shares), "%", least=40, most=60),
        Figure("... least", min(shares), "%"),
        Figure("... most", max(shares), "%"),
        Figure("a host that joins: start to first answer", median(one.joined_s for one in seen), "s", most=5),
        Figure("... most", max(one.joined_s for one in seen), "s"),
        Figure("items failed", sum(one.failed for one in seen), most=0),
    ]
    title = f"two runs on two hosts, and a third host that joins; {asked.times} times"
    return say(title, figures, as_json=asked.as_json)


def _measure() -> Seen:
    with room() as folder, engines([*FLEET, NEWCOMER], folder) as hosts:
        papers = write_papers(folder / "papers", PAPERS)
        with working(hosts[: len(FLEET)]) as (work, _):
            first = _submit(work, papers, "One")
            _wait(work, first, PAPERS * 3 // 8)
            second = _submit(work, papers, "Two")
            before = _answered(work, first, second)
            _wait(work, first, PAPERS * 2)
            shares = _answered(work, first, second) - before
            joined_s = _join(work, hosts[-1:], second)
            _wait(work, second, PAPERS * 3)
            failed = sum(work.runs.status(run).failed for run in (first, second))
    return Seen(shares.total(), 100 * shares[first] / shares.total(), joined_s, failed)


def _submit(work: Session, papers: Path, word: str) -> str:
    ask = asked([papers], prompts=[f"{word} {n}?" for n in range(3)])
    return submit(work.ledger, work.texts, ask.manifest, ask.files, fresh=True).run_id


def _wait(work: Session, run_id: str, items: int) -> None:
    """Until so many items of a run have ended."""
    begun = time.monotonic()
    while work.runs.status(run_id).finished < items:
        if time.monotonic() - begun > MOST_S:
            raise SystemExit(f"run {run_id} does not get on")
        time.sleep(POLL_S)


def _answered(work: Session, *runs: str) -> "Counter[str]":
    return Counter({run: work.runs.status(run).finished for run in runs})


def _join(work: Session, hosts: Sequence[Host], run_id: str) -> float:
    """Start a worker for one more host. Returns the seconds until its first answer."""
    begun = time.monotonic()
    with workers(hosts, work.client, read_settings()):
        while not work.runs.status(run_id).by_host.get(hosts[0].id):
            if time.monotonic() - begun > MOST_S:
                raise SystemExit("the newcomer does not work")
            time.sleep(POLL_S)
        return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
