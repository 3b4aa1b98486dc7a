"""From a person's request to bundles in Redis, streamed: work starts while papers are still being read."""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Event, Thread

from tasks.bench.asked import missing_hosts, newcomers
from tasks.bench.growth import growth
from tasks.bench.plan import Cells
from tasks.enqueue import Behind, enqueue
from tasks.errors import BrokerUnreachable, SubmissionStopped
from tasks.hosts import live_hosts
from tasks.intake.extract import Paper, extract_all
from tasks.intake.papers import PaperFile
from tasks.intake.plan import Planner
from tasks.ledger.ledger import Ledger
from tasks.result import Result
from tasks.reuse import Earlier
from tasks.runs import Runs
from tasks.sameness import Contents, shape
from tasks.texts import Texts
from tasks.work import Bundle, Entry, Manifest, unreadable

FLUSH_BUNDLES = 500
FLUSH_S = 0.2
FLUSH_CHARS = 4_000_000  # of texts, for they wait in memory
BUSY_S = 0.5
SUBMITTER = "submit"  # the host of results that no worker had to give


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit did. `continued`: the run was open already, and goes on; `reused`: answers that earlier
    runs had."""

    run_id: str
    continued: bool
    reused: int = 0


def submit(
    ledger: Ledger,
    texts: Texts,
    manifest: Manifest,
    files: tuple[PaperFile, ...],
    *,
    fresh: bool = False,
    on_file: Callable[[str], Result | None] | None = None,
    on_start: Callable[[Submitted], None] = lambda _: None,
    on_wait: Callable[[str], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Submitted:
    """Start a run, or go on with the open one that asks the same. Answers of earlier runs, and those that
    `on_file` has by their answer key, are taken over unless `fresh`. `on_start` hears the run's id before the
    papers are read, `on_wait` what this waits for; a sweep is planned as its cells end, or until `stopped`.
    Raises BrokerUnreachable, SubmissionStopped."""
    submitter = secrets.token_hex(8)
    runs = Runs(ledger)
    manifest = replace(manifest, files=len(files))
    same = shape(manifest, files)
    run_id = ledger.create(manifest, same, submitter, fresh=fresh)
    if run_id != manifest.run_id and not _same_papers(runs, run_id, files):
        run_id = ledger.create(manifest, same, submitter, fresh=True)
    started = Submitted(run_id, continued=run_id != manifest.run_id)
    on_start(started)
    hosts = ledger.patiently(lambda: live_hosts(ledger.redis))
    earlier = Earlier(ledger, runs.manifest(run_id), hosts, texts.ttl_s, on_file)
    while True:
        whose, files_done = ledger.resume(run_id, submitter)
        while whose == "busy":  # another command is at it; if that one dies, its lease ends
            on_wait(f"another command is submitting run {run_id}; this one waits for it")
            time.sleep(BUSY_S)
            whose, files_done = ledger.resume(run_id, submitter)
        if whose != "yours":
            return replace(started, reused=earlier.taken)
        try:
            submission = _Submission(ledger, texts, earlier, submitter, fresh=fresh)
            if manifest.bench:
                submission.measure(stopped)
            else:
                submission.stream(files, files_done)
        except Behind:
            on_wait("Redis came back without the last papers; reading them again")


def _same_papers(runs: Runs, run_id: str, files: tuple[PaperFile, ...]) -> bool:
    """Whether those that the run has read are what these files contain now."""
    done, contents = runs.papers(run_id)
    return done == 0 or Contents(files[:done]).digest == contents


class _Submission:
    """One command's go at putting a run's bundles into Redis."""

    def __init__(
        self, ledger: Ledger, texts: Texts, earlier: Earlier, submitter: str, *, fresh: bool
    ) -> None:
        self._ledger, self._texts = ledger, texts
        self._manifest = earlier.manifest
        self._run, self._submitter = earlier.manifest.run_id, submitter
        self._earlier = None if fresh else earlier
        self._planner = Planner(self._manifest)
        self._rows: list[tuple[Bundle, str]] = []
        self._unfiled: dict[str, str] = {}  # texts by paper
        self._chars = 0  # of these
        self._contents = Contents()
        self._first = 0
        self._flushed_at = -math.inf  # the first paper waits for no other

    def stream(self, files: tuple[PaperFile, ...], files_done: int) -> None:
        for _, bundle in Runs(self._ledger).bundles(self._run):
            self._planner.recall(bundle)
        self._first = self._planner.number
        if self._manifest.paperless:
            self._rows += [] if files_done else list(self._planner.prompts())
            self._flush(1)
        with self._renewed(), closing(extract_all(files[files_done:])) as papers:
            self._contents = Contents(files[:files_done])
            for count, paper in enumerate(papers, files_done + 1):
                self._contents.add(files[count - 1])
                self._take(paper)
                self._flush_if_due(count)
        self._flush(len(files) or 1)
        self._ledger.submitted(self._run, self._submitter)

    def measure(self, stopped: Callable[[], bool]) -> None:
        """The cells of a benchmark; what was answered before is asked again."""
        self._earlier = None
        runs = Runs(self._ledger)
        self._manifest = runs.manifest(self._run)  # it may have grown
        cells = Cells(self._manifest, [bundle for _, bundle in runs.bundles(self._run)])
        self._first = len(cells.planned)
        try:
            with self._renewed():
                self._put(cells.first())
                for bundles in growth(runs, self._run, cells, stopped, lambda: self._arrived(cells)):
                    self._put(bundles)
        except SubmissionStopped:
            if stopped():
                self._ledger.let_go(self._run, self._submitter)
            raise
        self._ledger.submitted(self._run, self._submitter)

    def _arrived(self, cells: Cells) -> list[Bundle] | None:
        """The cells of hosts that have come up; None where no host is missing."""
        if not missing_hosts(self._manifest):
            return None
        live = self._ledger.patiently(lambda: live_hosts(self._ledger.redis))
        if not (stages := newcomers(self._manifest, live)):
            return []
        wider = replace(self._manifest, stages=(*self._manifest.stages, *stages))
        if self._ledger.extend(wider, self._submitter) == "lost":
            raise SubmissionStopped(f"another command goes on submitting run {self._run}")
        self._manifest = wider
        return cells.widen(wider)

    def _put(self, bundles: list[Bundle]) -> None:
        self._rows += [(bundle, bundle.queue) for bundle in bundles]
        self._flush(1)

    @contextmanager
    def _renewed(self) -> Iterator[None]:
        """Within, the submission's lease lives on, however long one paper takes to read."""
        done = Event()

        def renew() -> None:
            while not done.wait(self._ledger.lease_ms / 3000):
                with suppress(BrokerUnreachable):
                    self._ledger.resume(self._run, self._submitter)

        Thread(target=renew, name="submission", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _take(self, paper: Paper) -> None:
        if paper.text is not None and not paper.error:
            self._unfiled[paper.id] = paper.text
            self._chars += paper.chars
        self._rows += self._planner.paper(paper)

    def _flush_if_due(self, files_done: int) -> None:
        full = len(self._rows) >= FLUSH_BUNDLES or self._chars >= FLUSH_CHARS
        if full or time.monotonic() - self._flushed_at > FLUSH_S:
            self._flush(files_done)

    def _flush(self, files_done: int) -> None:
        """Texts first: a worker may have a bundle the moment it is in the ledger."""
        rows, first, texts = self._rows, self._first, self._unfiled
        self._rows, self._first, self._flushed_at = [], first + len(self._rows), time.monotonic()
        self._unfiled, self._chars = {}, 0
        self._ledger.patiently(lambda: self._texts.put(texts))
        entries = self._known(first, rows)
        contents = self._contents.digest
        enqueue(self._ledger, self._run, self._submitter, files_done, first, entries, contents)
        if self._earlier:
            self._earlier.keep(entries)

    def _known(self, first: int, rows: list[tuple[Bundle, str]]) -> list[Entry]:
        """The rows with what needs no engine: papers that cannot be read, answers of earlier runs."""
        entries = self._earlier.entries(first, rows) if self._earlier else [Entry(*row) for row in rows]
        return [
            replace(entry, known=_unread(self._run, number, entry.bundle)) if entry.bundle.error else entry
            for number, entry in enumerate(entries, first)
        ]


def _unread(run_id: str, number: int, bundle: Bundle) -> tuple[tuple[int, Result], ...]:
    """A paper that cannot be read ends at once, whoever works."""
    items = range(len(bundle.prompts))
    return tuple((item, unreadable(run_id, number, item, bundle, SUBMITTER)) for item in items)
