"""The short form of `benchmarks/memory.py`: memory that grows with a run, and comes back."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_two_thousand_items_stay_within_their_bounds(needs_redis: str) -> None:
    """Redis holds so much an item, open and done, and after `rm` what it held before; neither the command
    that submits nor a worker keeps what it has dealt with."""
    command = [sys.executable, "benchmarks/memory.py", "--papers", "400", "--worker-papers", "120", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=180
    )
    assert done.stdout, done.stderr[-2000:]
    told = json.loads(done.stdout)
    figures = {figure["what"]: figure["value"] for figure in told["figures"]}
    assert told["missed"] == [], figures
    assert figures["Redis, finished run"] > 2, "it was a run that can be seen"
    assert figures["items without an answer"] == 0
