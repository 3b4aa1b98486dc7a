"""Which machine this is, and which of its processes live, in words another machine can compare."""

import hashlib
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import uuid
from functools import cache
from pathlib import Path


def hostname() -> str:
    """The machine's short name in the letters a host id may have."""
    short = platform.node().split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", short).strip("-_")[:48] or "machine"


def suffix() -> str:
    """Four letters that stay with the machine, to tell two of one name apart (every Pi is `raspberrypi`)."""
    return _digest(_serial())[:4]


@cache
def machine_id() -> str:
    """Where a process number means something: one start of one machine, and one container on it.

    Two processes with one `machine_id` can ask `process_alive` for each other. After a reboot it is
    another, which is what that question needs.
    """
    return f"{hostname()}-{_digest(_boot())[:8]}"


@cache
def about() -> dict[str, str | int | None]:
    """What it is, for whoever compares figures: None where it does not tell."""
    return {
        "os": f"{platform.system()} {platform.release()}",
        "arch": platform.machine() or None,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "ram_bytes": _ram_bytes(),
    }


def _cpu() -> str | None:
    """The name of the processor; of a Raspberry Pi, the board's."""
    if sys.platform == "darwin":
        return _ask("sysctl", "-n", "machdep.cpu.brand_string") or None
    lines = (line.partition(":") for line in _read("/proc/cpuinfo").splitlines())
    named = {key.strip(): value.strip() for key, _, value in lines}
    return named.get("model name") or named.get("Model") or platform.processor() or None


def _ram_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def process_alive(pid: int) -> bool:
    """False only where it is certain that no process of this `machine_id` has this number (a zombie is
    none). A number that went to another process since counts as alive: that costs a wait, no work."""
    if sys.platform == "linux" and (stat := _read(f"/proc/{pid}/stat")):
        return stat.rpartition(")")[2].split()[0] not in ("Z", "X")  # the name before it may hold anything
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def end_with_parent() -> None:
    """Send this process SIGTERM when its standard input ends: the parent holds the other end of that
    pipe, and the kernel closes it however the parent dies."""

    def wait() -> None:
        while os.read(0, 4096):  # sys.stdin's lock would be held while the interpreter shuts down
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _boot() -> str:
    if sys.platform == "linux":  # containers share the kernel's boot id, and each counts its own processes
        return _read("/proc/sys/kernel/random/boot_id") + os.readlink("/proc/self/ns/pid")
    return _serial() + _ask("sysctl", "-n", "kern.bootsessionuuid")


def _serial() -> str:
    # systemd asks that /etc/machine-id is never shown as it is: only digests leave this module.
    mac = re.search(r'"IOPlatformUUID" = "(.+)"', _ask("ioreg", "-rd1", "-c", "IOPlatformExpertDevice"))
    return mac[1] if mac else _read("/etc/machine-id") or str(uuid.getnode())


def _digest(text: str) -> str:
    return hashlib.sha256(f"llmq {text}".encode()).hexdigest()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
