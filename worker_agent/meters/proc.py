"""The engine's processes on Linux, from /proc: no other program, no library, and little time.

Whose process a listening socket is, only its owner and root may see. Of another account (a service's, as the
one that Ollama's installer makes) we take what that account runs, if it is one family.
"""

import ipaddress
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from worker_agent.meters.source import read_text

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LISTENING = "0A"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, and the number of the account that made it."""

    address: Address
    inode: str
    uid: int


def listeners(table: str, port: int) -> list[Listener]:
    """Those of /proc/net/tcp or tcp6 on `port`."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == _LISTENING:
            address, _, hex_port = words[1].partition(":")
            if int(hex_port, 16) == port:
                found.append(Listener(_address(address), words[9], int(words[7])))
    return found


def facing(found: Collection[Listener], addresses: Collection[Address]) -> list[Listener]:
    """Those that a connection to one of `addresses` reaches: the ones bound to it, else to all addresses."""
    exact = [one for one in found if one.address in addresses]
    return exact or [one for one in found if one.address.is_unspecified]


def listening(port: int) -> list[Listener]:
    """All of this machine (of this network namespace) on `port`."""
    return [one for name in ("tcp", "tcp6") for one in listeners(read_text(f"/proc/self/net/{name}"), port)]


def owners(found: Collection[Listener]) -> set[int]:
    """The processes that hold one of these sockets, or are the one family of the account that does."""
    sockets = {f"socket:[{one.inode}]" for one in found}
    uids = {one.uid for one in found}
    theirs, others = list[int](), list[int]()
    for pid in pids():
        (theirs if _uid(pid) in uids else others).append(pid)
    holding = {pid for pid in theirs if _holds(pid, sockets)} or {
        pid for pid in others if _holds(pid, sockets)
    }
    if holding or 0 in uids or os.geteuid() in uids:
        return holding
    root = only_root({pid: _parent(pid) for pid in theirs})
    return {root} if root else set()


def only_root(parents: Mapping[int, int]) -> int | None:
    """The ancestor of all these processes (process -> parent); None where they are several families."""
    roots = [pid for pid, parent in parents.items() if parent not in parents]
    return roots[0] if len(roots) == 1 else None


def family(roots: Collection[int]) -> tuple[int, ...]:
    """These processes and all their descendants, those that still live."""
    known = dict.fromkeys(pid for pid in roots if os.path.exists(f"/proc/{pid}"))
    try:
        waiting = list(known)
        while waiting:
            young = [pid for pid in children(waiting.pop()) if pid not in known]
            known |= dict.fromkeys(young)
            waiting += young
    except FileNotFoundError:  # a kernel without these lists
        return descendants(known, {pid: _parent(pid) for pid in pids()})
    return tuple(known)


def descendants(roots: Collection[int], parents: Mapping[int, int]) -> tuple[int, ...]:
    """`roots` and whoever descends from them (process -> parent)."""
    known = dict.fromkeys(roots)
    size = 0
    while size != len(known):
        size = len(known)
        known |= dict.fromkeys(pid for pid, parent in parents.items() if parent in known)
    return tuple(known)


def children(pid: int) -> list[int]:
    """Raises FileNotFoundError where the kernel keeps no list of them."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
        except FileNotFoundError:
            if os.path.exists(f"/proc/{pid}/task/{thread}"):
                raise
        except OSError:
            pass
    return found


def resident_bytes(engine: Collection[int]) -> int | None:
    """What these processes have in RAM together, the files they map included; None where none lives."""
    pages = [page for pid in engine if (page := _resident_pages(pid))]
    return sum(pages) * _PAGE_BYTES if pages else None


def name(pid: int) -> str:
    return read_text(f"/proc/{pid}/comm").strip()


def pids() -> Iterator[int]:
    return (int(one) for one in os.listdir("/proc") if one.isdigit())


def _resident_pages(pid: int) -> int:
    words = read_text(f"/proc/{pid}/statm").split()
    return int(words[1]) if len(words) > 1 else 0


def _parent(pid: int) -> int:
    # The name, in brackets, may hold anything.
    words = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(words[1]) if len(words) > 1 else 0


def _uid(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _holds(pid: int, sockets: Collection[str]) -> bool:
    with suppress(OSError):  # ended, or not ours to see
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{number}") in sockets:
                    return True
    return False


def _address(text: str) -> Address:
    """The kernel writes words of four bytes, each with its last byte first."""
    words = (bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8))
    address = ipaddress.ip_address(b"".join(words))
    return getattr(address, "ipv4_mapped", None) or address
