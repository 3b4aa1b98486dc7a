"""What a run of 100,000 items takes, and that it gives it back: Redis, the command that submits, a worker.

    python benchmarks/memory.py [--papers 20000] [--worker-papers 3000]

Short papers x 5 prompts. `submit` runs in a process of its own, for a tenth of the papers and for all of
them, and tells its peak of resident memory. What Redis holds is its `used_memory`, over the moment before:
with the run open, per item (plan, ledger and invitation; the text apart); with it done, per item beside the
answer's own bytes and the papers' texts; and once the run is removed. Items are finished by processes that
claim and commit as a worker does, and ask no engine. Last, one real worker answers over HTTP and is looked
at after half of its work and at the end; before that it grows, for it keeps its commits of the last ten
seconds. Bounds: 400 bytes an open item, 2,500 a finished one, back within 2 % or 1 MB after `rm`; submitting
costs 250 bytes an item more (or 4 MB in all); a worker grows by 6 MB; none fails.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import (
    LONGEST_RUN_S,
    Figure,
    Machine,
    engines,
    parser,
    room,
    say,
    text_bytes,
    used_bytes,
    worker_process,
    working,
    write_papers,
)
from tasks.ledger.claim import new_token
from tasks.lifetime import remove
from tasks.measures import measures
from tasks.queues import queue_of
from tasks.request import asked
from tasks.result import Result
from tasks.reuse import kept
from tasks.session import Session, session
from tasks.settings import read_settings
from tasks.submit import submit
from tasks.work import item_id
from worker_agent.completion import Completion, Counts, Timing

PROMPTS = 5
WORDS = 40
FINISHERS = 2
TTL_S = 86400
MODEL = "nobody-serves-this"
ANSWER = "An answer of some length, as models give them. " * 8
TIMING = Timing("2026-01-01T00:00:00.000000+00:00", 0.31, 2.4, 212.123, 212.123, 20.5, 4.25, 4.31)
COMPLETION = Completion(ANSWER, "", MODEL, "stop", TIMING, Counts(1234, 98, None, 1100, "server"))
MB = 1e6


def main() -> int:
    options = _parse()
    if options.part:
        return _part(options.part, options.rest)
    with room() as folder:
        few = write_papers(folder / "few", max(options.papers // 10, 1), WORDS)
        many = write_papers(folder / "many", options.papers, WORDS)
        with session(read_settings(), patient=True) as work:
            figures = _run(work, few, many, options.papers * PROMPTS)
    with room() as folder, engines([Machine("null", 0.0, 4)], folder) as hosts, working(hosts) as (work, _):
        papers = write_papers(folder / "papers", options.worker_papers, WORDS)
        figures += _worker(work, papers, options.worker_papers * PROMPTS)
    title = (
        f"memory: {options.papers} papers x {PROMPTS} prompts; a worker with {options.worker_papers} papers"
    )
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--papers", type=int, default=20_000)
    options.add_argument("--worker-papers", type=int, default=3_000)
    options.add_argument("--part", choices=["submit", "finish"], help=argparse.SUPPRESS)
    options.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return options.parse_args()


def _run(work: Session, few: Path, many: Path, items: int) -> list[Figure]:
    small = _child("submit", few)
    work.ledger.cancel(small["run_id"])
    remove(work.runs, small["run_id"])
    start = used_bytes(work)
    large = _child("submit", many)
    run_id = large["run_id"]
    open_bytes = used_bytes(work) - start
    texts = text_bytes(work)
    begun = time.monotonic()
    _finish(run_id)
    finish_s = time.monotonic() - begun
    done_bytes = used_bytes(work) - start
    status = work.runs.status(run_id)
    begun = time.monotonic()
    remove(work.runs, run_id)
    remove_s = time.monotonic() - begun
    left = _settled_bytes(work, start) - start
    more_items = items - items // 10
    return [
        Figure("items without an answer", items - status.successful, most=0),
        Figure("Redis, open run", open_bytes / MB, "MB"),
        Figure("... an item, beside its text", (open_bytes - texts) / items, "bytes", most=400),
        Figure("... a text, compressed", texts / (items / PROMPTS), "bytes"),
        Figure("Redis, finished run", done_bytes / MB, "MB"),
        Figure(
            "... an item, beside answer and text",
            (done_bytes - texts) / items - len(ANSWER),
            "bytes",
            most=2500,
        ),
        Figure("Redis after rm, over the start", left / MB, "MB", most=max(1.0, 0.02 * start / MB)),
        Figure("submit, peak, a tenth of the papers", small["peak_bytes"] / MB, "MB"),
        Figure("submit, peak, all papers", large["peak_bytes"] / MB, "MB"),
        Figure(
            f"... for {more_items} items more",
            (large["peak_bytes"] - small["peak_bytes"]) / MB,
            "MB",
            most=max(4, more_items * 250 / MB),
        ),
        Figure("submitted", items / large["seconds"], "items/s"),
        Figure(f"claimed and committed by {FINISHERS} processes", items / finish_s, "items/s"),
        Figure("removed", items / remove_s, "items/s"),
    ]


def _settled_bytes(work: Session, start: int) -> int:
    """Redis frees large values and rewrites its file in the background: as it is within 20 s."""
    deadline = time.monotonic() + 20
    while (used := used_bytes(work)) > start + MB and time.monotonic() < deadline:
        time.sleep(0.5)
    return used


def _finish(run_id: str) -> None:
    children = [_start("finish", run_id, str(n)) for n in range(FINISHERS)]
    for child in children:
        _outcome(child)


def _child(part: str, *args: Path | str) -> dict[str, Any]:
    return _outcome(_start(part, *args))


def _start(part: str, *args: Path | str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--part", part, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _outcome(child: "subprocess.Popen[str]") -> dict[str, Any]:
    said, _ = child.communicate(timeout=LONGEST_RUN_S)
    if child.returncode:
        raise SystemExit(f"a part failed: {child.args}")
    return dict(json.loads(said))


def _part(part: str, args: Sequence[str]) -> int:
    with session(read_settings(), patient=True) as work:
        told = _submitted(work, Path(args[0])) if part == "submit" else _finished(work, *args)
    print(json.dumps(told))
    return 0


def _submitted(work: Session, papers: Path) -> dict[str, Any]:
    begun = time.monotonic()
    ask = asked([papers], presets=["research"], models=[MODEL])
    run_id = submit(work.ledger, work.texts, ask.manifest, ask.files).run_id
    return {"run_id": run_id, "peak_bytes": _peak_bytes(), "seconds": time.monotonic() - begun}


def _peak_bytes() -> int:
    """Of this process, resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _finished(work: Session, run_id: str, number: str) -> dict[str, Any]:
    """Take invitations, claim and commit until there are none, as a worker does."""
    queue, host, items = queue_of(MODEL), f"host-{number}", 0
    manifest = work.runs.manifest(run_id)
    figures = measures([COMPLETION], 12.345, 8192)
    while work.client.rpop(queue):
        claim = work.ledger.claim(run_id, queue, new_token(host), host, alone=True)
        for item in claim.items if claim else ():
            assert claim
            result = Result(
                item_id(run_id, claim.number, item),
                host,
                1,
                answer=ANSWER,
                engine="openai",
                engine_version="1.2.3",
                model=MODEL,
                finish_reason="stop",
                metrics=figures,
            )
            place = kept(manifest, claim.bundle, item, result, TTL_S)
            work.ledger.commit(claim, item, result, place)
            items += 1
    return {"items": items}


def _worker(work: Session, papers: Path, items: int) -> list[Figure]:
    """One worker's resident memory after half of the items, and after all."""
    ask = asked([papers], presets=["research"])
    run_id = submit(work.ledger, work.texts, ask.manifest, ask.files, fresh=True).run_id
    early = _resident_mb(work, run_id, items // 2)
    begun = time.monotonic()
    late = _resident_mb(work, run_id, items)
    rate = (items - items // 2) / (time.monotonic() - begun)
    return [
        Figure(f"worker after {items // 2} items", early, "MB"),
        Figure(f"... after {items}, more", late - early, "MB", most=6),
        Figure("... answered meanwhile", rate, "items/s"),
        Figure("... failed", work.runs.status(run_id).failed, most=0),
    ]


def _resident_mb(work: Session, run_id: str, finished: int) -> float:
    """Once that many items have ended."""
    deadline = time.monotonic() + LONGEST_RUN_S
    while work.runs.status(run_id).finished < finished:
        if time.monotonic() > deadline:
            raise SystemExit(f"no end within {LONGEST_RUN_S:.0f} s: {work.runs.status(run_id)}")
        time.sleep(0.1)
    return float(worker_process().memory_info().rss) / MB


if __name__ == "__main__":
    sys.exit(main())
