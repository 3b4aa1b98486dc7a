"""benchmark_results.csv: the measured answers under the column names of the exo-lab benchmark, which knew one
machine; the host stands behind them, and whether it is a simulated one."""

import csv
from collections.abc import Iterable
from typing import IO, Any

from tasks.report.table import to_cell

COLUMNS = (
    "model",
    "prompt",
    "latency",
    "memory_usage",
    "output_length",
    "tokens_per_second",
    "host",
    "simulated",
)
MEMORY = ("mem_model_mib", "mem_rss_mib_peak", "mem_system_delta_mib", "mem_system_used_mib_peak")


def write_exo_lab(rows: Iterable[dict[str, Any]], out: IO[str]) -> None:
    """One row a measured answer: latency in seconds to the last token, memory in MiB (empty where it is not
    known), the answer's length in characters, tokens a second after the first. Failures are no answers."""
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_cells(row) for row in rows if row["success"] and row.get("phase") == "measure")


def _cells(row: dict[str, Any]) -> list[Any]:
    memory = next((row[name] for name in MEMORY if row.get(name) is not None), None)
    answer = (row.get("response") or {}).get("response") or ""
    known = (row["model"], row["prompt_template"], row.get("e2e_latency_s"), memory, len(answer))
    return [
        to_cell(value)
        for value in (*known, row.get("output_tps"), row.get("host"), bool(row.get("simulated")))
    ]
