"""How two runs share a fleet, and how soon a host that joins is at work.

    python benchmarks/fairness.py

Two simulated machines (0.2 s a request, 3 slots each) have one run of 80 papers x 3 prompts, and a second
like it is submitted when the first is under way. Counted is what each gets while both are open. Then a third
machine joins in the middle. Bounds: each run 40-60 % of what is answered meanwhile; the newcomer's first
answer within 5 s of its worker's start; nothing failed.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

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


def main() -> int:
    options = parser(__doc__).parse_args()
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
    first_share = 100 * shares[first] / shares.total()
    figures = [
        Figure("answers counted while both were open", shares.total(), least=100),
        Figure("share of the first run", first_share, "%", least=40, most=60),
        Figure("a host that joins: worker's start to its first answer", joined_s, "s", most=5),
        Figure("items failed", failed, most=0),
    ]
    return say("two runs on two hosts, and a third host that joins", figures, as_json=options.as_json)


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
