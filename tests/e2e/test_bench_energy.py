"""The energy of a benchmark's requests, on a machine whose power is known."""

import csv
import json
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from tests.e2e.room import Room

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there the counter's clock is the worker's")

IDLE_W, BUSY_W, HALF_S = 40.0, 100.0, 6.0
# Stands in for NVIDIA's library, which a worker imports where it is there: one GPU that no process of the
# engine is on, and whose counter is that of a board with 40 W for six seconds, then 100 W for six.
PYNVML = f"""
import time
from types import SimpleNamespace
class NVMLError(Exception):
    pass
def nvmlInit():
    pass
def nvmlDeviceGetCount():
    return 1
def nvmlDeviceGetHandleByIndex(index):
    return index
def nvmlDeviceGetTotalEnergyConsumption(gpu):
    whole, rest = divmod(time.time(), {2 * HALF_S})
    low, high = min(rest, {HALF_S}), max(0.0, rest - {HALF_S})
    joules = whole % 1e5 * {HALF_S * (IDLE_W + BUSY_W)} + {IDLE_W} * low + {BUSY_W} * high
    return int(joules * 1000)
def nvmlDeviceGetMemoryInfo(gpu):
    return SimpleNamespace(total=24 << 30, used=1 << 30)
def nvmlDeviceGetComputeRunningProcesses(gpu):
    return []
nvmlDeviceGetGraphicsRunningProcesses = nvmlDeviceGetComputeRunningProcesses
"""


def counter_j(at_s: float) -> float:
    """What the board has counted at a moment since 1970."""
    whole, rest = divmod(at_s, 2 * HALF_S)
    return (
        whole % 1e5 * HALF_S * (IDLE_W + BUSY_W)
        + IDLE_W * min(rest, HALF_S)
        + BUSY_W * max(0.0, rest - HALF_S)
    )


def span(row: dict[str, str]) -> tuple[float, float]:
    """From when the connection was opened to the end mark."""
    sent = datetime.fromisoformat(row["started_at"])
    begun = sent - timedelta(milliseconds=float(row["connect_ms"]))
    return begun.timestamp(), datetime.fromisoformat(row["finished_at"]).timestamp()


def true_parts(rows: list[dict[str, str]]) -> list[float]:
    """At each moment the board's power, divided by how many ran then."""
    spans = [span(row) for row in rows]
    instants = sorted({at for both in spans for at in both})
    parts = [0.0] * len(rows)
    for begin, end in pairwise(instants):
        running = [number for number, (first, last) in enumerate(spans) if first <= begin and end <= last]
        for number in running:
            parts[number] += (counter_j(end) - counter_j(begin)) / len(running)
    return parts


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "requests.csv").open() as file:
        return list(csv.DictReader(file))


def metered(room: Room, **ttft_s: float) -> None:
    """A fleet of hosts on a machine with that board; an answer takes 0.2 s after its first token."""
    stand_in = room.folder / "stand-in"
    stand_in.mkdir()
    (stand_in / "pynvml.py").write_text(PYNVML)
    room.environ["PYTHONPATH"] = str(stand_in)
    profile = {"service_s": None, "decode_tps": 100.0, "output_tokens": 20, "output_spread": 0.0, "slots": 4}
    room.fleet({name: room.simulator(name, "openai", ttft_s=s, **profile) for name, s in ttft_s.items()})


def test_every_request_has_its_part_and_energy_is_ranked(room: Room) -> None:
    """One and four at a time: all parts together are the board's joules while any ran, warm-ups included, and
    each is near its own; `rank`, `compare`, summary.csv and the report tell of it, and who shared too few
    readings has no rank."""
    times = {"few": 0.35, "many": 0.6}
    metered(room, **times)
    done = room.llmq(
        "bench", "--fleet", "fleet.toml", "--concurrency", "1,4", "--requests", "30", "-o", "out"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = rows_of(room.folder / "out")
    assert {row["energy_source"] for row in rows} == {"nvml_all"}
    for host in times:
        for many in ("1", "4"):
            cell = [row for row in rows if (row["host"], row["concurrency"]) == (host, many)]
            assert {row["phase"] for row in cell} == {
                "cold" if many == "1" else "warmup",
                "warmup",
                "measure",
            }
            told = [float(row["energy_j"]) for row in cell]
            true = true_parts(cell)
            assert sum(told) == pytest.approx(sum(true), rel=0.03)
            long = float(cell[-1]["stream_end_s"]) * (BUSY_W - IDLE_W) / int(many)
            assert told == pytest.approx(true, abs=long), "wrong at most by the step between two readings"
            off = [abs(one - other) / other for one, other in zip(told, true, strict=True)]
            assert median(off) < 0.15
            powers = [float(row["power_w_mean"]) for row in cell]
            assert all(IDLE_W - 1 <= power <= BUSY_W + 1 for power in powers)
            if many == "1":  # the other cell may be shorter than the board keeps its power
                assert max(powers) - min(powers) > (BUSY_W - IDLE_W) / 2, "not one figure for all"
            assert 0.2 < median(float(row["energy_every_s"]) for row in cell[4:]) < 2
            assert len({row["mem_system_used_mib_peak"] for row in cell[4:]}) == 1, "one reading"

    ranked = room.llmq("rank", "out", "--by", "energy", "--json")
    assert ranked.returncode == 0, ranked.stderr
    alone, four = [one for one in json.loads(ranked.stdout)["rankings"] if one["metric"] == "energy_j"]
    assert alone["apart"] == "nvml_all"
    assert all(one["rank"] and one["ci_low"] <= one["value"] <= one["ci_high"] for one in alone["entries"])
    assert all(10 <= one["effective_n"] < one["n"] == 30 for one in alone["entries"])
    assert [one["rank"] for one in four["entries"]] == [None, None]
    assert "of 10 that a rank needs" in four["entries"][0]["reason"]

    with (room.folder / "out" / "summary.csv").open() as file:
        known = {row["metric"] for row in csv.DictReader(file)}
    assert {"energy_j", "energy_j_per_token"} <= known
    compared = room.llmq("compare", "out/host:few", "out/host:many", "--by", "energy")
    assert compared.returncode == 0, compared.stderr
    assert "energy a request, nvml_all, 1 at a time: " in compared.stdout
    assert "n = 30 and 30" in compared.stdout
    assert "energy a request, nvml_all, 4 at a time: few and many cannot be compared: " in compared.stdout
    page = (room.folder / "out" / "report.html").read_text()
    assert "energy a request" in page
    assert "energy a token" in page


def test_requests_too_short_to_tell_have_no_energy(room: Room) -> None:
    """A request of 40 ms a second on an idle machine: what is read of a second is the idle machine's, so
    there is no figure, no zero, and a note. The warm-up, without pauses, has its energy; memory is known."""
    metered(room, idle=0.02)
    args = ("--rate", "1", "--requests", "6", "--max-tokens", "3", "--warmup", "160", "--json", "-o", "out")
    done = room.llmq("bench", "--fleet", "fleet.toml", *args)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = [row for row in rows_of(room.folder / "out") if row["phase"] == "measure"]
    assert {(row["energy_j"], row["power_w_mean"], row["energy_source"]) for row in measured} == {
        ("", "", "none")
    }
    assert all(row["mem_system_used_mib_peak"] for row in measured)
    notes = json.loads(done.stdout)["cells"][0]["notes"]
    assert "6 requests whose energy is not known: too short for their meter, or it broke" in notes
