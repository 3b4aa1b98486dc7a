"""Files that went through another program, or were put together by hand: the same figures, or a note."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.compare import _samples
from tasks.report.columns import REQUEST
from tasks.report.gather import gather
from tasks.report.metric import METRICS
from tasks.report.rank import rankings
from tasks.report.read import read_file
from tasks.report.sample import Sample
from tasks.report.table import to_cell

MODEL = "@cf/meta/llama-3"  # as Cloudflare names its models; a spreadsheet would take it for a formula


def requests(run: str = "r", day: int = 1) -> list[dict[str, Any]]:
    """Twenty of 100 and twenty of 1,000 tokens, one every second."""
    return [
        {"run_id": run, "request_id": f"{run}-{n}-0", "item_id": f"{run}-{n}-0", "status": "ok", "host": "a"}
        | {"model": MODEL, "prompt_id": "p", "phase": "measure", "load_mode": "closed", "concurrency": 1}
        | {"target_prompt_tokens": 100 if n < 20 else 1000, "ttft_ms": 10.0 if n < 20 else 100.0}
        | {"started_at": f"2026-01-{day:02}T00:00:{n:02}+00:00", "stream_end_s": 1.0, "cut": False}
        | {"attempts": 2 if n == 0 else 1}
        for n in range(40)
    ]


def write(path: Path, rows: list[dict[str, Any]], change: Callable[[Any], Any] = to_cell) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as out:
        table = csv.DictWriter(out, sorted(REQUEST, reverse=True))  # the order is nobody's
        table.writeheader()
        table.writerows({name: change(row.get(name)) for name in REQUEST} for row in rows)
    return path


def measured(path: Path) -> list[Sample]:
    return gather(read_file(path)).samples


def as_pandas(value: Any) -> Any:
    """What `read_csv` and `to_csv` make of it, where the column has an empty cell."""
    return float(value) if type(value) is int else to_cell(value) if isinstance(value, str) else value


def as_excel(value: Any) -> Any:
    return str(value).upper() if isinstance(value, bool) else to_cell(value)


@pytest.mark.parametrize("change", [as_pandas, as_excel])
def test_a_table_that_another_program_saved_says_the_same(
    tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    """Whole numbers with a point, True for true: lengths stay apart, and tries are counted."""
    ours, theirs = (
        write(tmp_path / name, requests(), how) for name, how in (("a.csv", to_cell), ("b.csv", change))
    )
    assert [one.cell for one in measured(theirs)] == [one.cell for one in measured(ours)]
    assert [one.cell.length for one in measured(theirs)] == [100, 1000]
    assert "1 failed tries" in read_file(theirs).notes[0]


def test_a_name_that_starts_like_a_formula_is_read_as_it_was(tmp_path: Path) -> None:
    """CSV writes a mark before it, for spreadsheets; it is no part of the name."""
    path = write(tmp_path / "requests.csv", requests())
    assert f"'{MODEL}" in path.read_text()
    assert {one.cell.model for one in measured(path)} == {MODEL}


def test_what_stands_twice_counts_once(tmp_path: Path) -> None:
    """Two copies put into one file are no more sure than one, and the reader is told."""
    path = write(tmp_path / "requests.csv", requests() + requests())
    assert sum(len(one.requests) for one in measured(path)) == 40
    assert any("40 entries are of items that stand in it already" in note for note in read_file(path).notes)


def test_a_run_that_two_words_name_counts_once(tmp_path: Path) -> None:
    """`--run latest --run 3f9a`, where that is the latest."""
    first = write(tmp_path / "requests.csv", requests())
    second = tmp_path / "copy.csv"
    shutil.copy(first, second)
    found = {"one": read_file(first), "two": read_file(second)}
    samples = _samples("host:a", ("one", "two"), "host", "a", found)
    assert sum(len(one.requests) for one in samples) == 40


def test_the_days_between_two_runs_of_one_file_are_in_no_rate(tmp_path: Path) -> None:
    """Each run from its first request to its last answer, in one file as in two."""
    path = write(tmp_path / "requests.csv", requests("r1", day=1) + requests("r2", day=20))
    made = [entry for one in rankings(measured(path), METRICS["rps"]) for entry in one.entries]
    assert [entry.value for entry in made] == [pytest.approx(1.0)] * 2


def test_files_of_one_name_without_a_run_are_two(tmp_path: Path) -> None:
    """distributed-llm-mac writes a results.json each day; the second is ranked and filed, too."""
    for day in ("monday", "tuesday"):
        answer = {"success": True, "host": day, "ttft_ms": 5.0}
        (tmp_path / day).mkdir()
        (tmp_path / day / "results.json").write_text(json.dumps({"results": [answer]}))
    runs = [read_file(tmp_path / day / "results.json").run for day in ("monday", "tuesday")]
    assert runs[0] != runs[1]
    assert all(run.startswith("results-") for run in runs)
    assert read_file(tmp_path / "monday" / "results.json").run == runs[0], "the same file is the same run"
