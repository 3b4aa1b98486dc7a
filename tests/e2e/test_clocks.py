"""Workers whose clocks disagree with that of Redis: readers of the rows are told, no time goes backwards."""

import json
import os
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.e2e.room import Room
from tests.fault.clocks import faketime, wrong_clock

OFF_S = {"ahead": 600.0, "behind": -600.0, "right": 0.0}


def test_clocks_that_disagree_are_named(room: Room) -> None:
    """One worker ten minutes ahead, one behind: their rows say by how much, ranking and report name both, and
    none of them takes 20 minutes for work of seconds."""
    library = faketime()
    if library is None:
        (pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip)("no libfaketime here")
    sims = {name: room.simulator(name, "openai", service_s=0.2, output_tokens=20) for name in OFF_S}
    room.fleet(dict(sims))
    sims["ahead"].fault("drop", 1)
    for name, off_s in OFF_S.items():
        room.worker(name, **(wrong_clock(library, round(off_s / 60)) if off_s else {}))
    room.papers(45)
    options = ("-p", "Why?", "--wait", "-o", "out.json", "-o", "out/")
    done = room.llmq("submit", "papers", *options, LLMQ_MAX_RETRIES="0")
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads((room.folder / "out.json").read_text())["results"]
    assert {row["host"] for row in rows} == set(OFF_S)
    for row in rows:
        metrics, host = row["metrics"], row["host"]
        assert metrics["clock_offset_s"] == pytest.approx(OFF_S[host], abs=0.5)
        assert metrics["queue_wait_s"] is None or metrics["queue_wait_s"] >= 0
        true = datetime.fromisoformat(metrics["started_at"]) - timedelta(seconds=metrics["clock_offset_s"])
        added = datetime.fromisoformat(metrics["enqueued_at"])
        assert -0.5 < (true - added).total_seconds() < 60
    for source in ("latest", "out.json", "out/"):
        ranked = told(room, "rank", source, "--per", "model", "--by", "rps")
        notes = [note for note in ranked["notes"] if "clock of" in note]
        assert len(notes) == 2, source
        assert notes[0].startswith("the clock of ahead is 10 min 0 s ahead of that of Redis")
        assert notes[1].startswith("the clock of behind is 10 min 0 s behind that of Redis")
        (entry,) = ranked["rankings"][0]["entries"]
        assert entry["value"] > 2, "not 45 in 20 minutes"
    told(room, "report", "latest", "-o", "page.html")
    page = (room.folder / "page.html").read_text()
    assert "the clock of ahead is 10 min 0 s ahead of that of Redis" in page
    assert "the clock of right" not in page


def told(room: Room, *args: str) -> Any:
    done = room.llmq(*args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
