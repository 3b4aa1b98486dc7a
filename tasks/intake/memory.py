"""How much memory a process holds, as the system says."""

import subprocess
from contextlib import suppress
from pathlib import Path


def resident_bytes(pid: int) -> int:
    """The most the process has held in RAM (Linux), or what it holds now; 0 if it is gone."""
    with suppress(OSError, IndexError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    return _resident_elsewhere(pid)


def _resident_elsewhere(pid: int) -> int:
    try:
        import psutil
    except ImportError:
        return _resident_by_ps(pid)
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _resident_by_ps(pid: int) -> int:
    answer = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(answer.stdout.strip() or 0) * 1024
