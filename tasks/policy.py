"""Who should do what next: pure functions of values, the same for a live claim and for the simulator of the
schedule (benchmarks/schedule_sim.py, which prints what each rule is worth).

A slot that falls free takes the longest bundle that is due, unless it is so slow that the others would be
done first; then a shorter one, or the first item of the shortest. A slot for which nothing is due takes the
rest of the bundle that will end last, whose holder goes on with the item it is at; where nothing of it is
unstarted, that means a second try of the running item. Nothing is planned ahead: every slot asks again
whenever it is free.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# What each is worth stands in benchmarks/README.md.
# Of the time until nothing is due: what a slow slot may begin. At 1 there is no room for wrong estimates, and
# with no limit a slow slot takes a long paper last, and the fleet waits for it or does its work twice.
SHARE = 0.8
# Of the fastest slot's speed: from here on a slot takes whatever is longest. Equal hosts differ in what they
# have learned, and by the share alone all of them but one would refuse the last bundles.
FAST = 0.5
# Times our own estimate: a holder must take longer than that for us to help. At 1, twice as much engine time
# is in vain; from 3 on, the last items are left to slow hosts.
WORTH = 2.0
CROWD = 50  # hosts; with more of them each asks Redis less often


def crowd(hosts: int) -> float:
    """How many times less often a host asks where there are so many."""
    return max(1.0, hosts / CROWD)


@dataclass(frozen=True, slots=True)
class Speed:
    """What a slot of a host takes: seconds a prompt token read for the first time, read again (its prefix
    cache), and seconds a token written."""

    read_s: float
    again_s: float
    write_s: float

    def item_s(self, tokens: float, answer: float, *, first: bool) -> float:
        """One item about a paper of `tokens`, with an answer of `answer` tokens."""
        return tokens * (self.read_s if first else self.again_s) + answer * self.write_s

    def bundle_s(self, tokens: float, items: float, answer: float) -> float:
        """All items of a bundle, one after the other."""
        return tokens * (self.read_s + (items - 1) * self.again_s) + items * answer * self.write_s


@dataclass(frozen=True, slots=True)
class Peer:
    """A live host that serves a queue. `speed` None: nobody knows yet."""

    id: str
    slots: int
    speed: Speed | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is due in a queue: bundles, their items and the tokens of their papers in all, the tokens of the
    shortest; `answer`: the tokens of a usual answer."""

    bundles: int
    items: int
    tokens: int
    shortest: int
    answer: float


@dataclass(frozen=True, slots=True)
class Held:
    """A bundle at work: under which token and at which host, how many items nobody has begun, since when
    the running one runs, and how many have it in hand. The tokens of the running item's `answer` and of
    those nobody has begun (`rest`), by what their prompts were answered before; None: not yet."""

    number: int
    token: str
    host: str
    tokens: int
    unstarted: int
    age_s: float
    copies: int = 1
    answer: float | None = None
    rest: float | None = None

    def answer_or(self, usual: float) -> float:
        """Tokens of the running item's answer; of `usual` length where nothing is known."""
        return usual if self.answer is None else self.answer

    def rest_or(self, usual: float) -> float:
        """Tokens of the answers that nobody has begun, likewise."""
        return self.unstarted * usual if self.rest is None else self.rest


@dataclass(frozen=True, slots=True)
class Choice:
    """`most`: take the longest due bundle of at most so many tokens (None: of any length); `probe`: take the
    shortest; `take` False: none of those due. `help_`: else these, the best first."""

    take: bool
    most: int | None = None
    probe: bool = False
    help_: tuple[Held, ...] = ()


def choose(
    own: Peer, others: Sequence[Peer], due: Backlog, held: Iterable[Held], *, load_s: float = 0.0
) -> Choice:
    """What a free slot of `own` should do next. `held` is not looked at where something due is taken.
    `load_s`: what it takes to begin at all, because the engine is at another model."""
    if own.speed is None:  # a first item tells; a short one tells sooner. Until then we are no help
        return Choice(take=due.bundles > 0, probe=True)
    take = _take(own, own.speed, others, due)
    if take.take:
        return take
    speeds = {peer.id: peer.speed for peer in others if peer.speed} | {own.id: own.speed}
    return Choice(take=False, help_=_helps(own.speed, speeds, due.answer, held, load_s))


def _take(own: Peer, speed: Speed, others: Sequence[Peer], due: Backlog) -> Choice:
    """The longest bundle that ends within the fleet's time for all that is due; if not even the shortest
    does, its first item, where that ends in time: others will take the rest."""
    if not due.bundles:
        return Choice(take=False)
    tokens, items = due.tokens / due.bundles, due.items / due.bundles
    ours_s = speed.bundle_s(tokens, items, due.answer)
    fleet = [(own.slots, ours_s)]
    fleet += [(one.slots, one.speed.bundle_s(tokens, items, due.answer)) for one in others if one.speed]
    fastest_s = min(theirs_s for _, theirs_s in fleet)
    rate = sum(slots / max(theirs_s, 1e-9) for slots, theirs_s in fleet)
    if ours_s * FAST <= fastest_s:
        return Choice(take=True)
    allowed_s = SHARE * due.bundles / rate
    writing_s = speed.bundle_s(0, items, due.answer)
    most = (allowed_s - writing_s) / max(speed.bundle_s(1, items, 0), 1e-12)
    if most >= due.shortest:
        return Choice(take=True, most=int(min(most, 1e12)))
    return Choice(take=speed.item_s(due.shortest, due.answer, first=True) <= allowed_s, probe=True)


def _helps(
    ours: Speed, speeds: Mapping[str, Speed], answer: float, held: Iterable[Held], load_s: float
) -> tuple[Held, ...]:
    """The held bundles worth our help, the one that will end last first. A host of unknown speed is thought
    as fast as we are, until it takes longer."""
    worth = []
    for one in held:
        running, rest = one.answer_or(answer), one.rest_or(answer)
        end_s = _end_s(one, speeds.get(one.host, ours), running, rest)
        first = rest / one.unstarted if one.unstarted else running
        if load_s + WORTH * ours.item_s(one.tokens, first, first=True) < end_s:
            worth.append((end_s, one))
    worth.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(one for _, one in worth)


def _end_s(one: Held, theirs: Speed, running: float, rest: float) -> float:
    """Until its holder will be done. An item that runs longer than estimated is thought half done."""
    running_s = theirs.item_s(one.tokens, running, first=True)
    left_s = running_s - one.age_s if one.age_s < running_s else one.age_s
    return left_s + one.unstarted * one.tokens * theirs.again_s + rest * theirs.write_s
