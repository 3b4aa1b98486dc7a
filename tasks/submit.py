"""From a person's request to bundles in Redis, streamed: work starts while papers are still being read."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Event, Thread

from tasks.errors import BrokerUnreachable
from tasks.intake.extract import Paper, extract_all
from tasks.intake.papers import PaperFile, digest_bytes
from tasks.intake.plan import Planner
from tasks.invite import Invitation, invite
from tasks.ledger.ledger import Claim, Ledger
from tasks.runs import Runs
from tasks.texts import Texts
from tasks.work import PROTOCOL, Bundle, Manifest, digest, unreadable
from worker_agent.errors import LLMQError

FLUSH_BUNDLES = 500
FLUSH_S = 0.2
BUSY_S = 0.5
SUBMITTER = "submit"  # the host of results that no worker had to give


class SubmissionStopped(LLMQError):
    """The run was cancelled, or another command goes on submitting it."""

    kind = "stopped"


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit did. `continued`: the run was open already, and goes on."""

    run_id: str
    continued: bool


def fingerprint(manifest: Manifest, files: tuple[PaperFile, ...]) -> str:
    """What makes two submits the same: the same papers in the same order, asked the same."""
    named = any("{filename}" in prompt.template for prompt in manifest.prompts)
    papers = [(_digest_or_path(file), file.name if named else None) for file in files]
    templates = [prompt.template for prompt in manifest.prompts]
    return digest(PROTOCOL, papers, templates, manifest.models, repr(manifest.params))


def _digest_or_path(file: PaperFile) -> str:
    try:
        return digest_bytes(file.path)
    except OSError:  # it ends as a failed result of its own
        return f"unreadable {file.path}"


def submit(
    ledger: Ledger,
    texts: Texts,
    manifest: Manifest,
    files: tuple[PaperFile, ...],
    *,
    fresh: bool = False,
    on_start: Callable[[Submitted], None] = lambda _: None,
    on_paper: Callable[[int], None] = lambda _: None,
) -> Submitted:
    """Start a run, or go on with the open one that asks the same. `on_start` hears the run's id before
    the papers are read, `on_paper` how many have been. Raises BrokerUnreachable."""
    submitter = secrets.token_hex(8)
    same = fingerprint(manifest, files)
    run_id = ledger.create(replace(manifest, files=len(files)), same, submitter, fresh=fresh)
    started = Submitted(run_id, continued=run_id != manifest.run_id)
    on_start(started)
    whose, files_done = ledger.resume(run_id, submitter)
    while whose == "busy":  # another command is at it; if that one dies, its lease ends
        time.sleep(BUSY_S)
        whose, files_done = ledger.resume(run_id, submitter)
    if whose == "yours":
        _Submission(ledger, texts, Runs(ledger).manifest(run_id), submitter).stream(
            files, files_done, on_paper
        )
    return started


class _Submission:
    """One command's go at putting a run's bundles into Redis."""

    def __init__(self, ledger: Ledger, texts: Texts, manifest: Manifest, submitter: str) -> None:
        self._ledger, self._texts = ledger, texts
        self._run, self._submitter = manifest.run_id, submitter
        self._manifest = manifest
        self._planner = Planner(manifest)
        self._rows: list[tuple[Bundle, str]] = []
        self._first = 0
        self._flushed_at = time.monotonic()

    def stream(self, files: tuple[PaperFile, ...], files_done: int, on_paper: Callable[[int], None]) -> None:
        for _, bundle in Runs(self._ledger).bundles(self._run):
            self._planner.recall(bundle)
        self._first = self._planner.number
        if self._manifest.paperless:
            self._rows += [] if files_done else list(self._planner.prompts())
            self._flush(1)
        with self._renewed(), closing(extract_all(files[files_done:])) as papers:
            for count, paper in enumerate(papers, files_done + 1):
                self._take(paper)
                self._flush_if_due(count)
                on_paper(count)
        self._flush(len(files) or 1)
        self._ledger.submitted(self._run, self._submitter)

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
            text = paper.text
            self._ledger.patiently(lambda: self._texts.put(paper.id, text))
        self._rows += self._planner.paper(paper)

    def _flush_if_due(self, files_done: int) -> None:
        if len(self._rows) >= FLUSH_BUNDLES or time.monotonic() - self._flushed_at > FLUSH_S:
            self._flush(files_done)

    def _flush(self, files_done: int) -> None:
        rows, first = self._rows, self._first
        self._rows, self._first, self._flushed_at = [], first + len(self._rows), time.monotonic()
        answer = self._ledger.add(self._run, self._submitter, files_done, first, rows)
        if answer == "lost":
            raise SubmissionStopped(
                f"another command goes on submitting run {self._run}; `llmq watch` follows it"
            )
        if answer == "behind":
            raise SubmissionStopped(
                f"Redis came back without a part of run {self._run}; give the same command again"
            )
        if answer == "cancelled":
            raise SubmissionStopped(f"run {self._run} was cancelled while it was being submitted")
        for number, (bundle, _) in enumerate(rows, first):
            if bundle.error:
                self._fail(number, bundle)
        invitations = [
            Invitation(self._run, number, queue, label(bundle))
            for number, (bundle, queue) in enumerate(rows, first)
            if not bundle.error and not bundle.copies
        ]
        self._ledger.patiently(lambda: invite(self._ledger.redis, invitations))

    def _fail(self, number: int, bundle: Bundle) -> None:
        """A paper that cannot be read ends at once, whoever works."""
        claim = Claim(self._run, number, "", bundle, (), "", 0, 0, {})
        for item in range(len(bundle.prompts)):
            self._ledger.commit(claim, item, unreadable(self._run, number, item, bundle, SUBMITTER), None)


def label(bundle: Bundle) -> str:
    """What a person reads in Flower."""
    return f"{bundle.file or 'no paper'}: {len(bundle.prompts)} prompts, {bundle.model or 'any model'}"
