"""The engine's processes where there is no /proc, by psutil, which is loaded when it is first asked.

Not verified on a Mac. There only root may see whose a socket of another account is.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Any


def _psutil() -> Any:
    import psutil

    return psutil


def listeners(port: int) -> dict[int, set[str]]:
    """Process -> the addresses it listens on at `port`. Raises ImportError where psutil is missing."""
    psutil = _psutil()
    found: dict[int, set[str]] = {}
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            for connection in one.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    found.setdefault(one.pid, set()).add(connection.laddr.ip)
    return found


def family(roots: Collection[int]) -> tuple[int, ...]:
    """These processes and all their descendants, those that still live."""
    psutil = _psutil()
    known: dict[int, None] = {}
    for pid in roots:
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            known |= dict.fromkeys([pid, *(child.pid for child in root.children(recursive=True))])
    return tuple(known)


def resident_bytes(engine: Collection[int]) -> int | None:
    """What these processes have in RAM together; None where none lives."""
    psutil = _psutil()
    sizes = []
    for pid in engine:
        with suppress(psutil.Error):
            sizes.append(int(psutil.Process(pid).memory_info().rss))
    return sum(sizes) or None


def used_bytes() -> int | None:
    """RAM that is not available to others."""
    memory = _psutil().virtual_memory()
    return int(memory.total - memory.available)


def name(pid: int) -> str:
    psutil = _psutil()
    with suppress(psutil.Error):
        return str(psutil.Process(pid).name())
    return ""
