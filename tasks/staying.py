"""For which of its models a host works next; pure, the caller says what time it is. Most machines have room
for one model in memory, and bringing in another takes as long as many answers.

A host stays on a model while anything is due for it. It goes to another where that has waited too long or is
more urgent and no other host is on it, or where the own model has nothing left and the other's backlog is
worth the load; where more work for the own model is coming, it is idle for as long as a load takes first.
Hosts that could go to the same model go one after the other, so that the first one is seen to be on it.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

STAY_S = 60.0  # so long work waits for a model that no host is on, while there is work for those they are on
NEXT_S = 5.0  # until the next host does what the first should have done
PAYS = 3.0  # loads: a backlog of this length is worth one
UNKNOWN_LOAD_S = 5.0
# Of an item's time: a load this short is none. The engine holds several models, and they may take turns.
FREE = 0.1


@dataclass(frozen=True, slots=True)
class Pile:
    """What is due for a model: how long this host would take for all of it, the highest priority in it, how
    long this host has seen it wait. `coming`: a run that asks for it is still being submitted; `hosts`: other
    able hosts that are on it; `rank`: how many other hosts would go to it before this one."""

    model: str
    due_s: float = 0.0
    priority: int = 0
    waited_s: float = 0.0
    coming: bool = False
    hosts: int = 0
    rank: int = 0

    @property
    def share_s(self) -> float:
        """What is left of it for each, with this host among those on it."""
        return self.due_s / (self.hosts + 1)


@dataclass(frozen=True, slots=True)
class Duty:
    """What a free slot may do now: claim for `model` (None: nothing, until what is at work for another is
    done), and help others with theirs."""

    model: str | None
    helps: bool = False


class Stay:
    """One host's model over time. `goal`: the one it is on, or will be once its bundles for that are done."""

    def __init__(self) -> None:
        self.current, self.goal = "", ""
        self._dry_at: float | None = None
        self._waiting_at: dict[str, float] = {}

    def next(self, piles: Sequence[Pile], at_work: Set[str], load_s: float | None, now_s: float) -> Duty:
        """`at_work`: the models of the bundles this host holds; `load_s`: what a load takes, if known."""
        piles = [self._noted(one, now_s) for one in piles]
        if not any(one.due_s > 0 for one in piles if one.model == self.goal):
            self.goal = self.current
        load_s = UNKNOWN_LOAD_S if load_s is None else load_s
        dry_s = 0.0 if self._dry_at is None else now_s - self._dry_at
        if self.goal == self.current:  # else it stands: more of the old would never end
            self.goal = turn(piles, self.current, load_s=load_s, dry_s=dry_s)
        if at_work - {self.goal}:
            return Duty(self.current if self.goal == self.current else None)
        own = next((one for one in piles if one.model == self.goal), Pile(self.goal))
        rests = own.due_s > 0 or bool(at_work) or (own.coming and dry_s < load_s)
        return Duty(self.goal, helps=not rests)

    def claimed(self, model: str) -> None:
        """From now on the host is on this one."""
        if model != self.current:
            self._dry_at = None
        self.current = self.goal = model

    def _noted(self, pile: Pile, now_s: float) -> Pile:
        """With how long it waits; where it is our own, note whether it is dry."""
        if pile.model == self.current:
            if pile.due_s > 0:
                self._dry_at = None
            elif self._dry_at is None:
                self._dry_at = now_s
        if pile.model == self.current or pile.hosts or not pile.due_s:
            self._waiting_at.pop(pile.model, None)
            return pile
        return replace(pile, waited_s=now_s - self._waiting_at.setdefault(pile.model, now_s))


def turn(piles: Sequence[Pile], current: str, *, load_s: float, dry_s: float) -> str:
    """The model to be on, `current` or another. `dry_s`: how long nothing has been due for `current`."""
    own = next((one for one in piles if one.model == current), Pile(current))
    others = [one for one in piles if one.model != current and one.due_s > 0]
    if not current:
        return _best(others) or current
    urgent = [one for one in others if _urgent(one, own, load_s)]
    if urgent:
        return max(urgent, key=lambda one: (one.priority, one.waited_s)).model
    if own.due_s > 0:
        return current
    return _best([one for one in others if _worth(one, own, load_s, dry_s)]) or current


def free_of_cost(load_s: float | None, item_s: float) -> bool:
    """Did going from one model to another take no time worth mention?"""
    return load_s is not None and load_s <= FREE * item_s


def _urgent(other: Pile, own: Pile, load_s: float) -> bool:
    """It is left although there is work for our own: somebody waits for it, or it would wait for ever."""
    if other.priority > own.priority and other.share_s >= PAYS * load_s:
        return True
    turn_s = NEXT_S * other.rank + (0.0 if other.priority > own.priority else STAY_S)
    return not other.hosts and other.waited_s >= turn_s


def _worth(other: Pile, own: Pile, load_s: float, dry_s: float) -> bool:
    """Nothing is due for our own model; is a load better than to wait?"""
    if other.share_s >= PAYS * load_s:
        return True
    if own.coming and dry_s < load_s:
        return False
    return not other.hosts or other.share_s > load_s


def _best(piles: Sequence[Pile]) -> str:
    """The most urgent; of these one that no host is on, each host another; else the longest for each host."""
    if not piles:
        return ""
    highest = max(one.priority for one in piles)
    piles = sorted(
        (one for one in piles if one.priority == highest), key=lambda one: one.share_s, reverse=True
    )
    free = [one for one in piles if not one.hosts]
    return free[free[0].rank % len(free)].model if free else piles[0].model
