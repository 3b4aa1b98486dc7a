"""What a benchmark's own cells say against their figures: in JSON, in cells.csv and on the page."""

import csv
import html
import json

from tests.e2e.room import Room

QUESTIONS = [part for number in range(31) for part in ("-p", f"Why {number}?")]
HOT = " (tokens): it may have got hot"
TAIL = "30 requests at 16 at a time: much of it is its start and end; 64 would measure it"
LEFT = "30 requests for 31 prompts: "


def test_heat_a_load_not_reached_and_a_prompt_not_asked_are_named(room: Room) -> None:
    """A machine that slows down to half its speed within the first cell, 30 requests for 16 at a time, and a
    31st prompt: each stands beside its cell."""
    sim = room.simulator(
        "box", "openai", service_s=None, ttft_s=0.02, decode_tps=200.0, output_tokens=16, output_spread=0.0,
        throttle=2.0, throttle_after_s=1.5, throttle_over_s=1.0,
    )  # fmt: skip
    room.fleet({"box": sim})
    args = ("--fleet", "fleet.toml", "--concurrency", "1,16", *QUESTIONS, "--requests", "30", "--json")
    done = room.llmq("bench", *args, "-o", "out")
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    one, many = ("; ".join(cell["notes"]) for cell in cells)
    assert HOT in one
    assert TAIL not in one
    assert TAIL in many
    assert LEFT in one
    assert LEFT in many
    assert all(cell["simulated"] for cell in cells)
    with (room.folder / "out" / "cells.csv").open() as file:
        assert [row["notes"] for row in csv.DictReader(file)] == [one, many]
    page = html.unescape((room.folder / "out" / "report.html").read_text())
    assert all(note in page for cell in cells for note in cell["notes"])
