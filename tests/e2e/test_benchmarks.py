"""The short forms of benchmarks that run a fleet: what they print must add up."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.nearest import nearest

ROOT = Path(__file__).parents[2]
SEVERAL = 3  # attempts at a fleet of seconds


def figures(*command: str) -> dict[str, float]:
    """What a benchmark measured, its bounds held or not."""
    done = subprocess.run(
        [sys.executable, *command, "--runs", "1", "--json"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout, done.stderr[-2000:]
    return {figure["what"]: figure["value"] for figure in json.loads(done.stdout)["figures"]}


def test_the_losses_of_a_mixed_fleet_explain_its_makespan(needs_redis: str) -> None:
    """What the engines' logs say was lost is what the run took longer than the ideal."""

    def unexplained(seen: dict[str, float]) -> float:
        lost = sum(value for what, value in seen.items() if what.endswith(": of the ideal"))
        return abs(seen["uncached: makespan / ideal"] - (1 + lost / 100))

    short = ("benchmarks/mixed_fleet.py", "--only", "uncached", "--papers", "12")
    seen = nearest(lambda: figures(*short), unexplained, 0.03, SEVERAL)
    assert seen["uncached: items without an answer"] == 0
    assert seen["uncached: plain pull client: makespan / ideal"] > 1
    assert unexplained(seen) <= 0.03


def test_the_pause_between_two_requests_is_seen(needs_redis: str) -> None:
    """The worker's own part of it is most of it, and not all."""
    pause = "fast host: pause between two requests, median"
    short = ("benchmarks/two_hosts.py", "--papers", "40")
    seen = nearest(lambda: figures(*short), lambda seen: seen[pause], 99, SEVERAL)
    own_ms = seen["... of that the worker's own"]
    assert seen["items failed"] == 0
    assert seen["makespan / ideal"] > 1
    assert 0 < own_ms < seen[pause] < 100
