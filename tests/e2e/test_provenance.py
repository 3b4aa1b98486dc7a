"""A row of results is enough to ask the same again: what was asked, of whom, and with what."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

from tasks.intake.extract import extract
from tasks.intake.papers import PaperFile
from tasks.intake.plan import LAYOUT
from tasks.intake.prompts import Prompt, layout
from tests.e2e.room import Room, Simulator
from worker_agent.completion import Request
from worker_agent.engines import ENGINES, Call


def ask_again(row: dict[str, Any], folder: Path, engine: Simulator) -> str:
    """The answer to the request as it stands in a row, and nowhere else."""
    paper = extract(PaperFile(folder / row["file"], row["file"]))
    assert hashlib.sha256((paper.text or "").encode()).hexdigest() == row["paper_id"]
    assert hashlib.sha256(row["prompt_template"].encode()).hexdigest() == row["prompt_sha256"]
    assert (row["layout"], row["windows"]) == (LAYOUT, 1)
    system, prompt = layout(Prompt(row["prompt_name"], row["prompt_template"]), paper.text, row["file"])
    request = Request(
        model=row["response"]["model"],
        prompt=prompt,
        system=system,
        max_tokens=row["params"]["max_tokens"],
        temperature=row["params"]["temperature"],
        seed=row["params"]["seed"],
        window=row["metrics"]["context_length"],
    )
    return ENGINES[row["engine"]](engine.url).complete(request, Call()).text


def test_a_row_alone_asks_the_very_request_again(room: Room) -> None:
    """Every row, on its own, rebuilds system and prompt text, parameters and model; the engine it names gives
    the same answer. With another seed it does not, so the answer says something."""
    sim = room.simulator("box", "ollama", service_s=0.01, slots=2)
    room.fleet({"box": sim})
    folder = room.papers(2)
    asked = ["-p", "Who wrote {filename}?", "-p", "Summarize: {content}", "--seed", "7", "--max-tokens", "60"]
    done = room.llmq("run", str(folder), *asked, "-o", "out.json", "-o", "out.csv")
    assert done.returncode == 0, done.stderr
    rows = json.loads((room.folder / "out.json").read_text())["results"]
    assert len(rows) == 4
    for row in rows:
        assert ask_again(row, folder, sim) == row["response"]["response"]
    other = rows[0] | {"params": rows[0]["params"] | {"seed": 8}}
    assert ask_again(other, folder, sim) != rows[0]["response"]["response"]
    with (room.folder / "out.csv").open(newline="") as file:
        flat = list(csv.DictReader(file))
    names = ("paper_id", "prompt_sha256", "host", "engine", "engine_version", "model_digest", "llmq_version")
    for row, cells in zip(rows, flat, strict=True):
        assert [cells[name] for name in names] == [row[name] or "" for name in names]
        assert (cells["seed"], cells["max_tokens"], cells["overflow"]) == ("7", "60", "split")
        assert float(cells["temperature"]) == row["params"]["temperature"] == 0.0
        assert row["host"] == "box"
        assert row["engine_version"]
        assert row["model_digest"]
        assert row["llmq_version"]


def test_attempts_that_failed_stand_in_every_format(room: Room) -> None:
    """Where and why, with the host of each attempt, in JSON and in CSV."""
    sim = room.simulator("box", "openai", service_s=0.01)
    room.fleet({"box": sim})
    room.papers(1)
    sim.fault("500", 1)
    done = room.llmq("run", "papers", "-p", "Why?", "-o", "out.json", "-o", "out.csv")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((room.folder / "out.json").read_text())["results"]
    assert (row["attempts"], [one[0] for one in row["failures"]]) == (2, ["box"])
    with (room.folder / "out.csv").open(newline="") as file:
        (cells,) = csv.DictReader(file)
    assert json.loads(cells["failures"]) == row["failures"]
