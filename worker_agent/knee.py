"""How many requests at a time give a host its best throughput, found from the requests it answers anyway.

An engine that admits sixteen requests may be no faster with sixteen than with three: beyond the knee they
only wait for each other. Pure: instants and counts are given.
"""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

CAP = 32  # where an engine does not say how many it carries
GOOD = 0.95  # of the best rate is enough: twice as many requests have to give more than 5 %
LEAST_ENDED, LEAST_S = 3, 1.0  # answers and seconds before a level says anything
MUCH_ENDED = 12  # before more slots are said to give nothing more
MOST_ENDED = 48  # answers (or four for each slot) after which an unclear level is taken at its word
DOUBT = 0.3  # so many standard errors speak for fewer slots
MOST_BETWEEN = 3  # levels that are tried and too few, where a curve bends slowly
CERTAIN = 2.0  # so many have to speak against what was found earlier
SPREAD = 0.15  # of the speed of single answers, at least: a few that agree by chance prove little
LOOK_AGAIN_S = 600.0
LOOK_AGAIN_SEARCHES = 20  # or so many times what finding out took
FALL = 0.5  # of the rate that was found: something has changed
FALL_S = 60.0


@dataclass(slots=True)
class _Level:
    """What was seen with `slots` of them busy. A share is what one answer got while this was measured:
    its seconds, and what came."""

    slots: int
    seconds: float = 0.0
    ended: int = 0
    _shares: dict[Hashable, list[float]] = field(default_factory=dict)
    _closed: list[list[float]] = field(default_factory=list)

    def saw(self, seconds: float, came: Mapping[Hashable, int]) -> None:
        self.seconds += seconds
        for key, count in came.items():
            share = self._shares.setdefault(key, [0.0, 0.0])
            share[0] += seconds
            share[1] += count

    def end(self, key: Hashable) -> None:
        """This answer is over."""
        if share := self._shares.pop(key, None):
            self._closed.append(share)
            self.ended += 1

    @property
    def rate(self) -> float:
        """What came a second, of all answers together."""
        return sum(count for _, count in self._all()) / self.seconds if self.seconds else 0.0

    @property
    def error(self) -> float:
        """Relative standard error of `rate`, as of a ratio estimator (Cochran, Sampling Techniques)."""
        shares = self._all()
        count, seconds = sum(share[1] for share in shares), sum(share[0] for share in shares)
        if len(shares) < 2 or not count:
            return 1.0
        mean = count / seconds
        squares = sum((one - mean * lasted) ** 2 for lasted, one in shares) * len(shares) / (len(shares) - 1)
        return min(1.0, math.sqrt(squares / count**2 + SPREAD**2 / len(shares)))

    @property
    def likely(self) -> float:
        """The rate; of a level that stays unclear, a little more."""
        return self.rate * (1 + (DOUBT * self.error if self.all_seen else 0))

    @property
    def enough_seen(self) -> bool:
        return self.seconds >= LEAST_S and self.ended >= max(LEAST_ENDED, self.slots)

    @property
    def much_seen(self) -> bool:
        """Some papers with all their prompts: the first answer of each waits until the paper is read."""
        return self.enough_seen and self.ended >= max(MUCH_ENDED, 2 * self.slots)

    @property
    def all_seen(self) -> bool:
        return self.seconds >= LEAST_S and self.ended >= max(MOST_ENDED, 4 * self.slots)

    def _all(self) -> list[list[float]]:
        return [*self._closed, *self._shares.values()]


class Knee:
    """`slots` is how many requests to keep running now, at most `limit`; `found`: it is the answer, and not a
    step of the search. Feed it with `saw`."""

    def __init__(self, limit: int, start: int = 1) -> None:
        self.limit = limit
        self.slots = min(start, limit)
        self.found = False
        self.rate = 0.0  # of the answer, for the log
        self._before: int | None = None  # the answer of the last search
        self._levels: dict[int, _Level] = {}
        self._at: float | None = None
        self._busy = 0
        self._counts: dict[Hashable, int] = {}
        self._warm = False
        self._begun_at = self._found_at = 0.0

    def saw(self, now_s: float, busy: int, counts: Mapping[Hashable, int]) -> None:
        """`busy` slots are taken at `now_s`, and the answers that were under way since the last call have
        come to so many characters each. To be called around every begin and end, and now and then."""
        gone = self._counts.keys() - counts.keys()
        level = self._level()
        for key in gone:
            level.end(key)
        if self._at is not None and self._warm and counts and self._busy == busy == self.slots:
            came = {key: count - self._counts.get(key, 0) for key, count in counts.items()}
            level.saw(now_s - self._at, came)
        self._begun_at = self._begun_at if self._warm else now_s
        self._warm = self._warm or bool(gone)  # the first answer may have waited for its model
        self._at, self._busy, self._counts = now_s, busy, dict(counts)
        if self.slots > self.limit:
            self._search_anew(now_s, self.limit)
        elif self.found:
            self._watch(now_s, level)
        elif gone and level.enough_seen:
            self._decide(now_s, level)

    def _level(self) -> _Level:
        return self._levels.setdefault(self.slots, _Level(self.slots))

    def _decide(self, now_s: float, level: _Level) -> None:
        """Stay at this level until it is clear, go to the next one, or be done."""
        others = [one for one in self._levels.values() if one is not level and one.enough_seen]
        best = max(others, key=lambda one: one.rate, default=None)
        if best and not level.all_seen and not _certain(level, best):
            return
        following = self._next_level()
        if following is None:
            self._settle(now_s)
        else:
            self._go(following)

    def _next_level(self) -> int | None:
        """What to measure next: twice as many while that helps; then, between the last level that is too few
        and the first that is enough, the fewest that may be: the rate grows at most as the slots do."""
        seen = {level.slots: level for level in self._levels.values() if level.enough_seen}
        best = _best_rate(seen.values())
        enough = self._enough(seen)
        if enough == max(seen) and enough < self.limit:
            return min(2 * enough, self.limit)
        few = max((slots for slots in seen if slots < enough), default=0)
        if not seen[enough].much_seen:
            return enough
        if not few:
            return enough // 2 or None
        if not seen[few].all_seen and not _certain(seen[few], max(seen.values(), key=lambda one: one.rate)):
            return few
        if enough - few > 1 and not seen[few].much_seen:
            return few
        fastest = seen[few].rate / few * (1 + seen[few].error)
        between = max(few + 1, math.ceil(GOOD * best / fastest) if fastest else 0)
        tried = sum(enough / 2 < slots <= few for slots in seen)
        return between if between < enough and tried < MOST_BETWEEN else None

    @staticmethod
    def _enough(seen: Mapping[int, _Level]) -> int:
        good = GOOD * _best_rate(seen.values())
        return min(slots for slots, level in seen.items() if level.likely >= good)

    def _settle(self, now_s: float) -> None:
        seen = {level.slots: level for level in self._levels.values() if level.enough_seen}
        answer = self._enough(seen)
        if self._before and self._before <= self.limit and self._as_good(self._before, answer, seen):
            answer = self._before  # whoever changes for a neighbour, or for luck, changes back next time
        self.rate = seen[answer].rate if answer in seen else max(level.rate for level in seen.values())
        self.found, self._before, self._found_at = True, answer, now_s
        self._go(answer)
        self._levels.clear()

    @staticmethod
    def _as_good(before: int, answer: int, seen: Mapping[int, _Level]) -> bool:
        """Whether what was found earlier may stay."""
        if answer <= before:
            return before - answer <= max(1, before // 8)
        level = seen.get(before)
        best = GOOD * _best_rate(seen.values())
        return level is not None and level.rate * (1 + CERTAIN * level.error) >= best

    def _watch(self, now_s: float, level: _Level) -> None:
        """Now and then, or when the host has become slow, find out again."""
        since_s = now_s - self._found_at
        if since_s > max(LOOK_AGAIN_S, LOOK_AGAIN_SEARCHES * (self._found_at - self._begun_at)):
            self._search_anew(now_s, self.slots)
        elif level.all_seen:
            self._levels.clear()
            if level.rate < FALL * self.rate and since_s > FALL_S:
                self._search_anew(now_s, self.slots)

    def _search_anew(self, now_s: float, start: int) -> None:
        self.found, self._begun_at = False, now_s
        self._levels.clear()
        self._go(start)

    def _go(self, slots: int) -> None:
        """Answers under way are part of what was, and of what comes."""
        for key in self._counts:
            if level := self._levels.get(self.slots):
                level.end(key)
                level.ended -= 1
        self.slots = slots


def _best_rate(levels: Iterable[_Level]) -> float:
    """The mean of all levels that may well be the best; the highest alone would be the luckiest."""
    levels = list(levels)
    top = max(level.rate * (1 - level.error) for level in levels)
    good = [(level.rate, 1 / level.error**2) for level in levels if level.rate * (1 + level.error) >= top]
    return sum(rate * weight for rate, weight in good) / sum(weight for _, weight in good)


def _certain(level: _Level, best: _Level) -> bool:
    """Whether it is certain enough that the fewer slots are too few, or that they are not."""
    few, many = sorted((level, best), key=lambda one: one.slots)
    if not many.rate:
        return False
    share = few.rate / many.rate
    clear = abs(share - GOOD) > share * math.hypot(few.error, many.error)
    return clear and (share < GOOD or (few.much_seen and many.much_seen) or level.much_seen)
