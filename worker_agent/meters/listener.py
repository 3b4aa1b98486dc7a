"""Whether the engine is on this very machine, and which processes it is."""

import ipaddress
import logging
import socket
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from worker_agent.meters import by_psutil, proc

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 10.0  # for an engine that is not there, or does not show which process it is
STILL_S = 60.0  # whether one that lives has its port still: on Linux that costs 10 ms, elsewhere more
FAMILY_S = 5.0  # for a runner that it started
# They hand connections on: the engine is another process, in a container or on another machine.
FORWARDERS = frozenset(
    [
        "docker-proxy",
        "com.docker.backend",
        "rootlessport",
        "slirp4netns",
        "pasta",
        "vpnkit",
        "gvproxy",
        "wslrelay",
        "ssh",
        "sshd",
        "socat",
        "nginx",
        "caddy",
        "haproxy",
        "traefik",
        "envoy",
        "kubectl",
        "kube-proxy",
        "tailscaled",
        "cloudflared",
    ]
)
_NAME_CHARS = 15  # of a process's name, on Linux


def local_addresses(host: str) -> list[proc.Address]:
    """The addresses of `host` that are this machine's own; none where it is another one."""
    with suppress(OSError):
        found = {str(row[4][0]).partition("%")[0] for row in socket.getaddrinfo(host, None)}
        return [address for text in sorted(found) if _ours(address := ipaddress.ip_address(text))]
    return []


class Listener:
    """The processes behind a URL: who listens there, and their descendants. Used by one thread."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._addresses = local_addresses(parts.hostname or "")
        self._sockets: Sequence[proc.Listener] = ()
        self._roots: Collection[int] = ()
        self._family: Sequence[int] = ()
        self._look_at = self._family_at = 0.0
        self._there = False

    @property
    def local(self) -> bool:
        """The address is this machine's."""
        return bool(self._addresses)

    @property
    def here(self) -> bool:
        """An engine listens on this machine, and not somebody who only hands on what comes."""
        if time.monotonic() >= self._look_at:
            self._look()
        return self._there

    def processes(self) -> Sequence[int]:
        """Their numbers; none where somebody listens, and who is hidden from us."""
        if not self.here:
            return ()
        if time.monotonic() >= self._family_at:
            self._family = _family(self._roots)
            self._family_at = time.monotonic() + FAMILY_S
            if self._roots and not self._family:  # the engine ended; another may have its port now
                self._look_at = 0.0
        return self._family

    def _look(self) -> None:
        if sys.platform != "linux":
            self._found(_by_psutil(self._addresses, self._port))
        elif (sockets := self._listening()) != self._sockets or (self._roots and not self._family):
            self._sockets = sockets
            self._found(proc.owners(sockets) if sockets else None)
        self._look_at = time.monotonic() + (STILL_S if self._roots else LOOK_AGAIN_S)

    def _listening(self) -> Sequence[proc.Listener]:
        return proc.facing(proc.listening(self._port), self._addresses)

    def _found(self, roots: Collection[int] | None) -> None:
        """Who listens; none where they are hidden, None where nobody does."""
        names = {_name(pid)[:_NAME_CHARS] for pid in roots or ()}
        if forwarders := names & {name[:_NAME_CHARS] for name in FORWARDERS}:
            log.debug("port %d is held by %s: the engine is elsewhere", self._port, *forwarders)
            roots = None
        self._there, self._roots, self._family_at = roots is not None, roots or (), 0.0


def _family(roots: Collection[int]) -> Sequence[int]:
    return proc.family(roots) if sys.platform == "linux" else by_psutil.family(roots)


def _by_psutil(addresses: Collection[proc.Address], port: int) -> Collection[int] | None:
    try:
        holders = by_psutil.listeners(port)
    except ImportError:
        return None
    texts = {str(one) for one in addresses}
    exact = {pid for pid, bound in holders.items() if bound & texts}
    return exact or {pid for pid, bound in holders.items() if bound & {"0.0.0.0", "::"}} or None


def _name(pid: int) -> str:
    return proc.name(pid) if sys.platform == "linux" else by_psutil.name(pid)


def _ours(address: proc.Address) -> bool:
    """Only an address of this machine can be bound."""
    if address.is_loopback:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((str(address), 0))
        return not address.is_unspecified
    return False
