"""Entries and results as the ledger's scripts take them, and a commit that can be made again."""

import time
from dataclasses import dataclass
from typing import Any

from tasks.result import Result
from tasks.work import Entry


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an answer is kept for later runs: a hash, a field of it, and for how long."""

    key: str
    field: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit as its script takes it, the result as text."""

    run_id: str
    args: tuple[Any, ...]
    more_keys: tuple[str, ...]


def entry_args(entry: Entry, finished_at: str) -> list[Any]:
    """A bundle on its way into the plan, with what is known of it, as lua/add.lua takes it."""
    bundle = entry.bundle
    reads = bundle.parent is not None and not bundle.copies
    args: list[Any] = [bundle.to_json(), entry.queue, len(bundle.prompts), bundle.tokens]
    args += [bundle.after, int(reads), bundle.depth, len(entry.known)]
    for item, result in entry.known:
        args += [item, *outcome(result), result.to_json(finished_at)]
    return args


def outcome(result: Result) -> tuple[str, int, str]:
    """How a result is counted: outcome, cut, host."""
    return "successful" if result.success else "failed", int(result.cut), result.host


def utc(seconds: float) -> str:
    """As Celery's results tell a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))
