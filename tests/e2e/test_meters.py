"""Memory beside the engine, in the rows of a real run."""

import csv
import sys

import pytest

from tests.e2e.room import Room

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="by /proc; by psutil elsewhere, not verified")


def test_rows_tell_what_the_engine_on_this_machine_took(room: Room) -> None:
    """The engine's memory and its source stand in every row; where nobody could measure energy there is none,
    and the row says so."""
    sim = room.simulator("box", "ollama", service_s=0.3, slots=2)
    room.fleet({"box": sim})
    room.papers(4)
    done = room.llmq("run", "papers", "-p", "Why?", "-o", "out/")
    assert done.returncode == 0, done.stderr
    with (room.folder / "out" / "requests.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        assert "proc" in row["mem_source"].split("+")
        assert 5 < float(row["mem_rss_mib_peak"]) < 500
        assert float(row["mem_system_used_mib_peak"]) > float(row["mem_rss_mib_peak"])
        assert float(row["mem_system_delta_mib"]) >= 0
        assert bool(row["energy_j"]) == bool(row["power_w_mean"]) == (row["energy_source"] != "none")
