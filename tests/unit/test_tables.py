"""Columns and cells of the result tables."""

from tasks.measures import measures
from tasks.report.collect import Row
from tasks.report.table import COLUMNS, METRICS, to_cells, to_object
from tasks.work import Failure, Result
from worker_agent.completion import Completion, Counts, Timing

TIMING = Timing("2026-01-01T00:00:00+00:00", ttft_ms=100.0, itl_ms=20.0, e2e_s=1.0, stream_end_s=1.1)
COMPLETION = Completion("yes", "", "m", "stop", TIMING, Counts(100, 46, None, 80, "server"))


def row(result: Result | None) -> Row:
    return Row("r-0-0", "=cmd.pdf", "one", "one?", "m", result)


def test_every_measure_has_a_column() -> None:
    """What a worker measures is what the table shows, no more and no less."""
    assert tuple(measures([COMPLETION], 0.5, 4096)) == METRICS


def test_rates_follow_their_definitions() -> None:
    """output_tps leaves the first token out, e2e_output_tps does not; unknown is None."""
    figures = measures([COMPLETION], 0.5, None)
    assert figures["output_tps"] == 50.0
    assert figures["e2e_output_tps"] == 46.0
    assert figures["reasoning_tokens"] is None


def test_several_windows_sum_up() -> None:
    """Counts and times of all requests add up; what belongs to one request alone is unknown."""
    figures = measures([COMPLETION, COMPLETION], 0.5, None)
    assert (figures["prompt_tokens"], figures["e2e_latency_s"]) == (200, 2.0)
    assert figures["itl_ms"] is None


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
