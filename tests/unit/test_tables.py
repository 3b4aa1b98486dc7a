"""Columns and cells of the result tables."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.report.collect import Row
from tasks.report.columns import REQUEST
from tasks.report.table import COLUMNS, to_cells, to_object
from tasks.report.write import check_outputs, grows, in_folder, line, write_csv, write_requests_csv, writer
from tasks.result import Failure, Result


def row(result: Result | None) -> Row:
    return Row("r-0-0", "=cmd.pdf", "one", "one?", "m", result)


def test_no_cell_starts_a_formula() -> None:
    """A file name or an answer cannot make a spreadsheet calculate."""
    cells = dict(zip(COLUMNS, to_cells(row(Result("r-0-0", "a", 1, answer="+1"))), strict=True))
    assert cells["file"] == "'=cmd.pdf"
    assert cells["response"] == "'+1"
    assert cells["success"] == "true"


def test_a_failure_is_no_answer() -> None:
    """On failure `success` is false, `response` null, and the error has a type and a message."""
    failed = to_object(row(Result("r-0-0", "a", 4, error=Failure("a", "timeout", "silent for 600 s"))))
    assert (failed["success"], failed["response"]) == (False, None)
    assert failed["error"] == {"type": "timeout", "message": "silent for 600 s"}


HOSTILE = [
    "=cmd|' /C calc'!A0.txt",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\r\n=1",
    "\uff1d1",
    "\uff20x",
    'quo"te',
    "semi;colon",
    "a,b",
    "a\nfile,prompt_name,model\n=1",
    "a\r=1",
    'x","=1+1',
    "\x00nul",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "../../x.pdf",
    "\ud800 half",
    "\u202egpj",
    "",
]


def hostile_row(text: str) -> Row:
    """The text in every place that a stranger can fill."""
    failure = Failure(text, text, text)
    made = Result("r-0-0", text, 2, text, text, None, text, text, text, text, failures=(failure,))
    made = replace(made, finish_reason=text, reused_from=text, metrics={"started_at": text})
    return Row("r-0-0", text, text, text, text, made)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("failed", [True, False])
@pytest.mark.parametrize(("write", "columns"), [(write_csv, COLUMNS), (write_requests_csv, REQUEST)])
def test_a_hostile_text_stays_in_its_cell(write: Any, columns: Any, text: str, failed: bool) -> None:
    """As names, answers, messages and hosts: one row, the same columns, no formula, no controls."""
    one = hostile_row(text)
    if failed:
        error = Failure(text, text, text)
        one = replace(one, result=replace(one.result, answer=None, error=error))  # type: ignore[type-var]
    out = io.StringIO(newline="")
    write(None, [one, one], out)
    written = out.getvalue().encode().decode()  # as UTF-8, strictly
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", written)
    head, *rows = csv.reader(io.StringIO(written, newline=""), strict=True)
    assert [len(cells) for cells in (head, *rows)] == [len(columns)] * 3
    assert not [
        cell for cells in rows for cell in cells if re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]", cell)
    ]


def test_line_ends_in_a_cell_are_of_one_kind() -> None:
    """A reader that ends rows at a lone CR, or shows CRLF as two, sees one line end."""
    cells = dict(zip(COLUMNS, to_cells(hostile_row("a\r\nb\rc\nd")), strict=True))
    assert cells["response"] == "a\nb\nc\nd"


@pytest.mark.parametrize("text", HOSTILE)
def test_json_keeps_a_hostile_text_and_shows_none_of_its_commands(text: str) -> None:
    """To the letter for whoever parses it; printed, it is one line that commands no terminal."""
    one = hostile_row(text)
    written = line(one).encode().decode()
    assert json.loads(written)["response"]["response"] == text
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)


def test_every_column_is_explained() -> None:
    """docs/results.md and docs/metrics.md name each column of the CSV and each key of an entry."""
    docs = Path(__file__).parents[2] / "docs"
    told = (docs / "results.md").read_text() + (docs / "metrics.md").read_text()
    words: set[str] = {word for code in re.findall(r"`([^`]+)`", told) for word in re.findall(r"\w+", code)}
    entry: dict[str, Any] = to_object(hostile_row("x"))
    assert {*COLUMNS, *entry} - words == set()


def test_parquet_without_pyarrow_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In one line, before anything is asked or written, with what to install."""
    monkeypatch.setattr("tasks.report.parquet.find_spec", lambda name: None)
    with pytest.raises(InputError) as refused:
        check_outputs([tmp_path / "out.parquet"])
    assert "\n" not in str(refused.value)
    assert "llmq-fleet[parquet]" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_name_that_says_more_is_that() -> None:
    """requests.csv is one row a request, not the results; requests.jsonl does not grow as results land."""
    assert writer(Path("out/requests.csv")) is write_requests_csv
    assert writer(Path("out/results.csv")) is write_csv
    assert (grows(Path("out/requests.jsonl")), grows(Path("out/answers.jsonl"))) == (False, True)
    assert [path.name for path in in_folder(Path("out"))] == ["requests.csv", "requests.jsonl", "run.json"]
