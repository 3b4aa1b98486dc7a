"""The short forms of benchmarks that run a fleet: what they print must add up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
    seen = figures("benchmarks/mixed_fleet.py", "--only", "uncached", "--papers", "12")
    lost = sum(value for what, value in seen.items() if what.endswith(": of the ideal"))
    assert seen["uncached: items without an answer"] == 0
    assert seen["uncached: plain pull client: makespan / ideal"] > 1
    assert seen["uncached: makespan / ideal"] == pytest.approx(1 + lost / 100, abs=0.03)


def test_the_pause_between_two_requests_is_seen(needs_redis: str) -> None:
    """The worker's own part of it is most of it, and not all."""
    seen = figures("benchmarks/two_hosts.py", "--papers", "40")
    own_ms = seen["... of that the worker's own"]
    assert seen["items failed"] == 0
    assert seen["makespan / ideal"] > 1
    assert 0 < own_ms < seen["fast host: pause between two requests, median"] < 100
