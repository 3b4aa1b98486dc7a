"""The stages of a run: who asks first, and who is asked about whose answers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

FIRST = "generate"  # the name of the only stage of a run without stages
MOST_DEEP = 8  # stages that come before one; lua/common.lua has room for more than twice as many


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a chain. `after`: the index of the stage whose answers it reads; None: it is asked the
    run's prompts. `host`: only this one is asked. `template`: what a later stage is asked. `max_tokens`
    None: as the run says."""

    name: str = FIRST
    model: str | None = None
    host: str | None = None
    after: int | None = None
    template: str | None = None
    max_tokens: int | None = None

    @property
    def asks(self) -> str:
        """`model@host`, as people write it."""
        return (self.model or "any model") + (f"@{self.host}" if self.host else "")


@dataclass(frozen=True, slots=True)
class Later:
    """A stage below a first one. In a plan, a bundle of the first stage is followed by those of all later
    ones: this one `place` places behind it, its parent `parent` places behind it (0: it is the parent)."""

    stage: int
    place: int
    parent: int
    depth: int


def below(stages: Sequence[Stage], first: int) -> tuple[Later, ...]:
    """Every stage that comes after `first`, in the order of the plan."""
    found = {first: Later(first, 0, 0, 0)}
    for index, stage in enumerate(stages):
        if stage.after is not None and (parent := found.get(stage.after)):
            found[index] = Later(index, len(found), parent.place, parent.depth + 1)
    return tuple(later for later in found.values() if later.place)


def depth(stages: Sequence[Stage]) -> int:
    """How many stages come before the last, where most do."""
    firsts = (index for index, stage in enumerate(stages) if stage.after is None)
    return max((later.depth for first in firsts for later in below(stages, first)), default=0)


@lru_cache(maxsize=16)  # for every item of a report
def leaves(stages: tuple[Stage, ...]) -> frozenset[int]:
    """Stages whose answers no other reads: where chains end."""
    return frozenset(range(len(stages))) - {stage.after for stage in stages if stage.after is not None}
