"""A worker whose machine others keep busy: its rows say that their times may not be true."""

import sys
from pathlib import Path
from statistics import median

import psutil
import pytest

from tests.e2e.room import WORKER, Room
from tests.e2e.test_bench import cell_of, exact, requests_of
from tests.e2e.test_bench_interrupted import told_by
from worker_agent.corewait import turns

pytestmark = pytest.mark.skipif(turns() is None, reason="this system does not tell how long a thread waits")
WAITS = "it waits for a core or for itself"
# Computes while there is a file named `burn`, and ends with its parent, which becomes the worker.
BURN = """
import os, pathlib, time
parent = os.getppid()
while os.getppid() == parent:
    if pathlib.Path("burn").exists():
        sum(range(200_000))
    else:
        time.sleep(0.1)
"""


def test_others_that_burn_the_cores_are_seen(room: Room) -> None:
    """A process on every core computes, and goes before the worker: rows and table say that this waited for
    a core, though its own CPU is little. When they rest, the same worker says nothing of the kind."""
    room.fleet({"box": exact(room, "box")})
    (room.folder / "burn.py").write_text(BURN)
    # In one session: Linux shares the cores between sessions first, whoever is nice in them.
    burners = f"{sys.executable} burn.py & " * (psutil.cpu_count() or 1)
    room.up(
        "sh", "-c", f'{burners} exec nice -n 10 "$@"', "-", *WORKER, log="worker.log", **room.serving("box")
    )
    flag = Path(room.folder / "burn")
    flag.touch()
    args = ("--requests", "10", "--warmup", "0")
    told = told_by(room, *args, "-o", "burning")
    rows = requests_of(room, "burning")
    waits_ms = [float(row["cpu_wait_ms"]) for row in rows]
    assert median(waits_ms) > 1, waits_ms
    assert sum(row["client_saturated"] == "true" for row in rows) >= 8, waits_ms
    assert median(float(row["cpu_client_pct"]) for row in rows) < 40, "it is not our own CPU"
    assert any(WAITS in note for note in cell_of(told, host="box")["notes"])
    flag.unlink()
    told = told_by(room, *args, "-o", "quiet")
    rows = requests_of(room, "quiet")
    assert sum(row["client_saturated"] == "false" for row in rows) >= 8, rows
    assert not any(WAITS in note for note in cell_of(told, host="box")["notes"])
