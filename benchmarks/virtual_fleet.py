"""A fleet in virtual time: what slots of known speed do with a backlog when tasks/policy.py decides, exactly
as at a live claim. The policy is told what a worker would know (learned speeds, the mean answer so far),
never the truth. Not modelled: slots that slow down together, the network, claiming ahead."""

import heapq
import itertools
import random
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tasks.policy import Backlog, Held, Peer, Speed, choose, crowd

SEEN = 20  # observations that a learned speed is the mean of
USUAL_ANSWER = 300.0  # before the first answer


@dataclass(frozen=True, slots=True)
class Machine:
    """Seconds a slot takes for a prompt token, for one from its prefix cache, for an answer token, and for
    each item besides."""

    slots: int
    read_s: float
    again_s: float
    write_s: float
    fixed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Paper:
    """Its tokens, and the tokens of the answer to each prompt."""

    tokens: int
    answers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What asking costs: seconds for a claim or a hand-over, between two requests, between two questions of
    an idle host; `noise`: sigma of an item's time. `known`: speeds are, from an earlier run. `killed`: this
    host dies then, and its bundles are due again so much later."""

    claim_s: float = 0.005
    gap_s: float = 0.005
    ask_s: float = 0.25
    noise: float = 0.15
    killed: int | None = None
    killed_at_s: float = 0.0
    back_s: float = 0.0
    known: bool = False


@dataclass(slots=True)
class Host:
    """A machine with what its worker has learned."""

    id: str
    machine: Machine
    peer: Peer
    seen: tuple[deque[tuple[float, float]], ...] = field(
        default_factory=lambda: tuple(deque(maxlen=SEEN) for _ in range(3))
    )
    idle: list["Slot"] = field(default_factory=list)
    asks_s: float = -1.0
    dead: bool = False

    def learn(self, kind: int, tokens: float, took_s: float) -> None:
        """`kind`: 0 read first, 1 read again, 2 written."""
        self.seen[kind].append((tokens, took_s))

    def sum_up(self) -> None:
        read_s, again_s, write_s = (
            sum(took for _, took in seen) / sum(tokens for tokens, _ in seen) if seen else None
            for seen in self.seen
        )
        read_s = again_s if read_s is None else read_s
        again_s = read_s if again_s is None else again_s
        self.peer = Peer(self.id, self.machine.slots, Speed(read_s or 0.0, again_s or 0.0, write_s or 0.0))


@dataclass(slots=True, eq=False)
class Slot:
    """One request at a time; `cached`: the paper its engine has read last. `turn` tells a request that was
    stopped from the one that ends."""

    host: Host
    cached: "Bundle | None" = None
    at: "tuple[Bundle, int] | None" = None
    begun_s: float = 0.0
    turn: int = 0


@dataclass(slots=True, eq=False)
class Bundle:
    """Items of a paper: which nobody has begun, who tries the others, whose it is."""

    number: int
    paper: Paper
    unstarted: deque[int]
    trying: dict[int, list[Slot]] = field(default_factory=dict)
    holder: Slot | None = None

    def following(self) -> int:
        """The next item: those still tried elsewhere last."""
        return self.unstarted.popleft() if self.unstarted else next(iter(self.trying))

    def held(self, now_s: float, mean: Callable[[int], float | None]) -> Held:
        """`mean`: the length of answers so far to a prompt."""
        assert self.holder
        assert self.holder.at
        later = [mean(item) for item in self.unstarted]
        rest = None if None in later else sum(one for one in later if one is not None)
        answer = mean(self.holder.at[1])
        copies = sum(map(len, self.trying.values()))
        age_s = max(0.0, now_s - self.holder.begun_s)
        host, tokens = self.holder.host.id, self.paper.tokens
        return Held(self.number, "", host, tokens, len(self.unstarted), age_s, copies, answer, rest)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over: its length, and the engine time of tries that were in vain, as a share of all."""

    makespan_s: float
    doubled: float
    choices: int
    remaining: tuple[int, ...] = ()  # items of each paper that were missing when the host was killed


class Run:
    """One event loop over the requests of a fleet."""

    def __init__(self, machines: Sequence[Machine], papers: Sequence[Paper], terms: Terms, seed: int) -> None:
        self.terms, self.random = terms, random.Random(seed)
        self.hosts = [Host(str(n), m, Peer(str(n), m.slots, None)) for n, m in enumerate(machines)]
        if terms.known:
            for host in self.hosts:
                one = host.machine
                for kind, a_token_s in enumerate((one.read_s, one.again_s, one.write_s)):
                    host.learn(kind, 1, a_token_s)
                host.sum_up()
        self.bundles = [Bundle(n, p, deque(range(len(p.answers)))) for n, p in enumerate(papers)]
        self.due = sorted((one.paper.tokens, one.number) for one in self.bundles)
        self.due_items, self.due_tokens = sum(len(p.answers) for p in papers), sum(p.tokens for p in papers)
        self.open: dict[int, Bundle] = {}
        self.missing = self.due_items
        self.answers, self.answer_tokens = 0, 0
        self.by_prompt: dict[int, tuple[int, int]] = {}  # answers, and their tokens
        self.now_s, self.worked_s, self.doubled_s, self.choices = 0.0, 0.0, 0.0, 0
        self.remaining: tuple[int, ...] = ()
        self.order = itertools.count()
        self.events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []

    def outcome(self) -> Outcome:
        for host in self.hosts:
            host.idle = [Slot(host) for _ in range(host.machine.slots)]
            self._ask_later(host, self.random.uniform(0, self.terms.claim_s))
        if self.terms.killed is not None:
            self._at(self.terms.killed_at_s, self._kill, self.hosts[self.terms.killed])
        while self.missing:
            self.now_s, _, act, what = heapq.heappop(self.events)
            act(*what)
        return Outcome(self.now_s, self.doubled_s / self.worked_s, self.choices, self.remaining)

    def _at(self, at_s: float, act: Callable[..., None], *what: object) -> None:
        heapq.heappush(self.events, (at_s, next(self.order), act, what))

    def _ask_later(self, host: Host, in_s: float) -> None:
        host.asks_s = self.now_s + in_s
        self._at(host.asks_s, self._ask, host, host.asks_s)

    def _ask(self, host: Host, at_s: float) -> None:
        """The idle slots of a host ask, until one finds nothing; `at_s` is past where it asked meanwhile."""
        while host.idle and not host.dead and at_s == host.asks_s:
            bundle = self._chosen(host)
            if bundle is None:
                self._ask_later(host, self.terms.ask_s * crowd(len(self.hosts)))
                return
            slot = host.idle.pop()
            bundle.holder = slot
            self.open[bundle.number] = bundle
            self._begin(slot, bundle, self.terms.claim_s)

    def _chosen(self, host: Host) -> Bundle | None:
        self.choices += 1
        others = [one.peer for one in self.hosts if one is not host and not (one.dead and not self.open)]
        answer = self.answer_tokens / self.answers if self.answers else USUAL_ANSWER
        shortest = self.due[0][0] if self.due else 0
        due = Backlog(len(self.due), self.due_items, self.due_tokens, shortest, answer)
        choice = choose(host.peer, others, due, self._held())
        if choice.take and self.due:
            most = float("inf") if choice.most is None else choice.most
            place = 0 if choice.probe else bisect_right(self.due, (most, len(self.bundles))) - 1
            if place >= 0:
                return self._claim(place)
        return self.bundles[choice.help_[0].number] if choice.help_ else None

    def _held(self) -> Iterator[Held]:
        return (
            one.held(self.now_s, self._mean) for one in self.open.values() if one.holder and one.holder.at
        )

    def _mean(self, prompt: int) -> float | None:
        answers, tokens = self.by_prompt.get(prompt, (0, 0))
        return tokens / answers if answers else None

    def _claim(self, place: int) -> Bundle:
        tokens, number = self.due.pop(place)
        self.due_tokens -= tokens
        self.due_items -= len(self.bundles[number].unstarted)
        return self.bundles[number]

    def _begin(self, slot: Slot, bundle: Bundle, after_s: float) -> None:
        item = bundle.following()
        bundle.trying.setdefault(item, []).append(slot)
        machine, tokens, answer = slot.host.machine, bundle.paper.tokens, bundle.paper.answers[item]
        first = slot.cached is not bundle
        noise = max(0.3, self.random.gauss(1.0, self.terms.noise))
        read_s = noise * (machine.fixed_s + tokens * (machine.read_s if first else machine.again_s))
        write_s = noise * answer * machine.write_s
        slot.at, slot.cached, slot.begun_s = (bundle, item), bundle, self.now_s + after_s
        self._at(slot.begun_s + read_s + write_s, self._end, slot, slot.turn, first, read_s, write_s)

    def _end(self, slot: Slot, turn: int, first: bool, read_s: float, write_s: float) -> None:
        if turn != slot.turn:
            return  # it was stopped
        assert slot.at
        bundle, item = slot.at
        slot.host.learn(0 if first else 1, bundle.paper.tokens, read_s)
        slot.host.learn(2, bundle.paper.answers[item], write_s)
        slot.host.sum_up()
        self.missing -= 1
        self.answers += 1
        self.answer_tokens += bundle.paper.answers[item]
        answers, tokens = self.by_prompt.get(item, (0, 0))
        self.by_prompt[item] = answers + 1, tokens + bundle.paper.answers[item]
        tries = bundle.trying.pop(item)
        for loser in tries:
            loser.turn += 1
            loser.at = None
            took_s = 0.0 if loser.host.dead else max(0.0, self.now_s - loser.begun_s)
            self.worked_s += took_s
            self.doubled_s += took_s if loser is not slot else 0.0
        if not bundle.trying and not bundle.unstarted:
            self.open.pop(bundle.number, None)
        for one in sorted(tries, key=lambda one: one is not bundle.holder):
            self._go_on(one, bundle)

    def _go_on(self, slot: Slot, bundle: Bundle) -> None:
        if slot.host.dead:
            return
        if bundle.holder is slot and bundle.number in self.open:
            return self._begin(slot, bundle, self.terms.gap_s)
        slot.host.idle.append(slot)
        slot.host.asks_s = self.now_s  # a slot that falls free asks at once
        self._ask(slot.host, self.now_s)

    def _kill(self, host: Host) -> None:
        host.dead = True
        self.remaining = tuple(len(one.unstarted) + len(one.trying) for one in self.bundles)
        for one in self.open.values():
            for slot in itertools.chain.from_iterable(one.trying.values()):
                slot.turn += slot.host is host
        self._at(self.now_s + self.terms.back_s, self._give_back, host)

    def _give_back(self, host: Host) -> None:
        """What the dead host tried, nobody tries any more; what it held is due."""
        host.peer = Peer(host.id, 0, None)
        for one in list(self.open.values()):
            for item, slots in list(one.trying.items()):
                one.trying[item] = [slot for slot in slots if slot.host is not host]
                if not one.trying[item]:
                    del one.trying[item]
                    one.unstarted.append(item)
            if one.holder and one.holder.host is host:
                one.holder = None
                del self.open[one.number]
                insort(self.due, (one.paper.tokens, one.number))
                self.due_tokens += one.paper.tokens
                self.due_items += len(one.unstarted)


def run(machines: Sequence[Machine], papers: Sequence[Paper], terms: Terms, seed: int) -> Outcome:
    """The policy's run."""
    return Run(machines, papers, terms, seed).outcome()


def pull(machines: Sequence[Machine], papers: Sequence[Paper], terms: Terms, seed: int, whole: bool) -> float:
    """Slots that take the next item, or the next whole paper, in the order of submission; the makespan."""
    noise = random.Random(seed)
    free = [(0.0, n, machine, -1) for n, machine in enumerate(m for m in machines for _ in range(m.slots))]
    units = [(n, range(len(p.answers))) for n, p in enumerate(papers)]
    if not whole:
        units = [(n, range(item, item + 1)) for n, items in units for item in items]
    last_s = 0.0
    for number, items in units:
        at_s, n, machine, cached = free[0]
        for item in items:
            tokens, answer = papers[number].tokens, papers[number].answers[item]
            read_s = machine.fixed_s + tokens * (machine.again_s if cached == number else machine.read_s)
            at_s += terms.gap_s
            at_s += max(0.3, noise.gauss(1.0, terms.noise)) * (read_s + answer * machine.write_s)
            cached = number
        heapq.heapreplace(free, (at_s, n, machine, cached))
        last_s = max(last_s, at_s)
    return last_s


def bound_s(
    machines: Sequence[Machine], papers: Sequence[Paper], gap_s: float, items: Sequence[int] | None = None
) -> float:
    """No schedule is faster: all the work, each paper read once, over the rate of all slots; or the longest
    paper on the fastest slot, as whole papers would have it. `items`: so many of each paper are left."""
    left = items or [len(paper.answers) for paper in papers]
    first = sum(paper.tokens for paper, n in zip(papers, left, strict=True) if n)
    again = sum(paper.tokens * (n - 1) for paper, n in zip(papers, left, strict=True) if n)
    answer = sum(sum(p.answers) / len(p.answers) * n for p, n in zip(papers, left, strict=True))

    def alone_s(one: Machine, first: float, again: float, answer: float, items: float) -> float:
        read_s = first * one.read_s + again * one.again_s
        return read_s + answer * one.write_s + items * (one.fixed_s + gap_s)

    rate = sum(one.slots / alone_s(one, first, again, answer, sum(left)) for one in machines)
    fastest = min(machines, key=lambda one: alone_s(one, first, again, answer, sum(left)))
    chain_s = max(
        alone_s(fastest, p.tokens, (len(p.answers) - 1) * p.tokens, sum(p.answers), len(p.answers))
        for p in papers
    )
    return max(1 / rate, chain_s) if items is None else 1 / rate
