"""Bytes of text files: their encodings, and files that are something else."""

import pytest

from tasks.errors import Corrupt, NotUtf8
from tasks.intake.text_file import check_head, decode

WORDS = "Größe, naïve, 漢字"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read(encoding: str) -> None:
    """UTF-8 with and without a mark, UTF-16 and UTF-32 with theirs."""
    assert decode(WORDS.encode(encoding), "a.txt") == WORDS


def test_big_endian_marks_are_read() -> None:
    """The other byte order is no other text."""
    assert decode(("\ufeff" + WORDS).encode("utf-16-be"), "a.txt") == WORDS
    assert decode(("\ufeff" + WORDS).encode("utf-32-be"), "a.txt") == WORDS


def test_other_encodings_are_refused_with_advice() -> None:
    """No guess is made; the message is a command that can be pasted, whatever the name."""
    with pytest.raises(
        NotUtf8, match=r"iconv -f WINDOWS-1252 -t UTF-8 'sub/my paper.txt' > 'utf8-my paper.txt'"
    ):
        decode("Größe".encode("latin-1"), "sub/my paper.txt")


def test_form_feeds_do_not_glue_words() -> None:
    """A page break between two words is white space."""
    assert decode(b"end\fbegin", "a.txt") == "end\nbegin"


@pytest.mark.parametrize(
    ("head", "suffix", "advice"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", ".pdf", "git lfs pull"),
        (b"version https://git-lfs.github.com/spec/v1\n", ".txt", "git lfs pull"),
        (b"\n <!DOCTYPE HTML>", ".pdf", "download it again"),
        (b"\xef\xbb\xbf<html lang=en>", ".pdf", "download it again"),
        (b"%PDF-1.7\n", ".txt", "rename it to .pdf"),
    ],
)
def test_disguises_are_seen(head: bytes, suffix: str, advice: str) -> None:
    """A pointer, a sign-in page or a renamed PDF is refused with what to do about it."""
    with pytest.raises(Corrupt, match=advice):
        check_head(head, suffix)


def test_ordinary_files_pass() -> None:
    """HTML in a text file may be meant, and a PDF in a PDF is right."""
    check_head(b"<html>", ".md")
    check_head(b"%PDF-1.4", ".pdf")
