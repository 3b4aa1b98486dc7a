"""Pairs: who wrote first and who had the last word, and how long both together took. Pure."""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.report.account import Item
from tasks.report.stats import quantile


@dataclass(slots=True)
class Pair:
    """Chains of one pair: the inference of each whose hops are all timed, and how the chains ended."""

    took_s: "array[float]" = field(default_factory=lambda: array("d"))
    answered: int = 0
    failed: int = 0
    open: int = 0

    @property
    def median_s(self) -> float | None:
        return quantile(sorted(self.took_s), 0.5) if self.took_s else None


Pairs = dict[tuple[str, str], Pair]


def pairs(items: Mapping[str, Item]) -> Pairs:
    """(first, last) -> its chains, of items that say their parent or their pair; empty without any."""
    parents = {item.parent for item in items.values() if item.parent}
    found: Pairs = {}
    for item_id, item in items.items():
        if item_id in parents or not (item.parent or item.pair):
            continue
        hops = [item]
        while hops[-1].parent in items and len(hops) <= len(items):
            hops.append(items[hops[-1].parent or ""])
        pair = found.setdefault(_names(item, hops), Pair())
        pair.answered += item.success is True
        pair.failed += item.success is False
        pair.open += item.success is None
        took_s = sum(hop.took_s for hop in hops)
        if item.success and not math.isnan(took_s):
            pair.took_s.append(took_s)
    return found


def _names(item: Item, hops: list[Item]) -> tuple[str, str]:
    if len(hops) == 1 and item.pair and "->" in item.pair:  # what it read is not among the rows
        first, _, last = item.pair.partition("->")
        return first, last
    return hops[-1].who, hops[0].who
