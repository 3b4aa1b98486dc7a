"""What it costs to put work into Redis, beside Celery's own producer.

    python benchmarks/submit.py [--papers 20000]

Short papers x 5 prompts, for one model that nobody serves. Three rounds, each of: papers that are already
extracted (planned, their texts compressed, plan, ledger and invitations written); the same files from the
folder on (found, compared with earlier runs, read); and a tenth as many messages of the same content by
Celery's producer, which writes nothing else. Medians. "First" is the time until the first bundle may be
claimed. What Redis holds is its `used_memory` over the moment before, texts apart. Bounds: 20,000 items/s,
350 bytes an item, first work within 5 s of 100,000 papers.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from kombu import Exchange, Queue

from benchmarks.room import (
    Figure,
    parser,
    redis_cpu_s,
    room,
    say,
    text_bytes,
    used_bytes,
    write_papers,
)
from tasks.broker import running_url
from tasks.celery import app
from tasks.enqueue import label
from tasks.intake.extract import Paper, extract_all
from tasks.invite import TASK
from tasks.ledger import keys
from tasks.queues import queue_of
from tasks.request import asked
from tasks.session import Session, session
from tasks.settings import read_settings
from tasks.submit import submit
from tasks.work import PROTOCOL, Bundle

PROMPTS = 5
WORDS = 40
ROUNDS = 3
MODEL = "nobody-serves-this"
QUEUE = queue_of(MODEL)
FIRST_S, OF_PAPERS = 5.0, 100_000


@dataclass(frozen=True, slots=True)
class Submit:
    """One submit: its seconds, those until the first bundle was in the ledger, CPU seconds here and of Redis,
    and what Redis holds then, texts apart."""

    wall_s: float
    first_s: float
    own_cpu_s: float
    redis_cpu_s: float
    held_bytes: float


def main() -> int:
    options = _parse()
    with room() as folder, session(read_settings(), patient=True) as work:
        papers = write_papers(folder / "papers", options.papers, WORDS)
        extracted = list(extract_all(asked([papers]).files))
        gc.freeze()  # what is here before is not the submit's to look through
        rounds = [_round(work, papers, extracted) for _ in range(ROUNDS)]
    fed, read = ([one[at] for one in rounds] for at in (0, 1))
    figures = _figures(_median(fed), _median(read), median(one[2] for one in rounds), options.papers)
    title = f"submit: {options.papers} papers x {PROMPTS} prompts, medians of {ROUNDS}"
    return say(title, figures, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--papers", type=int, default=20_000)
    return options.parse_args()


def _round(work: Session, papers: Path, extracted: list[Paper]) -> tuple[Submit, Submit, float]:
    """Extracted papers, files, and messages a second by Celery."""

    def feed(files: Iterable[object]) -> Generator[Paper, None, None]:
        yield from extracted

    with patch("tasks.submit.extract_all", feed):
        fed = _submit(work, papers, whole=False)
    return fed, _submit(work, papers, whole=True), _celery(work, max(len(extracted) // 10, 1))


def _submit(work: Session, papers: Path, *, whole: bool) -> Submit:
    """`whole`: finding the files counts too."""
    work.client.flushdb()
    ask = asked([papers], presets=["research"], models=[MODEL])
    before_bytes, redis_s = used_bytes(work), redis_cpu_s(work)
    begun, begun_s, own_s = time.monotonic(), _redis_time_s(work), time.process_time()
    if whole:
        ask = asked([papers], presets=["research"], models=[MODEL])
    run_id = submit(work.ledger, work.texts, ask.manifest, ask.files).run_id
    wall_s, own_s = time.monotonic() - begun, time.process_time() - own_s
    first_ms = work.client.hget(f"{keys.bundle_prefix(run_id)}0", "added")
    assert work.client.llen(QUEUE) == len(ask.files)
    return Submit(
        wall_s,
        float(first_ms) / 1000 - begun_s,
        own_s,
        redis_cpu_s(work) - redis_s,
        used_bytes(work) - before_bytes - text_bytes(work),
    )


def _redis_time_s(work: Session) -> float:
    seconds, microseconds = work.client.time()
    return float(seconds + microseconds / 1e6)


def _celery(work: Session, bundles: int) -> float:
    """Messages a second: Celery writes as many invitations, one by one, over one connection."""
    work.client.flushdb()
    app.use(running_url(work.settings))
    queue = Queue(QUEUE, Exchange(""), routing_key=QUEUE)
    with app.producer_or_acquire() as producer:
        send = _sender(queue, producer)
        send(0)  # connects
        begun = time.monotonic()
        for number in range(bundles):
            send(number)
        wall_s = time.monotonic() - begun
    assert work.client.llen(QUEUE) == bundles + 1
    return bundles / wall_s


def _sender(queue: Queue, producer: object) -> Callable[[int], None]:
    def send(number: int) -> None:
        bundle = Bundle(f"paper-{number:04}.txt", None, MODEL, tuple(range(PROMPTS)))
        app.send_task(
            TASK,
            kwargs={"run": "0123456789", "bundle": number, "queue": QUEUE, "protocol": PROTOCOL},
            queue=queue,
            producer=producer,
            ignore_result=True,
            argsrepr=f"({label(bundle)})",
        )

    return send


def _median(submits: list[Submit]) -> Submit:
    return Submit(*(median(column) for column in zip(*map(astuple, submits), strict=True)))


def _figures(fed: Submit, read: Submit, celery_per_s: float, papers: int) -> list[Figure]:
    items = papers * PROMPTS
    fed_per_s = items / fed.wall_s
    return [
        Figure("submitted, papers extracted", fed_per_s, "items/s", least=20_000),
        Figure("... CPU of the command", 1000 * fed.own_cpu_s / items, "ms/item"),
        Figure("... CPU of Redis", 1000 * fed.redis_cpu_s / items, "ms/item"),
        Figure("... Redis, an item, beside its text", fed.held_bytes / items, "bytes", most=350),
        Figure("messages alone, by Celery's producer", celery_per_s * PROMPTS, "items/s"),
        Figure("... submitted / that", fed_per_s / (celery_per_s * PROMPTS), least=2),
        Figure("submitted, from files", items / read.wall_s, "items/s", least=10_000),
        Figure("... CPU of the command", 1000 * read.own_cpu_s / items, "ms/item"),
        Figure("... first work after", read.first_s, "s", most=FIRST_S * max(papers / OF_PAPERS, 0.2)),
    ]


if __name__ == "__main__":
    sys.exit(main())
