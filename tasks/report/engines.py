"""Engines that are compared: whether it may be their machines that differ. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from tasks.report.sample import Sample
from tasks.report.wording import some


def machines_of(hosts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Host -> its engine's machine, of the hosts of run.json: the worker's where the engine is on that, else
    as the worker knew it by the engine's address, which runs of before do not say."""
    where = {
        one["id"]: one.get("machine") if one.get("beside_engine") else one.get("engine_machine")
        for one in hosts
    }
    return {str(host): str(machine) for host, machine in where.items() if machine}


def engines_and_machines(samples: Sequence[Sample], machines: Mapping[str, str]) -> list[str]:
    """What a reader must know of a model's engines: where they ran on several machines, or not known to be
    one, these are not told apart; on one machine at the same time, each may have slowed the other."""
    own: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.cell.engine and sample.requests:
            own.setdefault(sample.cell.engine, []).append(sample)
    hosts = {engine: sorted({host for one in ours for host in one.hosts}) for engine, ours in own.items()}
    if len(own) < 2:
        return []
    where = {machines.get(host, host) for listed in hosts.values() for host in listed}
    told = "; ".join(f"{engine} on {some(listed)}" for engine, listed in sorted(hosts.items()))
    if len(where) > 1:
        return [f"engine and machine are not told apart: {told}"]
    both = [f"{a} and {b}" for a, b in combinations(sorted(own), 2) if _at_once(own[a], own[b])]
    said = [f"all on one machine: {told}"]
    return said + [f"{pair} ran at the same time, and may have slowed each other" for pair in both]


def _at_once(a: Iterable[Sample], b: Iterable[Sample]) -> bool:
    """Whether requests of both were under way at one moment."""
    ends = [(request.started_s, request.finished_s, 0) for one in a for request in one.requests]
    ends += [(request.started_s, request.finished_s, 1) for one in b for request in one.requests]
    until = [0.0, 0.0]
    for started_s, finished_s, side in sorted(one for one in ends if math.isfinite(one[0] + one[1])):
        if started_s < until[1 - side]:
            return True
        until[side] = max(until[side], finished_s)
    return False
