"""Answers of earlier runs: where a commit keeps them, and which of them a new run may take.

An answer is kept under its answer key, which hashes everything that decides it. What a simulated engine
said is kept apart, and a model that is known to have changed since answers anew.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.hosts import HostRecord
from tasks.intake.plan import key_of
from tasks.ledger import keys
from tasks.ledger.draft import Kept
from tasks.ledger.ledger import Ledger
from tasks.result import Result, content_id
from tasks.work import Bundle, Entry, Manifest, item_id

KEY_CHARS = 24  # of the answer key's hash: 96 bits


def kept(manifest: Manifest, bundle: Bundle, item: int, result: Result, ttl_s: int) -> Kept | None:
    """Where this result is kept for later runs; None: it is no answer."""
    if not result.success:
        return None
    key = key_of(manifest, bundle, item, result.content)
    return _place(bundle, key, ttl_s, simulated=result.simulated)


def places_of(bundle: Bundle, key: str) -> tuple[str, tuple[str, str]]:
    """Where an answer of this key may lie, a real one and a simulated one: one hash a paper; without a paper,
    one an answer."""
    short = key[:KEY_CHARS]
    return keys.answers(bundle.paper or short), (short, f"{short}:simulated")


def _place(bundle: Bundle, key: str, ttl_s: int, *, simulated: bool) -> Kept:
    name, fields = places_of(bundle, key)
    return Kept(name, fields[simulated], ttl_s)


@dataclass(slots=True)
class Earlier:
    """What is known already of a run about to be. `hosts`: the live ones, which tell whether answers will be
    simulated and which models have changed. `on_file`: an answer by its key, from results written earlier;
    `taken` counts. Keys are computed only where there may be an answer: a new paper costs none, nor does what
    comes after an answer that is not known."""

    ledger: Ledger
    manifest: Manifest
    hosts: Sequence[HostRecord]
    ttl_s: int
    on_file: Callable[[str], Result | None] | None = None
    taken: int = 0

    def entries(self, first: int, rows: Sequence[tuple[Bundle, str]]) -> list[Entry]:
        """The bundles, numbered from `first`, with the answers there are. A later stage's bundle is among the
        rows with its parent: they were planned together."""
        known: dict[int, dict[int, Result]] = {}
        for depth in range(1 + max((bundle.depth for bundle, _ in rows), default=0)):
            self._look_up(first, rows, depth, known)
        self.taken += sum(map(len, known.values()))
        return [
            Entry(bundle, queue, tuple(known.get(at, {}).items())) for at, (bundle, queue) in enumerate(rows)
        ]

    def _look_up(
        self, first: int, rows: Sequence[tuple[Bundle, str]], depth: int, known: dict[int, dict[int, Result]]
    ) -> None:
        """Add what is known at one depth to `known`, by row and item."""
        keyed = list(self._keys(first, rows, depth, known))
        found = self._find(
            [_place(rows[at][0], key, 0, simulated=self._simulated) for at, _, key, _ in keyed]
        )
        for (at, item, key, content), in_redis in zip(keyed, found, strict=True):
            result = in_redis or (self.on_file(key) if self.on_file else None)
            if result and self._usable(result):
                own = item_id(self.manifest.run_id, first + at, item)
                origin = result.reused_from or result.item_id
                taken = replace(result, item_id=own, reused_from=origin, content=content)
                known.setdefault(at, {})[item] = taken

    def keep(self, entries: Sequence[Entry]) -> None:
        """What was taken is this run's from now on, and outlives the run it came from."""
        pipe = self.ledger.redis.pipeline(transaction=False)
        for entry in entries:
            for item, result in entry.known:
                if place := kept(self.manifest, entry.bundle, item, result, self.ttl_s):
                    pipe.hset(place.key, place.field, result.item_id)
                    pipe.expire(place.key, place.ttl_s)
        self.ledger.patiently(pipe.execute)

    @property
    def _simulated(self) -> bool:
        return bool(self.hosts) and all(host.simulated for host in self.hosts)

    def _keys(
        self, first: int, rows: Sequence[tuple[Bundle, str]], depth: int, known: dict[int, dict[int, Result]]
    ) -> Iterator[tuple[int, int, str, str | None]]:
        """(row, item, answer key, what stands in it for its parent's answer) of every item of this depth that
        may have been answered."""
        every = bool(self.on_file) or self._any_answers(rows)
        for at, (bundle, _) in enumerate(rows):
            if bundle.depth != depth or bundle.error or not (every or bundle.paper is None):
                continue
            for item in range(len(bundle.prompts)):
                if bundle.parent is None:
                    yield at, item, key_of(self.manifest, bundle, item), None
                elif parent := known.get(bundle.parent - first, {}).get(item):
                    content = content_id(parent.answer or "")
                    yield at, item, key_of(self.manifest, bundle, item, content), content

    def _any_answers(self, rows: Sequence[tuple[Bundle, str]]) -> bool:
        """About any of these papers, to whatever."""
        names = {keys.answers(bundle.paper) for bundle, _ in rows if bundle.paper}
        return bool(names) and bool(self.ledger.patiently(lambda: self.ledger.redis.exists(*names)))

    def _find(self, places: Sequence[Kept]) -> list[Result | None]:
        """What stands there now; its result may be gone since."""
        client = self.ledger.redis
        fields: dict[str, list[str]] = {}
        for place in places:
            fields.setdefault(place.key, []).append(place.field)

        def ids() -> dict[tuple[str, str], str | None]:
            pipe = client.pipeline(transaction=False)
            for key, of_key in fields.items():
                pipe.hmget(key, of_key)
            return {
                (key, field): item
                for (key, of_key), items in zip(fields.items(), pipe.execute(), strict=True)
                for field, item in zip(of_key, items, strict=True)
            }

        found = self.ledger.patiently(ids)
        items = [found[place.key, place.field] for place in places]
        names = [keys.result(item) for item in items if item]
        rows = iter(self.ledger.patiently(lambda: client.mget(names)) if names else [])
        texts = [next(rows) if item else None for item in items]
        return [Result.from_json(text) if text else None for text in texts]

    def _usable(self, result: Result) -> bool:
        """An answer, and not of a model that has another digest now wherever that is known."""
        digests = {
            m.digest for host in self.hosts for m in host.models if m.name == result.model and m.digest
        }
        changed = result.model_digest is not None and digests and result.model_digest not in digests
        return result.success and result.simulated == self._simulated and not changed
