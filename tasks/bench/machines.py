"""Which hosts of a benchmark take turns, because their engines share a machine. Pure."""

from collections.abc import Iterable

from tasks.hosts import HostRecord


def lanes(records: Iterable[HostRecord], *, shared: bool) -> dict[str, str]:
    """Host -> what its cells have to themselves: the machine of its engine, or the host alone where no
    machine counts (the ledger sees to it: lua/claim.lua)."""
    return {
        one.id: f"@{one.engine_machine}" if one.engine_machine and not shared else one.id for one in records
    }


def taking_turns(lane_of: dict[str, str]) -> list[str]:
    """A line for each machine that has several of these hosts."""
    found: dict[str, list[str]] = {}
    for host, lane in sorted(lane_of.items()):
        found.setdefault(lane, []).append(host)
    return [
        f"{', '.join(hosts[:-1])} and {hosts[-1]} share a machine, so they take turns (--shared: they do not)"
        for hosts in found.values()
        if len(hosts) > 1
    ]
