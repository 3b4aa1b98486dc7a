"""Looking at runs: how one stands, its plan and results, and which one a person means."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import InputError, UnknownRun
from tasks.ledger import keys
from tasks.ledger.ledger import Ledger
from tasks.result import Result
from tasks.work import PRIORITIES, Bundle, Manifest, item_id

PAGE = 500


@dataclass(frozen=True, slots=True)
class Status:
    """How a run stands. `state`: submitting, incomplete (its submission broke off), open, done or
    cancelled. `reused`: answers of earlier runs; `waiting`: bundles by queue; `by_host`: items finished
    there; `priority`: low, normal or high."""

    run_id: str
    name: str | None
    state: str
    created_ms: int
    ended_ms: int | None
    now_ms: int
    total: int
    successful: int
    failed: int
    cut: int
    reused: int
    held: int
    waiting: dict[str, int]
    by_host: dict[str, int]
    priority: str = "normal"

    @property
    def ended(self) -> bool:
        return self.state in {"done", "cancelled"}

    @property
    def finished(self) -> int:
        """Items that have a result."""
        return self.successful + self.failed


class Runs:
    """The runs of one Redis."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._redis = ledger.redis
        self._ask = ledger.patiently

    def ids(self) -> list[str]:
        """All runs, newest first."""
        return self._ask(self._living)

    def _living(self) -> list[str]:
        """Runs whose life has ended leave the list."""
        ids = self._redis.zrevrange(keys.RUNS, 0, -1)
        pipe = self._redis.pipeline(transaction=False)
        for run_id in ids:
            pipe.exists(keys.run(run_id))
        lives = dict(zip(ids, pipe.execute(), strict=True))
        if gone := [run_id for run_id in ids if not lives[run_id]]:
            self._redis.zrem(keys.RUNS, *gone)
        return [run_id for run_id in ids if lives[run_id]]

    def open_ids(self) -> list[str]:
        """Runs that still owe something, oldest first."""
        open_ = self._ask(lambda: self._redis.smembers(keys.OPEN))
        return [run for run in reversed(self.ids()) if run in open_] if open_ else []

    def papers(self, run_id: str) -> tuple[int, str]:
        """How many files have been read for a run, and the digest of their contents (tasks/sameness.py)."""
        fields = keys.run(run_id), ("files_done", "contents")
        done, contents = self._ask(lambda: self._redis.hmget(*fields))
        return int(done or 0), contents or ""

    def find(self, word: str) -> str:
        """The run a person means: an id, a unique prefix of one, a name, or `latest`.
        Raises UnknownRun, or InputError where it fits several."""
        ids = self.ids()
        if word == "latest" and ids:
            return ids[0]
        fitting = [run for run in ids if run.startswith(word)] or [
            run for run in ids if self.manifest(run).name == word
        ][:1]
        if len(fitting) > 1:
            raise InputError(
                f"{word!r} fits {len(fitting)} runs ({', '.join(fitting[:5])}); give more of the id"
            )
        if not fitting:
            raise _unknown(word)
        return fitting[0]

    def manifest(self, run_id: str) -> Manifest:
        """What a run asked. Raises UnknownRun."""
        fields = self._ask(lambda: self._redis.hgetall(keys.run(run_id)))
        if not fields:
            raise _unknown(run_id)
        return Manifest.from_fields(run_id, fields)

    def status(self, run_id: str) -> Status:
        """How a run stands now. Raises UnknownRun."""
        run, counts, submission, clock = self._ask(lambda: self._snapshot(run_id))
        if not run:
            raise _unknown(run_id)
        tally = {field: int(n) for field, n in counts.items()}
        now_ms = clock[0] * 1000 + clock[1] // 1000
        return Status(
            run_id=run_id,
            name=run["name"] or None,
            state=_state(run, submission, now_ms),
            created_ms=int(run["created"]),
            ended_ms=int(run["ended"]) if "ended" in run else None,
            now_ms=now_ms,
            total=tally.get("total", 0),
            successful=tally.get("successful", 0),
            failed=tally.get("failed", 0),
            cut=tally.get("cut", 0),
            reused=tally.get("reused", 0),
            held=tally.get("held", 0),
            waiting={
                k.removeprefix("waiting:"): n for k, n in tally.items() if k.startswith("waiting:") and n > 0
            },
            by_host=_by_host(tally),
            priority=_priority(run),
        )

    def bundles(self, run_id: str, start: int = 0) -> Iterator[tuple[int, Bundle]]:
        """The plan in order: (number, bundle), from number `start`."""
        while True:
            page = self.page(run_id, start)
            yield from page
            if len(page) < PAGE:
                return
            start += PAGE

    def some_bundles(self, run_id: str, numbers: Iterable[int]) -> dict[int, Bundle]:
        """The bundles of these numbers, in one round trip."""
        wanted = sorted(set(numbers))

        def read() -> list[str]:
            pipe = self._redis.pipeline(transaction=False)
            for number in wanted:
                pipe.lindex(keys.plan(run_id), number)
            return list(pipe.execute())

        return dict(zip(wanted, map(Bundle.from_json, self._ask(read)), strict=True))

    def landed(self, run_id: str, start: int) -> list[tuple[int, int]]:
        """(bundle, item) of up to a thousand results from the `start`-th on, as they landed."""
        rows = self._ask(lambda: self._redis.lrange(keys.done(run_id), start, start + 999))
        pairs = [row.split(" ") for row in rows]
        return [(int(bundle), int(item)) for bundle, item in pairs]

    def results(self, run_id: str, pairs: Sequence[tuple[int, int]]) -> list[Result | None]:
        """The results of (bundle, item) pairs, None where there is none yet."""
        if not pairs:
            return []
        wanted = [keys.result(item_id(run_id, bundle, item)) for bundle, item in pairs]
        return [Result.from_json(row) if row else None for row in self._ask(lambda: self._redis.mget(wanted))]

    def page(self, run_id: str, start: int) -> list[tuple[int, Bundle]]:
        """The first `PAGE` bundles of the plan from number `start` on."""
        return list(enumerate(map(Bundle.from_json, self._plan_page(run_id, start)), start))

    def in_submission(self, run_id: str) -> bool:
        """More bundles may come, now or when its submission is taken up again."""
        return self._ask(lambda: self._redis.zscore(keys.owed(run_id), keys.SUBMISSION)) is not None

    def _plan_page(self, run_id: str, start: int) -> list[str]:
        return list(self._ask(lambda: self._redis.lrange(keys.plan(run_id), start, start + PAGE - 1)))

    def _snapshot(self, run_id: str) -> list[Any]:
        pipe = self._redis.pipeline()
        pipe.hgetall(keys.run(run_id))
        pipe.hgetall(keys.counts(run_id))
        pipe.zscore(keys.owed(run_id), keys.SUBMISSION)
        pipe.time()
        return list(pipe.execute())


def _unknown(word: str) -> UnknownRun:
    return UnknownRun(f"no run {word!r} in this Redis; `llmq runs` lists those there are")


def _state(run: dict[str, str], submission: float | None, now_ms: int) -> str:
    if "cancelled" in run:
        return "cancelled"
    if submission is not None:
        return "submitting" if submission > now_ms else "incomplete"
    return "done" if "ended" in run else "open"


def _priority(run: dict[str, str]) -> str:
    rank = int(run.get("priority", 0))
    return next((word for word, value in PRIORITIES.items() if value == rank), "normal")


def _by_host(tally: dict[str, int]) -> dict[str, int]:
    hosts: dict[str, int] = {}
    for field, n in tally.items():
        outcome, _, host = field.partition(":")
        if outcome in {"successful", "failed"} and host:
            hosts[host] = hosts.get(host, 0) + n
    return hosts
