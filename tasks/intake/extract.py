"""From a file to a Paper: its text, or the reason why there is none. A failure is a value here; one
bad file never ends a run."""

import hashlib
import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import BinaryIO

from tasks.errors import EmptyPaper, NoText, PaperError, TooBig, Unreadable
from tasks.intake.clean import clean, visible
from tasks.intake.papers import PaperFile, digest_open, open_regular
from tasks.intake.pdf import MIB, Limits, read_pdf
from tasks.intake.text_file import HEAD_BYTES, check_head, decode

CHARS_PER_PAGE = 50  # fewer, and a PDF is a scan
_UTF8_BYTES = 4  # the most a character takes


@dataclass(frozen=True, slots=True)
class Paper:
    """One input document. `id`: sha256 of its text, or of the file's bytes where there is none.
    Exactly one of `text` and `error` is None. `pages`: None for text files, and where unknown."""

    id: str
    name: str
    text: str | None = None
    error: PaperError | None = None
    pages: int | None = None

    @property
    def kind(self) -> str:
        """`text`, or the kind of its error."""
        return self.error.kind if self.error else "text"

    @property
    def chars(self) -> int:
        return len(self.text or "")


def extract(file: PaperFile, limits: Limits | None = None, stop: Event | None = None) -> Paper:
    """Read one file. `stop` ends it early, as a timeout. Raises InputError where PDF files cannot be
    read at all because the reader is not installed."""
    limits, stop = limits or Limits(), stop or Event()
    try:
        with open_regular(file.path) as source:
            return _paper(file, source, limits, stop)
    except OSError as error:
        reason = error.strerror or str(error)
        unread = hashlib.sha256(b"unreadable\n" + os.fsencode(os.path.abspath(file.path)))
        return Paper(unread.hexdigest(), file.name, error=Unreadable(f"it cannot be read: {reason}"))


def extract_all(
    files: Iterable[PaperFile], workers: int | None = None, limits: Limits | None = None
) -> Generator[Paper, None, None]:
    """The papers in the order of the files. PDF files are read by `workers` (default: one per core) at a
    time, each waiting for a child process, and at most twice as many ahead of the caller; text files here,
    for the way to another thread and back takes three times as long as reading one. Closing the iterator
    ends what is being read, so wrap it in `contextlib.closing` where the loop may be left."""
    workers = workers or os.cpu_count() or 1
    stop = Event()
    ahead: deque[Future[Paper] | PaperFile] = deque()

    def next_paper() -> Paper:
        file = ahead.popleft()
        return extract(file, limits, stop) if isinstance(file, PaperFile) else file.result()

    pool = ThreadPoolExecutor(workers, thread_name_prefix="extract")
    try:
        for file in files:
            ahead.append(pool.submit(extract, file, limits, stop) if _is_pdf(file) else file)
            if len(ahead) > 2 * workers:
                yield next_paper()
        while ahead:
            yield next_paper()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _is_pdf(file: PaperFile) -> bool:
    return file.path.suffix.lower() == ".pdf"


def _paper(file: PaperFile, source: BinaryIO, limits: Limits, stop: Event) -> Paper:
    try:
        text, pages = _read(file, source, limits, stop)
    except PaperError as error:
        return Paper(digest_open(source, limits.file_bytes), file.name, error=error)
    return Paper(hashlib.sha256(text.encode()).hexdigest(), file.name, text, pages=pages)


def _read(file: PaperFile, source: BinaryIO, limits: Limits, stop: Event) -> tuple[str, int | None]:
    suffix = file.path.suffix.lower()
    size_bytes = os.fstat(source.fileno()).st_size
    if size_bytes == 0:
        raise EmptyPaper("the file has 0 bytes")
    check_head(source.read(HEAD_BYTES), suffix)
    if suffix == ".pdf":
        return _read_pdf(source, size_bytes, limits, stop)
    return _read_text(file.name, source, size_bytes, limits), None


def _read_pdf(source: BinaryIO, size_bytes: int, limits: Limits, stop: Event) -> tuple[str, int]:
    if size_bytes > limits.file_bytes:
        raise TooBig(f"the file has more than {limits.file_bytes // MIB} MiB")
    reading = read_pdf(source, limits, stop)
    if reading.error:
        raise reading.error
    text, pages = clean(reading.text), reading.pages or 0
    if visible(text) < CHARS_PER_PAGE * max(pages, 1):
        few = f"{visible(text)} characters on {pages} page{'s'[: pages != 1]}"
        raise NoText(f"a scan? {few}: it needs OCR, for instance: ocrmypdf IN.pdf OUT.pdf")
    return text, pages


def _read_text(name: str, source: BinaryIO, size_bytes: int, limits: Limits) -> str:
    if size_bytes > _UTF8_BYTES * limits.chars:
        raise TooBig(f"more than {limits.chars:,} characters; split it")
    source.seek(0)
    text = clean(decode(source.read(_UTF8_BYTES * limits.chars + 1), name))
    if len(text) > limits.chars:
        raise TooBig(f"more than {limits.chars:,} characters; split it")
    if not text:
        raise EmptyPaper("there is no text in it")
    return text
