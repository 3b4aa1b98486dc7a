"""Who should do what next: pure functions of values, the same for a live claim and for the simulator of the
schedule (benchmarks/schedule_sim.py).

A slot that falls free takes the longest bundle that is due, unless it is so slow that the others would be
done first; then a shorter one, or none. A slot that finds nothing due takes the unstarted rest of the bundle
that will end last, whose holder goes on with the item it is at; and where nothing is unstarted, it tries an
item that runs late itself. Nothing is planned ahead: every slot asks again whenever it is free.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHARE = 0.8  # of the time that is left: what a slow slot may begin
FAST = 0.5  # of the fastest slot's speed: from here on a slot takes whatever is longest
WORTH = 1.3  # times our own estimate: a holder must take longer than that for us to help
COPY_WORTH, COPY_FASTER, COPY_LEAST_S = 1.4, 1.5, 1.0  # the same for an item that already runs


@dataclass(frozen=True, slots=True)
class Speed:
    """What a slot of a host takes: seconds a prompt token read for the first time, read again (its prefix
    cache), and seconds a token written."""

    read_s: float
    again_s: float
    write_s: float

    def item_s(self, tokens: int, answer: float, *, first: bool) -> float:
        """One item about a paper of `tokens`, with an answer of `answer` tokens."""
        return tokens * (self.read_s if first else self.again_s) + answer * self.write_s

    def bundle_s(self, tokens: float, items: float, answer: float) -> float:
        """All items of a bundle, one after the other."""
        first = tokens * self.read_s + answer * self.write_s
        return first + (items - 1) * (tokens * self.again_s + answer * self.write_s)


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
    the running one runs, and how many have it in hand."""

    number: int
    token: str
    host: str
    tokens: int
    unstarted: int
    age_s: float
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """`most`: take the longest due bundle of at most so many tokens (None: of any length); `probe`: take the
    shortest; `take` False: none of those due. `help_`: else these, the best first."""

    take: bool
    most: int | None = None
    probe: bool = False
    help_: tuple[Held, ...] = ()


def choose(own: Peer, others: Sequence[Peer], due: Backlog, held: Iterable[Held]) -> Choice:
    """What a free slot of `own` should do next."""
    held = tuple(held)
    if own.speed is None:  # a first bundle tells; a short one tells sooner
        return Choice(take=due.bundles > 0, probe=True, help_=_unstarted_first(held))
    fleet = [peer for peer in (own, *others) if peer.speed]
    left_s = time_left_s(fleet, due, held)
    take = _take(own, fleet, due, left_s)
    return Choice(take.take, take.most, take.probe, _helps(own, own.speed, fleet, due, held, left_s))


def time_left_s(fleet: Sequence[Peer], due: Backlog, held: Sequence[Held]) -> float:
    """Until all that nobody has begun is done, were it spread evenly over the fleet."""
    items = due.items + sum(one.unstarted for one in held)
    if not items:
        return 0.0
    bundles = due.bundles + sum(one.unstarted > 0 for one in held)
    tokens = (due.tokens + sum(one.tokens for one in held if one.unstarted)) / bundles
    rate = sum(
        peer.slots / max(peer.speed.bundle_s(tokens, items / bundles, due.answer), 1e-9)
        for peer in fleet
        if peer.speed
    )
    return bundles / rate


def _take(own: Peer, fleet: Sequence[Peer], due: Backlog, left_s: float) -> Choice:
    if not due.bundles or own.speed is None:
        return Choice(take=False)
    tokens, items = due.tokens / due.bundles, due.items / due.bundles
    ours_s = own.speed.bundle_s(tokens, items, due.answer)
    fastest_s = min(peer.speed.bundle_s(tokens, items, due.answer) for peer in fleet if peer.speed)
    if ours_s * FAST <= fastest_s:
        return Choice(take=True)
    allowed_s = SHARE * left_s
    a_token_s = own.speed.read_s + (items - 1) * own.speed.again_s
    most = (allowed_s - items * due.answer * own.speed.write_s) / max(a_token_s, 1e-12)
    if most >= due.shortest:
        return Choice(take=True, most=int(min(most, 1e12)))
    # Not a whole bundle; but an item of it, if others will take the rest.
    return Choice(take=own.speed.item_s(due.shortest, due.answer, first=True) <= allowed_s, probe=True)


def _helps(
    own: Peer, speed: Speed, fleet: Sequence[Peer], due: Backlog, held: Sequence[Held], left_s: float
) -> tuple[Held, ...]:
    """The held bundles worth our help, the one that would end last first."""
    speeds = {peer.id: peer.speed for peer in fleet}
    fastest = min(fleet, key=lambda peer: peer.speed.write_s if peer.speed else 0.0).speed or speed
    worth = []
    for one in held:
        theirs = speeds.get(one.host)
        if theirs is None:
            continue
        ours_s = speed.item_s(one.tokens, due.answer, first=True)
        end_s = _end_s(one, theirs, due.answer)
        if one.unstarted:
            soon_s = max(left_s, 2 * fastest.item_s(one.tokens, due.answer, first=True))
            good = ours_s * WORTH < end_s and ours_s <= soon_s
        else:
            faster = theirs.item_s(one.tokens, due.answer, first=True) >= COPY_FASTER * ours_s
            good = one.copies == 1 and faster and ours_s * COPY_WORTH + COPY_LEAST_S < end_s
        if good:
            worth.append((one.unstarted > 0, end_s, one))
    worth.sort(key=lambda pair: pair[:2], reverse=True)
    return tuple(one for _, _, one in worth)


def _end_s(one: Held, theirs: Speed, answer: float) -> float:
    """Until its holder will be done. An item that runs longer than estimated is thought half done."""
    item_s = theirs.item_s(one.tokens, answer, first=False)
    running_s = theirs.item_s(one.tokens, answer, first=True)
    left_s = running_s - one.age_s if one.age_s < running_s else one.age_s
    return left_s + one.unstarted * item_s


def _unstarted_first(held: Sequence[Held]) -> tuple[Held, ...]:
    return tuple(sorted((one for one in held if one.unstarted), key=lambda one: -one.unstarted))
