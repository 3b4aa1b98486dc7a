"""Which machine an engine is on, in a word that others who ask an engine of that machine have too."""

import hashlib
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from worker_agent.machine import machine_id
from worker_agent.meters.listener import local_addresses

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def machine_of(url: str) -> str:
    """This machine's id where the address is ours, else a digest of the address: where the fleet is stays
    with the fleet. A machine that is asked at two addresses which do not resolve to one counts as two, and so
    does one that is asked from itself and from elsewhere. Other loopback addresses (127.0.0.2) are what
    people give to tunnels, which end on other machines."""
    host = urlsplit(url).hostname or ""
    if host in LOOPBACK or any(not address.is_loopback for address in local_addresses(host)):
        return machine_id()
    return hashlib.sha256(f"llmq at {_address(host)}".encode()).hexdigest()[:8]


def _address(host: str) -> str:
    """What a name resolves to, IPv4 first; the name itself where nothing knows it."""
    with suppress(OSError):
        found = {(row[0] != socket.AF_INET, str(row[4][0])) for row in socket.getaddrinfo(host, None)}
        return min(found)[1]
    return host.lower()
