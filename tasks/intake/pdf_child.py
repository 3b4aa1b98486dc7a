"""Reads one PDF: bytes on stdin, its page count and text on stdout (both regular files, so nothing
can block), and the exit status says how it went.

A script, started as `python -P pdf_child.py MEMORY_BYTES WALL_S PAGES CHARS`. PDFium aborts the whole
process on what it cannot bear, hence one process per file; it imports nothing of llmq, hence a start
costs 0.1 s. MEMORY_BYTES 0 leaves the address space alone.
"""

import contextlib
import os
import resource
import signal
import sys

ENCRYPTED, CORRUPT, PAGES, CHARS, MEMORY, NO_READER = range(40, 46)


def restrict(memory_bytes: int, wall_s: int) -> None:
    """Limits that hold even when nobody watches: no core file, and an end if the parent is gone."""
    signal.alarm(wall_s)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        with contextlib.suppress(ValueError, OSError):  # macOS refuses; the parent watches as well
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def read(max_pages: int, max_chars: int) -> int:
    """Write the document to stdout; the exit status. Any page that fails makes the file corrupt:
    a paper without one of its pages is not the paper."""
    from pypdfium2 import PdfDocument, PdfiumError
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    try:
        document = PdfDocument(sys.stdin.buffer.read())
        if len(document) > max_pages:
            return PAGES
        sys.stdout.buffer.write(b"%d\n" % len(document))
        for page in document:
            textpage = page.get_textpage()
            max_chars -= textpage.count_chars()
            if max_chars < 0:
                return CHARS
            # Not get_text_range, which is documented for UCS-2 only.
            sys.stdout.buffer.write(textpage.get_text_bounded().encode("utf-8", "ignore") + b"\n\n")
            textpage.close()
            page.close()
    except PdfiumError as error:  # its message may be that of an earlier call; the code is right
        return ENCRYPTED if error.err_code == FPDF_ERR_PASSWORD else CORRUPT
    return 0


def main(arguments: list[str]) -> int:
    memory_bytes, wall_s, max_pages, max_chars = map(int, arguments)
    restrict(memory_bytes, wall_s)
    try:
        status = read(max_pages, max_chars)
        sys.stdout.buffer.flush()
        return status
    except ImportError:
        return NO_READER
    except MemoryError:
        return MEMORY


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # taking PDFium down in good order is one more way to crash
