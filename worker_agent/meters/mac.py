"""Power of a Mac: macmon, which needs no root, or powermetrics where it may run without a password.

Not verified on a Mac. Each is one child that writes a line or a block a second for as long as calls run.
"""

import json
import os
import re
import shutil
import subprocess
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress

from worker_agent.meters.source import NOTHING, Seen, Source

START_AGAIN_S = 60.0  # a child that ended
POWERMETRICS = "/usr/bin/powermetrics"
_POWER = re.compile(
    r"^(?:Combined Power \(CPU \+ GPU \+ ANE\)|Intel energy model derived package power \(CPUs\+GT\+SA\)):"
    r"\s*([0-9.]+)\s*(m?W)"
)


class Printing(Source):
    """A child that prints for ever; what it said last is what is seen."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._start_at = 0.0

    @abstractmethod
    def said(self, line: str) -> Seen:
        """What a line tells; NOTHING where that is nothing."""

    def read(self, engine: Sequence[int]) -> Seen:
        self._start()
        *lines, self._rest = (self._rest + self._waiting()).split(b"\n")
        told = [seen for line in lines if (seen := self.said(line.decode(errors="replace"))) != NOTHING]
        return told[-1] if told else NOTHING

    def close(self) -> None:
        self._end()
        self._start_at = 0.0

    def _end(self) -> None:
        """The child may be root's, which we cannot signal: it ends when it has nowhere to write."""
        child, self._child, self._rest = self._child, None, b""
        if not child:
            return
        if child.stdout:
            child.stdout.close()
        with suppress(OSError):
            child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=3)

    def _start(self) -> None:
        if self._child or time.monotonic() < self._start_at:
            return
        self._start_at = time.monotonic() + START_AGAIN_S
        quiet = subprocess.DEVNULL
        self._child = subprocess.Popen(self._command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet)
        assert self._child.stdout
        os.set_blocking(self._child.stdout.fileno(), False)

    def _waiting(self) -> bytes:
        """What it has written since."""
        parts = []
        while self._child and self._child.stdout:
            try:
                part = os.read(self._child.stdout.fileno(), 65536)
            except BlockingIOError:
                break
            if not part:
                self._end()
            parts.append(part)
        return b"".join(parts)


class Macmon(Printing):
    """`macmon pipe`: a JSON object a line."""

    def __init__(self, command: Sequence[str] = ("macmon", "pipe", "-i", "1000")) -> None:
        super().__init__(command)

    def said(self, line: str) -> Seen:
        return macmon_seen(line)


class Powermetrics(Printing):
    """A block of text a second, which has the power in one of its lines."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        samplers = ["--samplers", "cpu_power,gpu_power", "-i", "1000", "-b", "1"]
        super().__init__(command or [*sudo, POWERMETRICS, *samplers])

    def said(self, line: str) -> Seen:
        watts = powermetrics_w(line)
        return NOTHING if watts is None else Seen(power_w=watts, energy="powermetrics")


def find() -> Source | None:
    """What this Mac has; None where it has nothing we may use."""
    if shutil.which("macmon"):
        return Macmon()
    if os.geteuid() == 0 or _may_sudo():
        return Powermetrics()
    return None


def macmon_seen(line: str) -> Seen:
    """The whole machine's power where the Mac tells it (`sys_power`), else that of CPU, GPU and neural
    engine; a key that is absent is 0 in what macmon prints."""
    try:
        said = json.loads(line)
        heat = [float(value) for value in (said.get("temp") or {}).values()]
        whole, chip = float(said.get("sys_power") or 0), float(said.get("all_power") or 0)
    except (ValueError, TypeError, AttributeError):
        return NOTHING
    return Seen(
        power_w=whole or chip or None,
        temp_c=max((temp for temp in heat if temp > 0), default=None),
        energy="macmon" if whole else "macmon_chip" if chip else "",
    )


def powermetrics_w(line: str) -> float | None:
    """Watts of the line that has them all."""
    found = _POWER.match(line.strip())
    return float(found[1]) / (1000 if found[2] == "mW" else 1) if found else None


def _may_sudo() -> bool:
    """Asks nothing: -n fails where a password would be needed."""
    try:
        asked = subprocess.run(
            ["sudo", "-n", "-l", POWERMETRICS], capture_output=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
