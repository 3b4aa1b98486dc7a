"""What a host that dies costs: the fastest of five is killed in the middle of a run and never comes back.

    python benchmarks/killed.py [--papers 200] [--scale 3] [--runs 3]

The machines of benchmarks/mixed_fleet.py, three times slower, answer 200 papers x 5 prompts. When a tenth is
answered, the worker of the fastest host is killed (SIGKILL): its engine goes on, but nobody asks it. Nobody
says that it died: its leases end by themselves, up to 15 s later (a setting), and the steward looks every
second. So the run must be long for its end to say anything about the schedule: about 95 s remain at the kill.
The ideal is all that was not committed then, what the dead host had in hand included, less what the others
had done of what they were at, over the rate of the other four. `lease wait`: from the kill until no bundle is
the dead host's any more. Bounds: 1.25 times the ideal, nothing failed.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.mixed_fleet import FLEET, PROMPTS
from benchmarks.room import (
    LONGEST_RUN_S,
    Ended,
    Figure,
    Machine,
    ask,
    ended,
    engines,
    ideal_s,
    parser,
    room,
    say,
    serving,
    spread,
    working,
    write_papers,
)
from benchmarks.slot_time import called
from tasks.fleet import Fleet
from tasks.ledger import keys
from tasks.request import asked
from tasks.session import Session
from worker_agent.config import Host

SHARE_BEFORE = 0.1
MOST = 1.25
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """A run with a death in it. `missing` items at the kill, of which the others had done `begun`;
    `held` bundles were the dead host's."""

    run: Ended
    killed_at: float
    missing: int
    begun: float
    held: int
    lease_wait_s: float
    requests: int

    def ratio(self, others: Sequence[Machine]) -> float:
        return (self.run.ended_at - self.killed_at) / self.ideal_s(others)

    def ideal_s(self, others: Sequence[Machine]) -> float:
        return ideal_s(others, 1) * (self.missing - self.begun)


def main() -> int:
    options = _parse()
    fleet = [replace(one, service_s=one.service_s * options.scale) for one in FLEET]
    seen = []
    with room() as folder, engines(fleet, folder) as hosts, working(hosts[1:]) as (work, _):
        papers = write_papers(folder / "papers", options.papers)
        for _ in range(options.runs):
            with serving(work, hosts[:1]) as doomed:
                seen.append(_run(work, hosts, papers, doomed))
    title = (
        f"the fastest of five hosts dies: {options.papers} papers x {PROMPTS} prompts, {options.runs} runs"
    )
    return say(title, _figures(fleet[1:], seen), as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__, runs=3)
    options.add_argument("--papers", type=int, default=200)
    options.add_argument(
        "--scale", type=float, default=3.0, help="every request takes this many times longer"
    )
    return options.parse_args()


def _run(work: Session, hosts: Sequence[Host], papers: Path, doomed: Fleet) -> Seen:
    wanted = asked([papers], presets=["research"])
    run_id, dead = ask(work, wanted), hosts[0]
    _wait(lambda: work.runs.status(run_id).finished >= SHARE_BEFORE * work.runs.status(run_id).total > 0)
    held_before = work.client.scard(keys.held(dead.id))
    killed_at = _kill(doomed, dead.id)
    at_kill = work.runs.status(run_id)
    _wait(lambda: not work.client.scard(keys.held(dead.id)))
    lease_wait_s = time.time() - killed_at
    run = ended(work, run_id, wanted.manifest.prompts)
    calls = called(hosts, f"{run_id}-")
    halves = [
        (killed_at - call.begun_at) / call.took_s
        for call in calls
        if call.machine != dead.id and call.begun_at < killed_at < call.ended_at
    ]
    missing = at_kill.total - at_kill.finished
    return Seen(run, killed_at, missing, sum(halves), held_before, lease_wait_s, len(calls))


def _kill(doomed: Fleet, host_id: str) -> float:
    """The worker, for good: nobody starts another. Returns when, in seconds since 1970."""
    child = doomed.workers[host_id].child
    child.kill()
    killed_at = time.time()
    child.wait()
    doomed.close()
    return killed_at


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_RUN_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(POLL_S)


def _figures(others: Sequence[Machine], seen: Sequence[Seen]) -> list[Figure]:
    return [
        Figure("ideal of what remained, on the other four", median(one.ideal_s(others) for one in seen), "s"),
        *spread("kill to the end / that ideal", [one.ratio(others) for one in seen], most=MOST),
        Figure("items missing at the kill", median(one.missing for one in seen)),
        Figure("bundles that the dead host held", median(one.held for one in seen), least=1),
        *spread("lease wait", [one.lease_wait_s for one in seen], "s"),
        Figure("items failed", sum(one.run.status.failed for one in seen), most=0),
        Figure(
            "requests the engines saw, per item", median(one.requests / one.run.status.total for one in seen)
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
