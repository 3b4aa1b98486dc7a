"""The cells of a benchmark as bundles, in the order they are done: on each host one behind the other, so that
a model is loaded once. Of a sweep the next level when the one before it has ended; of a host that comes up
later all its cells then. Pure."""

from collections import Counter
from collections.abc import Sequence

from tasks.bench.cell import GAIN, MOST_AT_ONCE, Load
from tasks.work import Bundle, Manifest


class Cells:
    """Knows which bundles there are; `planned` are those of an earlier go at this run."""

    def __init__(self, manifest: Manifest, planned: Sequence[Bundle] = ()) -> None:
        assert manifest.bench
        self._manifest, self._bench = manifest, manifest.bench
        self.planned = list(planned)

    def first(self) -> list[Bundle]:
        """All that can be said at once and is not planned yet."""
        loads, planned = self._bench.loads(), Counter(bundle.stage for bundle in self.planned)
        stages = range(len(self._manifest.stages))
        return [self._add(stage, load) for stage in stages for load in loads[planned[stage] :]]

    def widen(self, manifest: Manifest) -> list[Bundle]:
        """As `first`, of a manifest that has more stages."""
        self._manifest = manifest
        return self.first()

    def series(self, bundle: Bundle) -> int:
        """Whose levels a sweep doubles: a number for each stage, with lengths for each stage and length."""
        lengths = self._bench.lengths
        if not (lengths and bundle.load and bundle.load.length):
            return bundle.stage
        return bundle.stage * len(lengths) + lengths.index(bundle.load.length)

    def open_series(self, ended: Sequence[int]) -> dict[int, int]:
        """Series whose sweep goes on (those `ended` do not), with the number of the last level."""
        last = {self.series(bundle): number for number, bundle in enumerate(self.planned)}
        return {series: number for series, number in last.items() if series not in ended}

    def before(self, number: int) -> int | None:
        """The number of the level before this one, of the same series."""
        own = self.series(self.planned[number])
        earlier = [n for n, bundle in enumerate(self.planned[:number]) if self.series(bundle) == own]
        return earlier[-1] if earlier else None

    def following(self, number: int, rate: float | None, rate_before: float | None) -> list[Bundle]:
        """The level after the one that gave `rate`, if twice as many at a time may still help; else none."""
        bundle = self.planned[number]
        assert bundle.load
        many = 2 * (bundle.load.concurrency or MOST_AT_ONCE)
        most = min(MOST_AT_ONCE, self._bench.requests or MOST_AT_ONCE)  # fewer are never so many at a time
        if not rate or many > most or (rate_before and rate < GAIN * rate_before):
            return []
        return [self._add(bundle.stage, self._bench.at(many, bundle.load.length))]

    def _add(self, index: int, load: Load) -> Bundle:
        stage = self._manifest.stages[index]
        hosts = [bundle.host for bundle in self.planned]
        last = len(hosts) - 1 - hosts[::-1].index(stage.host) if stage.host in hosts else None
        prompts = self._bench.prompts_of(load, len(self._manifest.prompts))
        bundle = Bundle(
            None, None, stage.model, prompts, stage=index, host=stage.host, load=load, behind=last
        )
        self.planned.append(bundle)
        return bundle
