"""The text of a PDF, read by one child process per file that cannot take the machine with it:
limited from inside (address space, where the system has it) and watched from outside everywhere.
Knows how the child ended; `pdf_child.py` knows PDFium."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO

from tasks.errors import Corrupt, Encrypted, InputError, PaperError, ReaderCrashed, ReadTimeout, TooBig
from tasks.intake import pdf_child
from tasks.intake.memory import resident_bytes
from tasks.intake.papers import FILE_BYTES

MIB = 1 << 20
_POLL_S = 0.05
_ORPHAN_S = 5  # beyond the wall limit; then the child ends by itself


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. `memory_bytes` is held twice: as the child's address space (`rlimit`;
    Linux) and by the parent that watches its resident memory and kills."""

    wall_s: float = 30.0
    memory_bytes: int = 2048 * MIB
    pages: int = 2_000
    chars: int = 4_000_000
    file_bytes: int = FILE_BYTES
    rlimit: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """How the child ended: its pages and raw text, or the error. `peak_bytes` of resident memory is
    sampled, hence 0 where the child was quicker than the watch."""

    pages: int | None = None
    text: str = ""
    error: PaperError | None = None
    peak_bytes: int = 0


def read_pdf(source: BinaryIO, limits: Limits, stop: Event) -> Reading:
    """The text of the open file. `stop` ends it at once, as a timeout. Raises InputError where the
    PDF reader is not installed, OSError where no process or temporary file can be had."""
    source.seek(0)
    with tempfile.TemporaryFile() as output:
        child = _start(source, output, limits)
        error, peak = _watch(child, limits, stop)
        if error is None:
            error = _verdict(child.returncode, limits, peak)
        if error is not None:
            return Reading(error=error, peak_bytes=peak)
        output.seek(0)
        pages = int(output.readline())
        return Reading(pages, output.read().decode(), peak_bytes=peak)


def _start(source: BinaryIO, output: BinaryIO, limits: Limits) -> subprocess.Popen[bytes]:
    arguments = [
        limits.memory_bytes if limits.rlimit else 0,
        int(limits.wall_s) + _ORPHAN_S,
        limits.pages,
        limits.chars,
    ]
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(pdf_child.__file__)), *map(str, arguments)],
        stdin=source,
        stdout=output,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's Ctrl-C is for us; we end the child
    )


def _watch(child: subprocess.Popen[bytes], limits: Limits, stop: Event) -> tuple[PaperError | None, int]:
    """Wait for the child's end, or end it: the error if we did, and its peak memory in bytes."""
    deadline = time.monotonic() + limits.wall_s
    peak = 0
    try:
        while True:
            try:
                child.wait(_POLL_S)
                return None, peak
            except subprocess.TimeoutExpired:
                peak = max(peak, resident_bytes(child.pid))
            if peak > limits.memory_bytes:
                return TooBig(f"reading it takes more than {limits.memory_bytes // MIB} MiB of memory"), peak
            if stop.is_set() or time.monotonic() > deadline:
                return ReadTimeout(f"reading it takes longer than {limits.wall_s:g} s"), peak
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _verdict(status: int, limits: Limits, peak_bytes: int) -> PaperError | None:
    """What the child's exit status says. The library's own messages are not to be trusted."""
    match status:
        case 0:
            return None
        case pdf_child.NO_READER:
            raise InputError("pypdfium2, which reads PDF files, is missing: pip install 'llmq-fleet[master]'")
        case pdf_child.ENCRYPTED:
            return Encrypted("it opens only with a password; save a copy without one")
        case pdf_child.CORRUPT:
            return Corrupt("it is damaged or no PDF; download it again, or open it and print it to a new PDF")
        case pdf_child.PAGES:
            return TooBig(f"more than {limits.pages:,} pages; split it")
        case pdf_child.CHARS:
            return TooBig(f"more than {limits.chars:,} characters; split it")
        case pdf_child.MEMORY:
            return TooBig(f"reading it takes more than {limits.memory_bytes // MIB} MiB of memory")
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return ReaderCrashed(
        f"the PDF reader died on it ({how}, at {peak_bytes // MIB} MiB of memory); print it to a new PDF"
    )
