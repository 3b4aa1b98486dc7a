"""Which files are papers: walks folders, and lists what it leaves out. Does not read what is in them
(`extract.py` does)."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from tasks.errors import InputError
from tasks.intake.names import printable, unique

SUFFIXES = (".pdf", ".txt", ".md")
_LOOKED_FOR = ", ".join(SUFFIXES)
FILE_BYTES = 256 << 20  # what of a file is read at most
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class PaperFile:
    """A file to read. `name` is what people and results see: printable and unique in its `Found`,
    relative to the folder that was named."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in a walked folder that is no paper, and why. `name` is printable."""

    path: Path
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """Papers in the order of the paths given, folders in sorted order."""

    papers: tuple[PaperFile, ...]
    skipped: tuple[Skipped, ...]


def find_papers(paths: Sequence[Path]) -> Found:
    """Every paper at or under `paths`, each file once. Raises InputError that lists all paths that
    cannot be used, and folders without a paper."""
    faults: list[str] = []
    skipped: list[Skipped] = []
    entries: list[tuple[Path, str]] = []  # the file, and its name below the path that was given
    for path in paths:
        if os.path.isdir(path):
            inside = _walk(path, skipped)
            if not inside:
                faults.append(_no_papers(path, skipped))
            above = len(path.parts)
            entries += [(file, "/".join(file.parts[above:])) for file in inside]
        elif fault := _fault(path):
            faults.append(f"{printable(path)}: {fault}")
        else:
            entries.append((path, path.name))
    if faults:
        raise InputError("\n".join(faults))
    return Found(_named(_once(entries, skipped)), tuple(skipped))


def open_regular(path: Path) -> BinaryIO:
    """The file, open for reading, unbuffered: a child process shares its position. Raises OSError,
    also for what is no regular file: opening a FIFO the ordinary way would wait for a writer."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file")
    return open(fd, "rb", buffering=0)


def digest_bytes(path: Path, limit_bytes: int = FILE_BYTES) -> str:
    """sha256 of the file's bytes; beyond the limit its size stands for the rest, for a sparse file can
    be larger than any disk. Raises OSError."""
    with open_regular(path) as source:
        return digest_open(source, limit_bytes)


def digest_open(source: BinaryIO, limit_bytes: int = FILE_BYTES) -> str:
    """`digest_bytes` of an open file, from its start."""
    source.seek(0)
    size = os.fstat(source.fileno()).st_size
    left = min(size, limit_bytes)
    sha = hashlib.sha256()
    while left > 0 and (block := source.read(min(left, _BLOCK))):
        sha.update(block)
        left -= len(block)
    if size > limit_bytes:
        sha.update(f"\n{size} bytes".encode())
    return sha.hexdigest()


def _fault(path: Path) -> str | None:
    """Why a path that was named cannot be a paper."""
    if not os.path.lexists(path):
        return "no such file or folder; check the spelling"
    if path.name.startswith("."):
        return "a hidden file; rename it without the leading dot"
    if path.suffix.lower() not in SUFFIXES:
        return f"{_kind(path)} is not supported; save it as {_LOOKED_FOR}"
    if os.path.exists(path) and not os.path.isfile(path):
        return "not a regular file; copy it to one"
    return None


def _kind(path: Path) -> str:
    return f"type {printable(path.suffix)}" if path.suffix else "a file without a suffix"


def _no_papers(folder: Path, skipped: Sequence[Skipped]) -> str:
    inside = [entry for entry in skipped if entry.path.is_relative_to(folder)]
    seen = "".join(f"\n    {entry.name}: {entry.reason}" for entry in inside[:5])
    more = f"\n    and {len(inside) - 5} more" if len(inside) > 5 else ""
    return f"{printable(folder)}: no papers in this folder (looked for {_LOOKED_FOR}){seen}{more}"


def _walk(folder: Path, skipped: list[Skipped]) -> list[Path]:
    """The papers under a folder, sorted by the parts of their paths. Links to folders are followed,
    each real folder once, so that a loop ends. Not recursive: folders can nest deeper than Python."""
    papers: list[Path] = []
    walked: set[tuple[int, int]] = set()

    def skip(path: Path, reason: str) -> None:
        skipped.append(Skipped(path, printable(path), reason))

    todo = [folder]
    while todo:
        path = todo.pop()
        mode = _mode(path)
        if path.name.startswith(".") and path != folder:
            skip(path, "hidden")
        elif stat.S_ISDIR(mode):
            todo += reversed(_inside(path, walked, skip))
        elif path.suffix.lower() not in SUFFIXES:
            skip(path, f"{_kind(path)} is not supported")
        elif mode and not stat.S_ISREG(mode):
            skip(path, "not a regular file")
        else:
            papers.append(path)  # a broken link too: somebody expects an answer for it
    return papers


def _mode(path: Path) -> int:
    """Of what a path leads to; 0 where that is nothing."""
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0


def _inside(folder: Path, walked: set[tuple[int, int]], skip: Callable[[Path, str], None]) -> list[Path]:
    """What is in a folder, sorted; nothing where it was walked before or cannot be opened."""
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir(), key=attrgetter("name"))  # whole paths compare slowly
    except OSError as error:
        skip(folder, f"the folder cannot be opened: {error.strerror}")
        return []
    if (status.st_dev, status.st_ino) in walked:
        skip(folder, "a link to a folder that is already in")
        return []
    walked.add((status.st_dev, status.st_ino))
    return entries


def _once(entries: Sequence[tuple[Path, str]], skipped: list[Skipped]) -> list[tuple[Path, str]]:
    """Each file once. The same path again needs no word; another path to the same file gets one."""
    first: dict[str, Path] = {}
    folders: dict[str, str] = {}
    kept = []
    for path, name in entries:
        seen = first.setdefault(_real(path, folders), path)
        if seen is path:
            kept.append((path, name))
        elif os.path.abspath(seen) != os.path.abspath(path):
            skipped.append(Skipped(path, printable(path), f"the same file as {printable(seen)}"))
    return kept


def _real(path: Path, folders: dict[str, str]) -> str:
    """The real path of a file; a folder's is looked up once and kept in `folders`."""
    if os.path.islink(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.join(folders[folder], name)


def _named(entries: Sequence[tuple[Path, str]]) -> tuple[PaperFile, ...]:
    """With unique names: where two are equal, both get the whole path; then a number."""
    times = Counter(printable(name) for _, name in entries)
    names = [printable(name if times[printable(name)] == 1 else path) for path, name in entries]
    return tuple(PaperFile(path, name) for (path, _), name in zip(entries, unique(names), strict=True))
