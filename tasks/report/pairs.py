"""Pairs: who wrote first and who had the last word, and how long both together took. Pure."""

import math
from array import array
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

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


Key = TypeVar("Key", bound=Hashable)
Pairs = dict[tuple[str, str], Pair]


def pairs(items: Mapping[str, Item]) -> Pairs:
    """(first, last) -> its chains, of items that say their parent or their pair; empty without any."""
    parents = {item.parent for item in items.values() if item.parent}
    above = {item_id: item.parent for item_id, item in items.items()}
    found: Pairs = {}
    for item_id, item in items.items():
        if item_id in parents or not (item.parent or item.pair):
            continue
        path = hops_of(item_id, above)
        hops = [items[one] for one in path if one in items]
        pair = found.setdefault(_names(item, hops), Pair())
        pair.answered += item.success is True
        pair.failed += item.success is False
        pair.open += item.success is None
        took_s = inference_s(items[one].took_s if one in items else math.nan for one in path)
        if item.success and not math.isnan(took_s):
            pair.took_s.append(took_s)
    return found


def hops_of(last: Key, above: Mapping[Key, Key | None]) -> list[Key]:
    """From the last item of a chain to its first; `above` is what each of them read."""
    path: dict[Key, None] = {last: None}
    while (parent := above.get(next(reversed(path)))) is not None and parent not in path:
        path[parent] = None
    return list(path)


def inference_s(took_s: Iterable[float]) -> float:
    """Of all hops of a chain; NaN where that of one is."""
    return sum(took_s)


def _names(item: Item, hops: list[Item]) -> tuple[str, str]:
    if len(hops) == 1 and item.pair and "->" in item.pair:  # what it read is not among the rows
        first, _, last = item.pair.partition("->")
        return _as_matrix(first), _as_matrix(last)
    return hops[-1].who, hops[0].who


def _as_matrix(side: str) -> str:
    """`host:model` as an Item says who: `model@host`."""
    host, _, model = side.partition(":")
    return f"{model}@{host}" if model else side
