"""Bytes to text, and bytes that are not what their file's suffix says. Pure."""

import codecs
import shlex

from tasks.errors import Corrupt, NotUtf8

HEAD_BYTES = 512
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def check_head(head: bytes, suffix: str) -> None:
    """Raises Corrupt where a file's first bytes show something else than its suffix promises."""
    start = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise Corrupt("it is a Git LFS pointer, not the file; run: git lfs pull")
    if suffix == ".pdf" and start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise Corrupt("it is a web page, not a PDF; download it again, perhaps after signing in")
    if suffix != ".pdf" and start.startswith(b"%pdf-"):
        raise Corrupt("it is a PDF; rename it to .pdf")


def decode(raw: bytes, name: str) -> str:
    """UTF-8, or UTF-16 and UTF-32 where a byte order mark says so. Form feeds become line ends.
    Raises NotUtf8, naming the command that converts `name`."""
    encoding = next((encoding for mark, encoding in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding).replace("\f", "\n").replace("\v", "\n")
    except UnicodeDecodeError as error:
        old, new = shlex.quote(name), shlex.quote(f"utf8-{name.rpartition('/')[2]}")
        command = f"iconv -f WINDOWS-1252 -t UTF-8 {old} > {new}"
        raise NotUtf8(f"it is not UTF-8 (byte {error.start}); if it is Western text: {command}") from None
