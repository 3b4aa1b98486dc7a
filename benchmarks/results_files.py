"""What it costs to write the results of a long run: `llmq results RUN -o FILE` as CSV and as JSONL; to tell
of it (`llmq report RUN`), and to file it (`llmq history add RUN`, as does who first sees its end).

    python benchmarks/results_files.py [--papers 20000] [--repeats 3] [--only files|told]

Papers x 5 prompts of eight hosts, with answers of about 1 kB, put into Redis by the ledger's own scripts (no
engine, no worker). Per format: seconds of the whole command from its start to its end, a median of the
repeats with the least and the most; its peak of memory over that of the same command on a tenth of the items.
A floor is measured beside it: the same keys read in the same pages by nobody who looks at them. Bounds: 15 s,
30 MB for JSONL. Of a report and of filing: seconds and peak of one go, 30 s and 1 GB.
"""

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from benchmarks.room import Figure, parser, room, say
from tasks.enqueue import enqueue
from tasks.intake.prompt_files import choose_prompts
from tasks.ledger import keys
from tasks.queues import queue_of
from tasks.result import Result
from tasks.session import Session, session
from tasks.settings import read_settings
from tasks.work import Bundle, Entry, Manifest, Params, item_id

PROMPTS = 5
HOSTS = 8
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 500
MB = 1e6
MODEL = "sim-8b"
TEXT = "The authors compare what they measured with a guess; Zürich's 3 \u201cquotes\u201d, \n- a list. " * 10
FIGURES = {
    "queue_wait_s": 12.345678,
    "started_at": "2026-01-01T00:00:00.000+00:00",
    "connect_ms": 0.312345,
    "ttft_ms": 312.3456789,
    "ttfo_ms": 312.3456789,
    "itl_ms": 25.1234567,
    "e2e_latency_s": 5.123456789,
    "stream_end_s": 5.2,
    "prompt_tokens": 4096,
    "cached_tokens": 3900,
    "completion_tokens": 200,
    "reasoning_tokens": None,
    "token_count_source": "server",
    "output_tps": 39.8034567,
    "e2e_output_tps": 38.123456,
    "context_length": 8192,
}


@dataclass(frozen=True, slots=True)
class Written:
    """One command: its seconds by the clock and on a core, its peak of memory, and how large its file is."""

    seconds: float
    cpu_s: float
    peak_bytes: int
    file_bytes: int


def main() -> int:
    options = _parse()
    with room() as folder, session(read_settings(), patient=True) as work:
        few, many = _finished(work, options.papers // 10), _finished(work, options.papers)
        figures = []
        for suffix in ("csv", "jsonl") if options.only != "told" else ():
            small = _written(few, folder / f"few.{suffix}")
            large = [_written(many, folder / f"many.{suffix}") for _ in range(options.repeats)]
            figures += _figures(suffix, small, large)
        if options.only != "files":
            page = folder / "page.html"
            figures += _told("report", _ran(page, "report", many, "-o", page))
            figures += _told("filing", _ran(folder, "history", "add", many))
        figures.append(Figure("floor: the same keys read, and not looked at", _read_s(work, many), "s"))
    title = f"results of {options.papers * PROMPTS} items, answers of {len(TEXT.encode())} bytes"
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--papers", type=int, default=20_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--only", choices=["files", "told"])
    return options.parse_args()


def _finished(work: Session, papers: int) -> str:
    """A run that is over: every bundle comes with its answers. Returns its id."""
    manifest = Manifest(
        f"{papers:05}-bench",
        choose_prompts(["research"], (), (), ()),
        (MODEL,),
        Params(),
        files=papers,
        llmq="1",
    )
    run_id = work.ledger.create(manifest, manifest.run_id, "bench", fresh=True)
    work.ledger.resume(run_id, "bench")
    for first in range(0, papers, PAGE):
        entries = [_entry(manifest, number) for number in range(first, min(first + PAGE, papers))]
        enqueue(work.ledger, run_id, "bench", first, first, entries)
    work.ledger.submitted(run_id, "bench")
    if not (status := work.runs.status(run_id)).ended:
        raise SystemExit(f"the run does not end: {status}")
    return run_id


def _entry(manifest: Manifest, number: int) -> Entry:
    every = tuple(range(len(manifest.prompts)))
    bundle = Bundle(f"paper-{number}.pdf", f"{number:064}", MODEL, every)
    return Entry(
        bundle, queue_of(MODEL), tuple((item, _result(manifest.run_id, number, item)) for item in every)
    )


def _result(run_id: str, number: int, item: int) -> Result:
    own_id, dice = item_id(run_id, number, item), random.Random(number * PROMPTS + item)
    sent = STARTED + timedelta(seconds=number / HOSTS * 5 + item)
    figures = FIGURES | {
        "started_at": sent.isoformat(timespec="microseconds"),
        "ttft_ms": round(dice.lognormvariate(6 - 2 * bool(item), 0.2), 3),
        "e2e_latency_s": round(dice.lognormvariate(1.6, 0.2), 6),
        "cached_tokens": 3900 if item else 0,
    }
    return Result(
        own_id, f"host-{number % HOSTS}", 1, answer=f"{own_id}: {TEXT}", engine="openai", engine_version="1",
        model=MODEL, finish_reason="stop", metrics=figures,
    )  # fmt: skip


def _written(run_id: str, path: Path) -> Written:
    return _ran(path, "results", run_id, "-o", path)


def _ran(path: Path, *args: str | Path) -> Written:
    """The command itself, in a process of its own; `path` is there afterwards."""
    llmq = Path(sys.executable).with_name("llmq")
    begun = time.monotonic()
    child = psutil.Popen([llmq, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Looked at now and then: the kernel's own peak begins with the size of who started the process.
    peak, cpu_s = 0, 0.0
    while child.poll() is None:
        with suppress(psutil.Error):
            peak = max(peak, child.memory_info().rss)
            cpu_s = sum(child.cpu_times()[:2])
        time.sleep(0.02)
    seconds = time.monotonic() - begun
    if child.returncode or not path.exists():
        raise SystemExit(f"`llmq {' '.join(map(str, args))}` failed")
    return Written(seconds, cpu_s, peak, path.stat().st_size)


def _figures(suffix: str, small: Written, large: Sequence[Written]) -> list[Figure]:
    seconds = [one.seconds for one in large]
    grown = max(one.peak_bytes for one in large) - small.peak_bytes
    return [
        Figure(f"{suffix}: the command, from start to end", median(seconds), "s", most=15),
        Figure(f"... least of {len(seconds)}", min(seconds), "s"),
        Figure(f"... most of {len(seconds)}", max(seconds), "s"),
        Figure("... on a core", median(one.cpu_s for one in large), "CPU s"),
        Figure("... peak, resident", max(one.peak_bytes for one in large) / MB, "MB"),
        Figure("... over that of a tenth of the items", grown / MB, "MB", most=30),
        Figure("... file", large[0].file_bytes / MB, "MB"),
    ]


def _told(what: str, one: Written) -> list[Figure]:
    return [
        Figure(f"{what}: the command, from start to end", one.seconds, "s", most=30),
        Figure("... on a core", one.cpu_s, "CPU s"),
        Figure("... peak, resident", one.peak_bytes / MB, "MB", most=1000),
    ]


def _read_s(work: Session, run_id: str) -> float:
    """What nobody can save: all results, in pages, out of Redis."""
    begun = time.monotonic()
    for page in _pages(work, run_id):
        work.client.mget(page)
    return time.monotonic() - begun


def _pages(work: Session, run_id: str) -> Iterator[list[str]]:
    """The keys of all results, those of a hundred bundles at a time."""
    count = work.client.llen(keys.plan(run_id))
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        yield [keys.result(item_id(run_id, number, item)) for number in numbers for item in range(PROMPTS)]


if __name__ == "__main__":
    sys.exit(main())
