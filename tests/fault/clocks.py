"""Machines whose clocks are wrong."""

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from benchmarks.room import Figure
from tests.fault.kills import END_S
from tests.fault.scene import Scene

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
STAMP = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)


def faketime() -> Path | None:
    """The library that shows a process another time, where it is installed."""
    found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    return found[0] if found else None


def wrong_clock(library: Path, minutes: int) -> Mapping[str, str]:
    """What makes a worker's wall clock be that far off. Its monotonic clock stays true, as on a machine
    that was set wrong."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{minutes:+d}m",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def clocks(scene: Scene, *, papers: int, prompts: int) -> list[Figure]:
    """The workers of the scene disagree about the time; leases, waiting times and results do not care."""
    scene.submit(papers, prompts)
    scene.staff.start()
    scene.finish(END_S)
    waits = [row["metrics"]["queue_wait_s"] for row in scene.room.results(scene.run_id)]
    off = [_minutes_off(scene, host) for host in scene.sims]
    return [
        Figure("clock farthest ahead", max(off), "min", least=9),
        Figure("clock farthest behind", min(off), "min", most=-9),
        Figure("an item takes, in leases", scene.service_s / 10, least=1.0),
        Figure("calls for nothing", scene.calls("started") - scene.items, most=0),
        Figure("shortest queue wait", min(waits), "s", least=0),
        Figure("longest queue wait", max(waits), "s", most=300),
        *scene.outcome(most_twice=0.0),
    ]


def _minutes_off(scene: Scene, host: str) -> float:
    """By the last line of its log."""
    log = scene.room.folder / f"worker-{host}.log"
    said = STAMP.findall(log.read_text())[-1]
    written = datetime.fromtimestamp(os.stat(log).st_mtime)
    return (datetime.strptime(said, "%Y-%m-%d %H:%M:%S") - written).total_seconds() / 60
