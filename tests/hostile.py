"""Files that try to break the reading of papers, and a few plain ones: `python tests/hostile.py FOLDER`.

A name begins with the kinds that are right for it: `corrupt--header-only.pdf`, and
`crashed+too_big--text-bomb.pdf` where it depends on which guard is quicker. All of it is made here.
"""

import codecs
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

LINE = b"the quick brown fox jumps over the lazy dog and reads one more paper"
TERABYTE = 1 << 40
HEADER = b"%PDF-1.5\n"


def build(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    out = bytearray(HEADER)
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, len(out))
    return bytes(out) + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + end


def stream(body: bytes, entries: bytes = b"", layers: int = 1, packed: int = 0) -> bytes:
    """A stream object, deflated `layers` times, of which `packed` are done already."""
    for _ in range(layers - packed):
        body = zlib.compress(body, 9)
    filters = b" ".join([b"/FlateDecode"] * layers)
    return b"<< /Length %d /Filter [%b] %b >>\nstream\n%b\nendstream" % (len(body), filters, entries, body)


def blanks(gibibytes: int) -> bytes:
    """A deflated stream of white space, put together without ever holding it: after a full flush,
    deflate blocks are the same bytes wherever they stand."""
    chunk, times = b" " * (1 << 24), gibibytes << 6
    packer = zlib.compressobj(9)
    begin = packer.compress(chunk) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(chunk) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 1
    for _ in range(times):
        check = zlib.adler32(chunk, check)
    return begin + block * (times - 1) + packer.flush()[:-4] + check.to_bytes(4, "big")


def document(content: bytes, pages: int = 1, forms: Sequence[bytes] = (), trailer: bytes = b"") -> bytes:
    """A PDF whose pages all show one content stream; `forms` are the objects from number 5 on, and
    the page's /X is the first of them."""
    first = 5 + len(forms)
    kids = b" ".join(b"%d 0 R" % n for n in range(first, first + pages))
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F 3 0 R >> /XObject << /X 5 0 R >> >> >>"
    )
    head = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, pages),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        content,
    ]
    return build([*head, *forms, *[page] * pages], trailer)


def lines(count: int, line: bytes = LINE) -> bytes:
    """Content that shows a line of text `count` times, one below the other."""
    return b"BT /F 9 Tf 40 760 Td 11 TL " + (b"(" + line + b") Tj T* ") * count + b"ET"


def form(content: bytes, inner: int) -> bytes:
    """A form whose /X is the object `inner`."""
    entries = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources "
    return stream(content, entries + b"<< /Font << /F 3 0 R >> /XObject << /X %d 0 R >> >>" % inner)


def plain_pdfs() -> Iterator[tuple[str, bytes]]:
    yield "text--two-pages.pdf", document(stream(lines(20)), pages=2)
    yield "text--SHOUTED.PDF", document(stream(lines(20)))
    yield "text--1999-pages.pdf", document(stream(lines(3)), pages=1999)
    yield "no_text--blank-page.pdf", document(stream(b""))
    yield "no_text--few-words.pdf", document(stream(lines(1, b"page 1 of 9")), pages=9)
    yield "no_text--blanks.pdf", document(stream(lines(60, b" " * 60)))
    image = b"q 500 0 0 700 50 50 cm BI /W 2 /H 2 /CS /G /BPC 8 ID \x00\xff\xff\x00 EI Q"
    yield "no_text--picture.pdf", document(stream(image))
    locked = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (%b) /U (%b) >> /ID [(a) (a)]"
    yield "encrypted--password.pdf", document(stream(lines(20)), trailer=locked % (b"o" * 32, b"u" * 32))


def broken_pdfs() -> Iterator[tuple[str, bytes]]:
    whole = document(stream(lines(40, LINE[::-1]), layers=0) + b" " * 3000, pages=2)
    yield "empty--zero-bytes.pdf", b""
    yield "corrupt--header-only.pdf", HEADER
    yield "corrupt--download-cut.pdf", whole[: len(whole) // 3]
    yield "corrupt--nul-filled.pdf", whole[:200] + b"\0" * len(whole)
    yield "corrupt--junk-before.pdf", b"junk " * 400 + whole
    yield "corrupt--web-page.pdf", b"\n<!DOCTYPE html><html><title>Sign in</title></html>"
    yield "corrupt--pointer.pdf", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    yield "corrupt--deep-array.pdf", build([b"[" * 100_000 + b"]" * 100_000])
    yield (
        "corrupt--missing-page.pdf",
        build(
            [
                b"<< /Type /Catalog /Pages 2 0 R >>",
                b"<< /Type /Pages /Kids [3 0 R 9 0 R] /Count 2 >>",
                b"<< >>",
            ]
        ),
    )
    yield (
        "corrupt+crashed--endless-page-tree.pdf",
        build([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"]),
    )


def greedy_pdfs() -> Iterator[tuple[str, bytes]]:
    yield "too_big--2001-pages.pdf", document(stream(lines(3)), pages=2001)
    lie = b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>"
    yield (
        "too_big--page-count-lie.pdf",
        build([b"<< /Type /Catalog /Pages 2 0 R >>", lie, b"<< /Type /Page >>"]),
    )
    yield "too_big--five-million-characters.pdf", document(stream(lines(40)), pages=1900)
    greedy = "crashed+too_big+timeout--"
    yield greedy + "text-bomb.pdf", document(stream(lines(150_000).replace(b"T* ", b"")))
    yield greedy + "gigabyte-of-blanks.pdf", document(stream(blanks(1), layers=2, packed=1))
    twice = b"/X Do /X Do " + lines(1)
    yield greedy + "recursive-form.pdf", document(stream(b"/X Do"), forms=[form(twice, 5)])
    chain = [form(b"/X Do " * 8 + lines(1), 6 + depth) for depth in range(12)]
    yield greedy + "exponential-form.pdf", document(stream(b"/X Do"), forms=[*chain, form(lines(9), 5)])


def texts() -> Iterator[tuple[str, bytes]]:
    words = "Größe und Maß der Versuche. " * 9
    yield "text--plain.txt", words.encode()
    yield "text--marked.MD", codecs.BOM_UTF8 + words.encode()
    yield "text--utf16.txt", words.encode("utf-16")
    yield "text--utf32.txt", words.encode("utf-32")
    yield "not_utf8--latin1.txt", words.encode("latin-1")
    yield "not_utf8--half-utf16.txt", words.encode("utf-16") + b"\0"
    yield "not_utf8--picture.md", b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    yield "empty--blanks.txt", b" \n\t\0" * 99
    yield "corrupt--pointer.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    yield "corrupt--really-a-pdf.txt", document(stream(lines(20)))
    yield "too_big--five-million-characters.txt", b"paper " * 900_000


def write(folder: Path) -> None:
    """All of them, and two files larger than any disk, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (*plain_pdfs(), *broken_pdfs(), *greedy_pdfs(), *texts()):
        (folder / name).write_bytes(content)
    for name in ("too_big--sparse.txt", "too_big--sparse.pdf"):
        with (folder / name).open("wb") as sparse:
            sparse.truncate(TERABYTE)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
