"""A host that somebody takes out of work, and back: a laptop that is about to leave, a machine to return.

Which hosts are paused stands in Redis and outlives their workers; a message tells a live one at once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tasks.connection import Client
from tasks.errors import InputError
from tasks.hosts import HostRecord, live_hosts
from tasks.ledger import keys
from worker_agent.machine import machine_id

POLL_S = 0.2
LOOK, SHUT = "look", "shut"  # whether it is paused; the calls of the paused host
SHUT_S = 20.0  # for calls to be shut; a worker that is away has lost its leases by then


@dataclass(frozen=True, slots=True)
class Holding:
    """What a host has not let go of: `bundles` by the ledger, `busy` by its worker. `live`: it has a worker;
    `heard`: that one knows of the pause."""

    bundles: int
    busy: int
    live: bool
    heard: bool

    def nothing(self, *, shut: bool) -> bool:
        """Nothing, now and later. After its calls were shut, only the ledger counts: a thread whose engine
        loads a model stays busy, with a bundle that is its no longer."""
        return not self.live or (self.heard and not self.bundles and (shut or not self.busy))

    def __str__(self) -> str:
        if not self.heard:
            return "its worker to hear of the pause"
        return f"{max(self.bundles, self.busy)} bundle(s), each up to the end of the item at work"


def is_paused(client: Client, host_id: str) -> bool:
    return bool(client.sismember(keys.DRAINED, host_id))


def pause(client: Client, host_id: str) -> None:
    """From now on the host claims nothing; what it holds it gives back after the item at work."""
    client.sadd(keys.DRAINED, host_id)
    _tell(client, LOOK, host_id)


def resume(client: Client, host_id: str) -> bool:
    """The host takes work again. Says whether it was paused."""
    was_paused = bool(client.srem(keys.DRAINED, host_id))
    _tell(client, LOOK, host_id)
    return was_paused


def told(text: str, host_id: str) -> str:
    """What a message on the channel tells this host: LOOK, SHUT, or nothing."""
    word, _, whom = text.partition(" ")
    return word if whom == host_id else ""


def holding(client: Client, host_id: str) -> Holding:
    """What the host holds now."""
    row = client.get(keys.host(host_id))
    record = HostRecord.from_json(row) if row else None
    bundles = int(client.scard(keys.held(host_id)))
    if record is None:
        return Holding(bundles, 0, live=False, heard=False)
    return Holding(bundles, record.busy, live=True, heard=record.drained)


def wait_empty(client: Client, host_id: str, wait_s: float, say: Callable[[str], None]) -> tuple[bool, bool]:
    """Wait until a paused host holds nothing; after `wait_s` its calls are shut. Returns whether it holds
    nothing, and whether calls were shut."""
    deadline, shut = time.monotonic() + wait_s, False
    while not (held := holding(client, host_id)).nothing(shut=shut):
        late_s = time.monotonic() - deadline
        if late_s > SHUT_S:
            return False, shut
        if late_s > 0:
            if not shut:
                say(f"{host_id} still works after {wait_s:g} s: its requests are shut and given back")
            shut = True
            _tell(client, SHUT, host_id)
        else:
            say(f"waiting for {held} (at most {wait_s:g} s)")
        time.sleep(POLL_S)
    return True, shut


def host_to_pause(client: Client, named: str | None) -> str:
    """The host of this id, else the one whose worker is on this machine. Raises InputError."""
    live = live_hosts(client)
    known = {record.id for record in live} | set(client.smembers(keys.DRAINED))
    here = {record.id for record in live if record.machine == machine_id()}
    return _one(named, known, here, "hosts with a worker")


def host_to_resume(client: Client, named: str | None) -> str:
    """The paused host of this id, else the one whose worker is on this machine. Raises InputError."""
    live, paused = live_hosts(client), set(client.smembers(keys.DRAINED))
    known = {record.id for record in live} | paused
    here = {record.id for record in live if record.machine == machine_id()} & paused
    return _one(named, known, here, "paused hosts")


def _one(named: str | None, known: set[str], here: set[str], what: str) -> str:
    if named in known or (named is None and len(here) == 1):
        return named or here.pop()
    there = ", ".join(sorted(known)) or "none"
    if named:
        raise InputError(f"no live or paused host {named!r}; there is {there}")
    if here:
        raise InputError(f"{what} on this machine: {', '.join(sorted(here))}; say which with --host")
    raise InputError(f"{what} on this machine: none; say which with --host (live or paused: {there})")


def _tell(client: Client, word: str, host_id: str) -> None:
    client.publish(keys.PAUSED, f"{word} {host_id}")
