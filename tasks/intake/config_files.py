"""Suites and stages by the words of a command line: a name of configs/, or a path."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from tasks.errors import InputError
from tasks.intake.names import printable
from worker_agent.shipped import files, find


def config_file(kind: str, noun: str, word: str, fits: Callable[[str], bool] = lambda _: True) -> Path:
    """The file. Raises InputError for a name that there is not, with those there are; only those whose text
    `fits` are listed."""
    if path := find(kind, word):
        return path
    known = sorted({path.stem for path in files(kind) if fits(_text(path))})
    close = get_close_matches(word, known, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    there = ", ".join(known) or "none"
    raise InputError(f"no {noun} {printable(word)!r}.{guess} There is {there}; or name a .toml file")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
