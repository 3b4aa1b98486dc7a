"""A worker whose machine others keep busy: its rows say that their times may not be true."""

import sys
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from tests.e2e.room import WORKER, Room
from tests.e2e.test_bench import cell_of, exact, requests_of
from tests.e2e.test_bench_interrupted import told_by
from tests.nearest import nearest
from worker_agent.corewait import turns

pytestmark = pytest.mark.skipif(turns() is None, reason="this system does not tell how long a thread waits")
WAITS = "it waits for a core or for itself"
SEVERAL = 4  # attempts
Seen = tuple[dict[str, Any], list[dict[str, str]]]
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
    """Two processes for every core compute, and go before the worker: rows and table say that this waited for
    a core, though its own CPU is little. When they rest, the same worker says nothing of the kind."""
    room.fleet({"box": exact(room, "box")})
    (room.folder / "burn.py").write_text(BURN)
    # In one session: Linux shares the cores between sessions first, whoever is nice in them.
    burners = f"{sys.executable} burn.py & " * 2 * (psutil.cpu_count() or 1)
    room.up(
        "sh", "-c", f'{burners} exec nice -n 10 "$@"', "-", *WORKER, log="worker.log", **room.serving("box")
    )
    flag = Path(room.folder / "burn")
    flag.touch()

    def measured(name: str) -> Seen:
        told = told_by(room, "--requests", "10", "--warmup", "0", "-o", name)
        return told, requests_of(room, name)

    told, rows = nearest(lambda: measured("burning"), lambda seen: 8 - saying(seen[1], "true"), most=SEVERAL)
    waits_ms = [float(row["cpu_wait_ms"]) for row in rows]
    assert median(waits_ms) > 1, waits_ms
    assert saying(rows, "true") >= 8, waits_ms
    assert median(float(row["cpu_client_pct"]) for row in rows) < 40, "it is not our own CPU"
    assert any(WAITS in note for note in cell_of(told, host="box")["notes"])
    flag.unlink()
    # Others than ours may burn for a while, too.
    told, rows = nearest(lambda: measured("quiet"), lambda seen: 8 - saying(seen[1], "false"), most=SEVERAL)
    assert saying(rows, "false") >= 8, rows
    assert not any(WAITS in note for note in cell_of(told, host="box")["notes"])


def saying(rows: list[dict[str, str]], word: str) -> int:
    """How many say so of whether their times may not be true."""
    return sum(row["client_saturated"] == word for row in rows)
