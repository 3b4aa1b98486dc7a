"""The columns of a request: what is kept of a completion, what is computed, what the documents say."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.measures import measures, of_failure
from tasks.report.collect import Row
from tasks.report.columns import COMPUTED, METRICS, REQUEST, TYPES
from tasks.report.figures import figures, kept_of, request
from tasks.report.table import COLUMNS, HEAD, to_cells, to_object
from tasks.result import Failure, Result
from worker_agent.completion import BrokenOff, Completion, Counts, EngineReport, Timing
from worker_agent.errors import StreamDropped

TIMING = Timing(
    "2026-01-01T00:00:00.250000+00:00",
    0.3,
    90.0,
    100.0,
    101.0,
    20.0,
    1.0,
    1.1,
    50.0,
    30.0,
    23,
    0.004,
    12.34,
    0.05,
    0.15,
)
REPORT = EngineReport(0.0, 0.07, 0.9, 0.98, None, 51.1)
COMPLETION = Completion("yes", "", "m", "stop", TIMING, Counts(100, 46, None, 80, "server"), REPORT)
BENCH = [
    "load_mode",
    "concurrency",
    "target_rps",
    "target_prompt_tokens",
    "cache_bust",
    "scheduled_at",
    "dispatch_delay_s",
    "e2e_scheduled_latency_s",
]
CHAINS = ["pair_id", "parent"]
METER = [
    "mem_rss_mib_peak",
    "mem_system_used_mib_peak",
    "mem_system_delta_mib",
    "mem_model_mib",
    "vram_used_mib_peak",
    "power_w_mean",
    "energy_j",
    "energy_every_s",
    "throttled",
    "temp_c_max",
]


def row(result: Result | None) -> Row:
    return Row("r-0-0", "a.pdf", "one", "one?", "m", result, paper="p")


def answered(*completions: Completion, **more: Any) -> Result:
    metrics = {"enqueued_ms": 1767225600123, "worker": "box@shelf", "clock_offset_s": 0.002}
    metrics |= measures(completions, 0.5, 4096)
    return Result("r-0-0", "box", 1, "yes", metrics=metrics, windows=len(completions), **more)


def shown(*completions: Completion, **more: Any) -> dict[str, Any]:
    return request(row(answered(*completions, **more)))


def test_an_ordinary_answer_has_every_figure() -> None:
    """All columns are known but those of benchmarks and meters, and those that this engine does not tell."""
    told = shown(COMPLETION, engine="llama_cpp", engine_version="b1", model_digest="d", finish_reason="stop")
    silent = {
        "reasoning_tokens", "server_prefill_tps", "quantization", "error_type", "reused_from", "seed",
        "time_scale",
    }  # fmt: skip
    assert {name for name, value in told.items() if value is None} == {
        *BENCH, *CHAINS, *METER, *silent, "base_url",
    }  # fmt: skip
    assert (told["phase"], told["mem_source"], told["energy_source"]) == ("measure", "none", "none")
    assert (told["status"], told["http_status"], told["request_id"]) == ("ok", 200, "r-0-0")


def test_moments_are_one_wall_stamp_and_what_passed_since() -> None:
    """To the microsecond, whatever second they fall in."""
    told = shown(COMPLETION)
    assert told["started_at"] == "2026-01-01T00:00:00.250000+00:00"
    assert told["first_token_at"] == "2026-01-01T00:00:00.350000+00:00"
    assert told["last_token_at"] == "2026-01-01T00:00:01.250000+00:00"
    assert told["finished_at"] == "2026-01-01T00:00:01.350000+00:00"
    assert told["enqueued_at"] == "2026-01-01T00:00:00.123+00:00"


def test_rates_follow_their_definitions() -> None:
    """output_tps leaves the first token out, e2e_output_tps does not; without a count there is neither."""
    told = shown(COMPLETION)
    assert (told["output_tps"], told["e2e_output_tps"], told["server_decode_tps"]) == (50.0, 46.0, 51.1)
    silent = replace(COMPLETION, counts=Counts(), timing=replace(TIMING, itl_ms=None))
    told = shown(silent)
    assert (told["output_tps"], told["e2e_output_tps"], told["itl_ms"]) == (None, None, None)
    assert told["token_count_source"] == "none"


def test_several_windows_sum_up() -> None:
    """Counts and times of all requests add up, the last one ends the answer, and what belongs to one request
    alone is unknown."""
    later = replace(COMPLETION, timing=replace(TIMING, started_at="2026-01-01T00:00:05.000000+00:00"))
    told = shown(COMPLETION, later)
    assert (told["prompt_tokens"], told["e2e_latency_s"], told["chunk_count"]) == (200, 2.0, 46)
    assert (told["network_s"], told["server_total_s"]) == (0.008, 1.96)
    assert told["first_token_at"] == "2026-01-01T00:00:00.350000+00:00"
    assert told["last_token_at"] == "2026-01-01T00:00:06.000000+00:00"
    assert told["finished_at"] == "2026-01-01T00:00:06.100000+00:00"
    alone = ("itl_ms", "ttfo_ms", "max_chunk_gap_ms", "output_tps", "server_decode_tps")
    assert [told[name] for name in alone] == [None] * len(alone)


@pytest.mark.parametrize(
    ("cpu_pct", "wait_ms", "woke_ms", "saturated"),
    [
        (79.9, None, None, False),
        (80.0, None, None, True),
        (None, None, None, None),
        (5.0, 0.1, 0.2, False),
        (5.0, None, 1.0, True),
        (5.0, 3.0, 0.9, True),
        (5.0, 1.0, None, True),
        (90.0, 0.1, 0.2, True),
    ],
)
def test_a_client_whose_times_may_be_its_own_says_so(
    cpu_pct: float | None, wait_ms: float | None, woke_ms: float | None, saturated: bool | None
) -> None:
    """From 80 % of a core on, or where it wakes a millisecond late, or waits that long for a core."""
    timing = replace(TIMING, cpu_client_pct=cpu_pct, cpu_wait_ms=wait_ms, wakeup_latency_ms=woke_ms)
    one = replace(COMPLETION, timing=timing)
    assert shown(one)["client_saturated"] is saturated


@pytest.mark.parametrize(
    ("error", "host", "status"),
    [("timeout", "box", "timeout"), ("timeout", "", "error"), ("cancelled", "", "cancelled"),
     ("bad_reply", "box", "error")],
)  # fmt: skip
def test_a_failed_row_says_how_it_ended(error: str, host: str, status: str) -> None:
    """A paper that took too long to read is an error, not an engine's timeout."""
    failed = Result("r-0-0", host, 4, error=Failure(host, error, "why"), metrics={"http_status": 500})
    told = request(row(failed))
    assert (told["status"], told["error_type"], told["attempts"]) == (status, error, 4)
    assert (told["http_status"], told["ttft_ms"], told["started_at"]) == (500, None, None)


def test_a_request_that_broke_off_has_the_stamps_it_came_to() -> None:
    """When it was sent, the tokens that came, when it was given up; a latency it has not."""
    error = StreamDropped("gone")
    error.http_status = 200
    error.broken_off = BrokenOff("2026-01-01T00:00:00.250000+00:00", 0.3, 2.5, 0.1, 1.0, 7)
    failed = Result("r-0-0", "box", 4, error=Failure("box", error.kind, "why"), metrics=of_failure(error))
    told = request(row(failed))
    assert told["started_at"] == "2026-01-01T00:00:00.250000+00:00"
    assert told["first_token_at"] == "2026-01-01T00:00:00.350000+00:00"
    assert told["last_token_at"] == "2026-01-01T00:00:01.250000+00:00"
    assert told["finished_at"] == "2026-01-01T00:00:02.750000+00:00"
    assert (told["ttft_ms"], told["connect_ms"], told["chunk_count"]) == (100.0, 0.3, 7)
    assert (told["http_status"], told["e2e_latency_s"], told["stream_end_s"]) == (200, None, None)
    silent = replace(error.broken_off, first_s=None, last_s=None, chunk_count=0)
    error.broken_off = silent
    told = request(row(replace(failed, metrics=of_failure(error))))
    assert (told["started_at"], told["first_token_at"]) == ("2026-01-01T00:00:00.250000+00:00", None)
    assert (told["finished_at"], told["chunk_count"]) == ("2026-01-01T00:00:02.750000+00:00", None)


def test_a_row_without_a_result_names_what_is_asked() -> None:
    """And no outcome."""
    told = request(row(None))
    assert (told["run_id"], told["model"], told["prompt_id"]) == ("r", "m", "one")
    assert (told["status"], told["host"], told["http_status"]) == (None, None, None)


def test_a_reused_answer_names_the_request_that_was_made() -> None:
    """Its own run, the other's request."""
    told = shown(COMPLETION, reused_from="old-3-1")
    assert (told["run_id"], told["request_id"]) == ("r", "old-3-1")


def test_what_is_kept_is_little() -> None:
    """A run has 100,000 of these: nothing unknown, nothing that can be computed, no noise."""
    kept = answered(COMPLETION).metrics
    assert None not in kept.values()
    assert COMPUTED & kept.keys() == set()
    noisy = replace(TIMING, ttft_ms=100.12345678901, cpu_client_pct=12.345678901, e2e_s=1.2345678901)
    kept = answered(replace(COMPLETION, timing=noisy)).metrics
    assert (kept["ttft_ms"], kept["cpu_client_pct"], kept["e2e_latency_s"]) == (100.123, 12.3, 1.234568)
    assert len(json.dumps(kept)) < 700


def test_a_result_read_back_from_a_file_keeps_what_it_had() -> None:
    """And nothing that belongs to the run it came from."""
    written = to_object(row(answered(COMPLETION)))["metrics"]
    read = kept_of(json.loads(json.dumps(written)))
    assert COMPUTED & read.keys() == set()
    again = figures(replace(row(None), item_id="new-7-0"), Result("new-7-0", "box", 1, "yes", metrics=read))
    differ = {name for name in METRICS if again[name] != written[name]}
    assert differ == {"run_id", "request_id"}
    assert again["run_id"] == "new"


def test_columns_keep_their_place() -> None:
    """Those of the contract first, then what there has always been; new ones come at the end."""
    assert COLUMNS[: len(HEAD)] == (
        "file", "prompt_name", "model", "host", "success", "response", "error_type", "error_message",
    )  # fmt: skip
    assert COLUMNS.index("answer_key") + 1 == COLUMNS.index("queue_wait_s")
    assert COLUMNS[COLUMNS.index("queue_wait_s") + 19] == "context_length"
    assert len(COLUMNS) == len(set(COLUMNS))
    assert REQUEST[:3] == ("schema_version", "run_id", "request_id")
    assert set(REQUEST) - set(COLUMNS) == set()
    assert len(to_cells(row(answered(COMPLETION)))) == len(COLUMNS)


def test_values_are_of_their_columns_type() -> None:
    """What Parquet is told is what there is."""
    for name, value in shown(COMPLETION).items():
        assert value is None or isinstance(value, (int, float) if TYPES[name] is float else TYPES[name]), name


def documented() -> dict[str, list[str]]:
    """Column -> unit, source, meaning, as docs/metrics.md has them, in its order."""
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|(.*)\|$", text, re.MULTILINE)
    assert len(rows) == len({name for name, *_ in rows}), "no column is told twice"
    return {name: [cell.strip() for cell in cells] for name, *cells in rows}


def test_every_column_is_defined() -> None:
    """docs/metrics.md has each column of a request and no other, with unit, source and meaning."""
    told = documented()
    assert told.keys() == set(REQUEST)
    sources = {"worker", "engine", "run", "Redis", "report", "bench", "meter"}
    for name, (unit, source, meaning) in told.items():
        assert meaning, name
        assert name == "base_url" or (unit and source in sources), name
    assert {name for name, (_, source, _) in told.items() if source == "report"} <= set(METRICS)
    assert [name for name, (_, source, _) in told.items() if source == "bench"] == [
        name for name in told if name in {*BENCH, "phase"}
    ]
    assert {name for name, (_, source, _) in told.items() if source == "meter"} == {
        *METER, "mem_source", "energy_source",
    }  # fmt: skip


def test_units_stand_in_names_as_in_the_documents() -> None:
    """`_s` is seconds, `_ms` milliseconds, `_tps` tokens per second, everywhere."""
    units = {"_s": "s", "_ms": "ms", "_tps": "tokens/s", "_pct": "%", "_at": "moment", "_tokens": "tokens"}
    for name, (unit, *_) in documented().items():
        for end, said in units.items():
            assert not name.endswith(end) or unit == said, name
