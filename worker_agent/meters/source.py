"""The seam to whatever tells memory, energy or heat of this machine."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

ANSWER_S = 2.0  # for a command to answer


@dataclass(frozen=True, slots=True)
class Seen:
    """What a source saw. None is unknown, never zero. `counter_j` only grows, from wherever it began;
    `power_w` is of the moment; a source gives one of the two at most. `memory` and `energy` are the words
    for where that comes from."""

    rss_bytes: int | None = None
    system_bytes: int | None = None
    vram_bytes: int | None = None
    counter_j: float | None = None
    power_w: float | None = None
    throttled: bool | None = None
    temp_c: float | None = None
    memory: str = ""
    energy: str = ""


NOTHING = Seen()


class Source(ABC):
    """One place to look, by one thread, at most every `every_s`. What `read` raises ends its use."""

    every_s: ClassVar[float] = 1.0

    @abstractmethod
    def read(self, engine: Sequence[int]) -> Seen:
        """What there is now; `engine` are the numbers of its processes, none where they are not known."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Nobody looks for a while."""


def read_text(path: Path | str) -> str:
    """A file of the kernel's; empty where it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def ask(*command: str) -> str:
    """What a command prints; empty where there is none, or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout
