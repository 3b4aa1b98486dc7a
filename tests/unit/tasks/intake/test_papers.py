"""Which files are papers, under which names, and what is left out with which reason."""

import hashlib
import os
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.intake.papers import digest_bytes, find_papers, open_regular


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(*paths: Path) -> list[str]:
    return [paper.name for paper in find_papers(paths).papers]


def test_folder_is_walked_in_sorted_order(tmp_path: Path) -> None:
    """Papers come sorted by path, whatever the case of their suffix, named relative to the folder."""
    touch(tmp_path, "b.TXT", "a.md", "sub/deep/z.Pdf", "sub/a.pdf", "c.txt")
    assert names(tmp_path) == ["a.md", "b.TXT", "c.txt", "sub/a.pdf", "sub/deep/z.Pdf"]


def test_hidden_and_unsupported_files_are_listed(tmp_path: Path) -> None:
    """What is not read in a walked folder is named with a reason; a hidden folder is one entry."""
    touch(tmp_path, "a.txt", ".b.txt", "c.docx", "Makefile", ".git/d.txt", ".git/e.txt")
    skipped = {Path(s.name).name: s.reason for s in find_papers([tmp_path]).skipped}
    assert skipped == {
        ".b.txt": "hidden",
        ".git": "hidden",
        "Makefile": "a file without a suffix is not supported",
        "c.docx": "type .docx is not supported",
    }


def test_every_bad_path_is_named_at_once(tmp_path: Path) -> None:
    """Missing, hidden and unsupported files that were named are one error with all of them in it."""
    touch(tmp_path, "good.txt", ".hidden.txt", "word.docx")
    named = [tmp_path / name for name in ("good.txt", "missing.pdf", ".hidden.txt", "word.docx")]
    with pytest.raises(InputError) as caught:
        find_papers(named)
    lines = str(caught.value).splitlines()
    assert [line.rpartition("/")[2] for line in lines] == [
        "missing.pdf: no such file or folder; check the spelling",
        ".hidden.txt: a hidden file; rename it without the leading dot",
        "word.docx: type .docx is not supported; save it as .pdf, .txt, .md",
    ]


def test_folder_without_papers_is_an_error(tmp_path: Path) -> None:
    """The message says what was looked for, and what was there instead."""
    touch(tmp_path, "notes.docx")
    with pytest.raises(InputError, match=r"looked for \.pdf, \.txt, \.md\)\n.*notes\.docx: type \.docx"):
        find_papers([tmp_path])


def test_hidden_folder_that_is_named_is_walked(tmp_path: Path) -> None:
    """Who names a hidden folder, or `.`, means it."""
    touch(tmp_path, ".mine/a.txt")
    assert names(tmp_path / ".mine") == ["a.txt"]
    assert names(tmp_path / ".mine" / ".") == ["a.txt"]


def test_loop_of_links_ends(tmp_path: Path) -> None:
    """A link back to its own folder is listed and followed no further."""
    touch(tmp_path, "sub/a.txt")
    (tmp_path / "sub" / "back").symlink_to(tmp_path)
    found = find_papers([tmp_path])
    assert [paper.name for paper in found.papers] == ["sub/a.txt"]
    assert [s.reason for s in found.skipped] == ["a link to a folder that is already in"]


def test_file_named_twice_counts_once(tmp_path: Path) -> None:
    """A path again, alone or in its folder, adds nothing; a second path to the file is listed."""
    touch(tmp_path, "a.txt")
    (tmp_path / "b.txt").symlink_to("a.txt")
    found = find_papers([tmp_path / "a.txt", tmp_path, tmp_path / "a.txt"])
    assert [paper.name for paper in found.papers] == ["a.txt"]
    assert [s.reason for s in found.skipped] == [f"the same file as {tmp_path}/a.txt"]


def test_names_are_unique(tmp_path: Path) -> None:
    """Two files of one name in two folders show their whole paths."""
    touch(tmp_path, "x/a.txt", "y/a.txt", "y/b.txt")
    assert names(tmp_path / "x", tmp_path / "y") == [f"{tmp_path}/x/a.txt", f"{tmp_path}/y/a.txt", "b.txt"]


def test_names_are_printable(tmp_path: Path) -> None:
    """A name with a line end, an escape code or broken bytes stays on its line, and its path works."""
    for raw in (b"a\nb.txt", b"c\x1b[31m.txt", b"d\xff.txt"):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + raw)).write_text("words")
    papers = find_papers([tmp_path]).papers
    assert [paper.name for paper in papers] == ["a\\nb.txt", "c\\x1b[31m.txt", "d\\udcff.txt"]
    assert {paper.path.read_text() for paper in papers} == {"words"}


def test_broken_link_and_fifo_in_a_folder(tmp_path: Path) -> None:
    """A broken link of a supported type is a paper that will fail; a FIFO is none and never opened."""
    (tmp_path / "gone.pdf").symlink_to("nowhere.pdf")
    os.mkfifo(tmp_path / "pipe.txt")
    found = find_papers([tmp_path])
    assert [paper.name for paper in found.papers] == ["gone.pdf"]
    assert [s.reason for s in found.skipped] == ["not a regular file"]


def test_fifo_does_not_hang(tmp_path: Path) -> None:
    """Opening what turned into a FIFO meanwhile fails at once instead of waiting for a writer."""
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "pipe.txt")


def test_digest_of_bytes(tmp_path: Path) -> None:
    """The digest is the file's sha256; beyond the limit the size tells files apart."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789")
    assert digest_bytes(path) == digest_bytes(path, 10) == hashlib.sha256(b"0123456789").hexdigest()
    shorter = digest_bytes(path, 4)
    path.write_bytes(b"01234567890")
    assert digest_bytes(path, 4) != shorter
