"""Reading real files with the real child process: kinds, limits, order, and nothing left behind."""

import os
import runpy
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from tasks.intake import pdf
from tasks.intake.extract import Paper, extract, extract_all
from tasks.intake.memory import _resident_by_ps, _resident_elsewhere, resident_bytes
from tasks.intake.papers import PaperFile, digest_bytes, find_papers
from tasks.intake.pdf import MIB, Limits, Reading, read_pdf
from tests.nearest import nearest

ROOT = Path(__file__).parents[2]
HOSTILE = runpy.run_path(str(ROOT / "tests" / "hostile.py"))
SMALL = Limits(memory_bytes=256 * MIB, wall_s=20)
GREEDY = "crashed+too_big+timeout--"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    HOSTILE["write"](folder)
    return folder


def read(path: Path, limits: Limits = SMALL) -> Paper:
    return extract(PaperFile(path, path.name), limits)


def reading(path: Path, limits: Limits) -> Reading:
    with path.open("rb", buffering=0) as source:
        return read_pdf(source, limits, Event())


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def children() -> set[str]:
    """The PDF children of this process."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = status.read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and "pdf_child" in (status.parent / "cmdline").read_text():
                found.add(status.parent.name)
        except OSError:
            continue  # it ended meanwhile
    return found


def test_every_file_has_its_kind(hostile: Path) -> None:
    """Plain, broken, hostile and text files end as what their names say, in order, and none ends the run."""
    files = find_papers([hostile]).papers
    papers = list(extract_all(files, limits=SMALL))
    assert [paper.name for paper in papers] == [file.name for file in files]
    assert len(papers) > 30
    wrong = {p.name: p.kind for p in papers if p.kind not in p.name.partition("--")[0].split("+")}
    assert wrong == {}
    assert all((paper.text is None) is (paper.error is not None) for paper in papers)


@pytest.mark.parametrize("rlimit", [False, True], ids=["watched", "limited"])
@pytest.mark.parametrize("name", ["text-bomb", "gigabyte-of-blanks", "recursive-form", "exponential-form"])
def test_memory_is_limited_both_ways(hostile: Path, name: str, rlimit: bool) -> None:
    """With the watching parent alone, and with the address space limit, a greedy file stays below."""
    limits = Limits(memory_bytes=128 * MIB, rlimit=rlimit)
    path = hostile / f"{GREEDY}{name}.pdf"
    # A parent that others keep off its core looks later.
    result = nearest(lambda: reading(path, limits), lambda seen: seen.peak_bytes, 128 * MIB * 1.5 - 1)
    assert result.error is not None
    assert result.error.kind == ("crashed" if rlimit else "too_big")
    assert 0 < result.peak_bytes < 128 * MIB * 1.5  # what it can take between two looks


def test_time_is_limited(hostile: Path) -> None:
    """A file that takes too long is ended and says so."""
    paper = read(hostile / f"{GREEDY}recursive-form.pdf", Limits(wall_s=0.3))
    assert paper.kind == "timeout"
    assert str(paper.error) == "reading it takes longer than 0.3 s"
    assert not children()


def test_text_of_a_pdf(hostile: Path) -> None:
    """Pages are counted, lines come in order, and the id is that of the text, not of the file."""
    paper = read(hostile / "text--two-pages.pdf")
    line = HOSTILE["LINE"].decode()
    assert paper.pages == 2
    assert paper.text is not None
    assert paper.text.split() == (f"{line} " * 40).split()
    assert paper.chars == len(paper.text)
    again = hostile / "other.pdf"
    again.write_bytes((hostile / "text--two-pages.pdf").read_bytes() + b"\n% a comment\n")
    assert read(again).id == paper.id
    again.unlink()


def test_letters_beyond_the_first_plane(tmp_path: Path) -> None:
    """Mathematical letters, as word processors write them, arrive whole."""
    mapping = b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfchar <61> <d835dc65> endbfchar"
    unicode_map = b"/CIDInit /ProcSet findresource begin begincmap " + mapping + b" endcmap end"
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 5 0 R >>"
    whole = HOSTILE["document"](
        HOSTILE["stream"](HOSTILE["lines"](9, b"aaa aaa aaa")), forms=[HOSTILE["stream"](unicode_map)]
    )
    plain = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    (tmp_path / "x.pdf").write_bytes(whole.replace(plain, font))
    assert "\U0001d465\U0001d465\U0001d465" in (read(tmp_path / "x.pdf").text or "")


def test_failed_paper_has_the_id_of_its_bytes(hostile: Path) -> None:
    """Also where the child has read the file before; other failures of other files differ."""
    for name in ("no_text--picture.pdf", "corrupt--nul-filled.pdf", "not_utf8--latin1.txt"):
        assert read(hostile / name).id == digest_bytes(hostile / name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("no_text--few-words.pdf", "OCR"),
        ("encrypted--password.pdf", "without one"),
        ("corrupt--download-cut.pdf", "download it again"),
        ("corrupt--pointer.pdf", "git lfs pull"),
        ("not_utf8--latin1.txt", "iconv -f"),
        ("too_big--2001-pages.pdf", "more than 2,000 pages"),
        ("too_big--sparse.pdf", "more than 256 MiB"),
    ],
)
def test_reasons_say_what_to_do(hostile: Path, name: str, advice: str) -> None:
    """The message of a file that gave no text holds the next step."""
    assert advice in str(read(hostile / name).error)


def test_vanished_and_irregular_files_are_unreadable(tmp_path: Path) -> None:
    """What is gone, or is a FIFO now, is a result with a reason, at once."""
    os.mkfifo(tmp_path / "pipe.pdf")
    gone, pipe = read(tmp_path / "gone.pdf"), read(tmp_path / "pipe.pdf")
    assert (gone.kind, str(gone.error)) == ("unreadable", "it cannot be read: No such file or directory")
    assert (pipe.kind, str(pipe.error)) == ("unreadable", "it cannot be read: not a regular file")
    assert gone.id != pipe.id


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file_is_unreadable(tmp_path: Path) -> None:
    """No permission is a reason like any other."""
    path = tmp_path / "mine.txt"
    path.write_text("words")
    path.chmod(0)
    assert read(path).kind == "unreadable"


def test_crash_is_a_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hostile: Path) -> None:
    """A child that dies of itself is named with its signal, and the next file is read."""
    child = tmp_path / "child.py"
    child.write_text("import os; os.kill(os.getpid(), 11)")
    with monkeypatch.context() as broken:
        broken.setattr(pdf.pdf_child, "__file__", str(child))
        paper = read(hostile / "text--two-pages.pdf")
    assert paper.kind == "crashed"
    assert "SIGSEGV" in str(paper.error)
    assert read(hostile / "text--two-pages.pdf").kind == "text"


def test_neighbours_of_the_child_are_not_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hostile: Path
) -> None:
    """A pypdfium2.py beside the child's script, or where the user stands, is not run."""
    shutil.copy(pdf.pdf_child.__file__, tmp_path / "child.py")
    (tmp_path / "pypdfium2.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pdf.pdf_child, "__file__", str(tmp_path / "child.py"))
    assert read(hostile / "text--two-pages.pdf").kind == "text"


def test_papers_come_in_order_and_lazily(hostile: Path) -> None:
    """The first paper is there before the files are listed to their end, and few are read ahead."""
    listed = []

    def files():  # type: ignore[no-untyped-def]
        for n in range(100):
            listed.append(n)
            yield PaperFile(hostile / "text--plain.txt", str(n))

    with closing(extract_all(files(), workers=2)) as papers:
        assert [next(papers).name for _ in range(3)] == ["0", "1", "2"]
        assert len(listed) <= 3 + 2 * 2 + 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_closing_ends_the_children(hostile: Path) -> None:
    """Who leaves the loop leaves no process behind, at once, though the files would take long."""
    slow = PaperFile(hostile / f"{GREEDY}recursive-form.pdf", "slow")
    quick = PaperFile(hostile / "text--plain.txt", "quick")
    papers = extract_all([quick, slow, slow, slow], workers=2, limits=Limits())
    with closing(papers):
        assert next(papers).name == "quick"
        until(lambda: bool(children()))
        begin = time.monotonic()
    assert not children()
    assert time.monotonic() - begin < 5


def test_child_ends_without_its_parent(hostile: Path) -> None:
    """The child's own alarm ends it where nobody watches any more."""
    with (hostile / f"{GREEDY}recursive-form.pdf").open("rb") as source, Path(os.devnull).open("wb") as sink:
        child = pdf._start(source, sink, Limits(wall_s=-4))  # type: ignore[arg-type]
        assert child.wait(20) == -14


def test_memory_is_seen_on_every_system() -> None:
    """/proc, psutil and ps agree on what this process holds, within a factor."""
    seen = [resident_bytes(os.getpid()), _resident_elsewhere(os.getpid()), _resident_by_ps(os.getpid())]
    assert min(seen) > 10 * MIB
    assert max(seen) < 3 * min(seen)
    assert resident_bytes(2**22 + 1) == 0


def test_example_papers_are_readable() -> None:
    """All of examples/papers is text of the length its README promises."""
    papers = list(extract_all(find_papers([ROOT / "examples" / "papers"]).papers))
    assert 6 <= len(papers) <= 10
    assert {paper.kind for paper in papers} == {"text"}
    assert all(400 <= len((paper.text or "").split()) <= 900 for paper in papers)
