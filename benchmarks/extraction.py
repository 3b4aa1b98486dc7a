"""What reading a folder of papers costs: kind, seconds and peak memory per file, and the totals.

    python benchmarks/extraction.py examples/papers
    python tests/hostile.py /tmp/hostile && python benchmarks/extraction.py --check /tmp/hostile

`--check` reads the expected kinds from the beginning of each name (`corrupt+crashed--name.pdf`) and
exits with 1 if one differs or a child held more memory than the limit and a tenth.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from tasks.intake import extract as reader
from tasks.intake.extract import extract, extract_all
from tasks.intake.papers import PaperFile, find_papers
from tasks.intake.pdf import MIB, Limits, Reading, read_pdf


@dataclass(frozen=True, slots=True)
class Row:
    """One file: its kind, and what reading it took. `peak_bytes` is 0 where it was not sampled."""

    name: str
    kind: str
    pages: int | None
    chars: int
    seconds: float
    peak_bytes: int


def main() -> int:
    options = parse()
    limits = Limits(
        memory_bytes=options.memory_mib * MIB, wall_s=options.wall_s, rlimit=not options.no_rlimit
    )
    files = find_papers(options.path).papers
    with peaks() as peak:
        rows = [measure(file, limits, peak) for file in files]
    for row in rows:
        print_row(row)
    print_totals(rows, files, limits)
    faults = [fault for row in rows for fault in check(row, limits)] if options.check else []
    print("\n".join(faults) if faults else "as expected" if options.check else "")
    return 1 if faults else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="compare kinds with the names")
    parser.add_argument("--memory-mib", type=int, default=Limits().memory_bytes // MIB)
    parser.add_argument("--wall-s", type=float, default=Limits().wall_s)
    parser.add_argument("--no-rlimit", action="store_true", help="only the watching parent holds the limit")
    return parser.parse_args()


@contextmanager
def peaks() -> Iterator[list[int]]:
    """The peak memory of every child that is read inside, as the parent sampled it."""
    seen: list[int] = []

    def spy(*arguments: object) -> Reading:
        reading = read_pdf(*arguments)  # type: ignore[arg-type]
        seen.append(reading.peak_bytes)
        return reading

    with patch.object(reader, "read_pdf", spy):
        yield seen


def measure(file: PaperFile, limits: Limits, peak: list[int]) -> Row:
    peak.clear()
    begin = time.perf_counter()
    paper = extract(file, limits)
    seconds = time.perf_counter() - begin
    return Row(file.name, paper.kind, paper.pages, paper.chars, seconds, sum(peak))


def print_row(row: Row) -> None:
    memory = f"{row.peak_bytes / MIB:.0f} MiB" if row.peak_bytes else "-"
    pages = row.pages or "-"
    print(f"{row.kind:11} {row.seconds:7.2f} s {memory:>9} {pages:>5} p {row.chars:>8} c  {row.name}")


def print_totals(rows: list[Row], files: tuple[PaperFile, ...], limits: Limits) -> None:
    """Sums, and the wall time of the same files on all cores."""
    begin = time.perf_counter()
    with closing(extract_all(files, limits=limits)) as papers:
        count = sum(1 for _ in papers)
    wall = time.perf_counter() - begin
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(row.kind for row in rows).most_common())
    alone = sum(row.seconds for row in rows)
    pages = sum(row.pages or 0 for row in rows)
    print(f"\n{count} files ({kinds}), {pages} pages, {sum(row.chars for row in rows):,} characters")
    print(f"one by one {alone:.2f} s, on {os.cpu_count()} cores {wall:.2f} s")


def check(row: Row, limits: Limits) -> Iterator[str]:
    expected = row.name.rpartition("/")[2].partition("--")[0].split("+")
    if row.kind not in expected:
        yield f"{row.name}: is {row.kind}"
    if row.peak_bytes > limits.memory_bytes * 1.1:
        yield f"{row.name}: held {row.peak_bytes / MIB:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
