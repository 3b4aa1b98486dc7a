"""The ledger: what every run still owes, and the only hands that touch it.

Each method is one Lua script (`lua/*.lua`, each says what it keeps true), so each happens wholly or
not at all, by the clock of Redis; `tasks/runs.py` only looks. A patient ledger (a worker's) waits until
Redis answers; any other raises BrokerUnreachable.
"""

import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, TypeVar

import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
)

from tasks.connection import Client
from tasks.errors import BrokerUnreachable
from tasks.ledger import keys
from tasks.policy import Backlog, Choice, Held
from tasks.work import PROTOCOL, Bundle, Entry, Failure, Manifest, Result

log = logging.getLogger(__name__)
T = TypeVar("T")
# It does not answer, or takes no writes now.
AWAY = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
ANY = Choice(take=True)  # the longest of what is due
MOST_HELD = 256  # bundles at work that a look tells of
USUAL_ANSWER = 200.0  # tokens, before there was any
REFUSED = ("OOM ", "MISCONF", "BUSY ", "READONLY", "NOREPLICAS")
LONG_S, LONGEST_WAIT_S = 0.8, 1.6  # pauses between tries: the first worth a word, the longest
LONGEST_PAUSE_MS = 9_000  # between two ticks of a steward that is awake; leader TTL < this < lease


@cache
def _script(name: str) -> str:
    folder = Path(__file__).with_name("lua")
    common = "" if name == "lead" else (folder / "common.lua").read_text()
    return common + (folder / f"{name}.lua").read_text()


@dataclass(frozen=True, slots=True)
class Claim:
    """A bundle now held under `token`. `items` are those without a result; `claimed_ms` and
    `added_ms` are by the clock of Redis. `suspect` ran when earlier holders died, `deaths` times.
    `begun`: its first item is."""

    run_id: str
    number: int
    token: str
    bundle: Bundle
    items: tuple[int, ...]
    queue: str
    claimed_ms: int
    added_ms: int
    failures: dict[int, tuple[Failure, ...]]
    suspect: int | None = None
    deaths: int = 0
    begun: bool = False
    claimed_at: float = field(default_factory=time.monotonic)

    @property
    def now_ms(self) -> int:
        """Now, by the clock of Redis: ours may be off."""
        return self.claimed_ms + int((time.monotonic() - self.claimed_at) * 1000)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an answer is kept for later runs: a hash, a field of it, and for how long."""

    key: str
    field: str
    ttl_s: int


class Step(NamedTuple):
    """After an item: its result was the `first`, came `late`, or its run is `unknown`; the bundle is still
    `held`, or `done`, `lost` or `gone`. Held, the next item, and how many follow that one."""

    novelty: str
    bundle: str
    next_item: int | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run has for a queue: what is due there, what is at work, and how many bundles wait (those that
    failed a moment ago included). `coming`: its submission goes on."""

    run_id: str
    queue: str
    priority: int
    coming: bool
    due: Backlog
    held: tuple[Held, ...]
    waiting: int

    @property
    def busy(self) -> bool:
        """There is work, begun or not."""
        return bool(self.waiting or self.held)


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit as its script takes it, the result as text."""

    run_id: str
    args: tuple[Any, ...]
    more_keys: tuple[str, ...]


class Ledger:
    """The scripts by name. `lease_s`: how long a holder that says nothing is trusted; a `patient` one says
    when it begins and ends to wait for Redis."""

    def __init__(
        self,
        client: Client,
        *,
        lease_s: float = 15.0,
        patient: bool = False,
        say: Callable[[str], None] = log.warning,
    ) -> None:
        self.redis = client
        self._say = say
        self.lease_ms = int(lease_s * 1000)
        self.closing = Event()  # a patient ledger stops waiting for Redis when this is set
        self._patient = patient
        self.back_at = float("-inf")  # when it answered again after an outage
        self._scripts: dict[str, Any] = {}

    # -- submitting ---------------------------------------------------------------------------

    def create(self, manifest: Manifest, same: str, submitter: str, *, fresh: bool) -> str:
        """Start a run, or find the open one that asks the same. Returns the run's id."""
        args = [int(fresh), submitter, self.lease_ms, *manifest.to_fields()]
        return str(self._run("create", manifest.run_id, args, keys.same(same)))

    def resume(self, run_id: str, submitter: str) -> tuple[str, int]:
        """Who submits this run: (`submitted` | `busy` | `yours` | `unknown`, files already done)."""
        answer = self._run("resume", run_id, [submitter, self.lease_ms])
        return str(answer[0]), int(answer[1]) if len(answer) > 1 else 0

    def add(
        self,
        run_id: str,
        submitter: str,
        files_done: int,
        first: int,
        entries: Sequence[Entry],
        contents: str = "",
    ) -> str:
        """Put bundles into plan and ledger, numbered from `first`, with what is known of them; `contents`: a
        digest of the files read by now (tasks/sameness.py).
        Answers `added`, `lost` (another command submits this run now), `cancelled`, or `behind`
        (Redis came back without earlier ones)."""
        finished_at = _utc(time.time())
        args: list[Any] = [submitter, self.lease_ms, files_done, contents, first]
        for entry in entries:
            bundle = entry.bundle
            args += [bundle.to_json(), entry.queue, len(bundle.prompts), bundle.tokens]
            reads = bundle.parent is not None and not bundle.copies
            args += [bundle.after, int(reads), bundle.depth, len(entry.known)]
            for item, result in entry.known:
                args += [item, *_outcome(result), result.to_json(finished_at)]
        return str(self._run("add", run_id, args))

    def submitted(self, run_id: str, submitter: str) -> str:
        """All bundles are in: from now on nothing owed means done."""
        return str(self._run("submitted", run_id, [submitter]))

    # -- holding ------------------------------------------------------------------------------

    def look(self, queues: Sequence[str], most_held: int = MOST_HELD) -> list[Outlook]:
        """What the open runs have for these queues now, in one round trip: the run to ask first comes first.
        Tells of at most so many bundles at work."""
        script = self._registered("look")
        rows = self.patiently(lambda: script(keys=keys.of_run("*"), args=[most_held, *queues]))
        return [_outlook(*row) for row in rows]

    def claim(
        self,
        run_id: str,
        queue: str,
        token: str,
        host: str,
        *,
        alone: bool,
        choice: Choice = ANY,
        begin: bool = False,
    ) -> Claim | None:
        """Hold what `choice` wants of a queue, if it is still to be had, and `begin` its first item. None:
        nothing to do."""
        which = "none" if not choice.take else "shortest" if choice.probe else "longest"
        most = "" if choice.most is None else choice.most
        helps = [f"{one.number} {one.token}" for one in choice.help_]
        args = [token, host, self.lease_ms, int(alone), queue, PROTOCOL, which, most, int(begin), *helps]
        answer = self._run("claim", run_id, args)
        if answer[0] != "granted":
            return None
        number, record, claimed_ms, flat, missing = answer[1:]
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        failed = {k.removeprefix("failed:"): v for k, v in fields.items() if k.startswith("failed:")}
        return Claim(
            run_id=run_id,
            number=int(number),
            token=token,
            bundle=Bundle.from_json(record),
            items=tuple(map(int, missing)),
            queue=fields["queue"],
            claimed_ms=int(claimed_ms),
            added_ms=int(fields["added"]),
            failures={int(item): _failures(lines) for item, lines in failed.items()},
            suspect=int(fields["suspect"]) if "suspect" in fields else None,
            deaths=int(fields.get("deaths", 0)),
            begun=begin,
        )

    def begin(self, claim: Claim, host: str, item: int) -> str:
        """An item goes to the engine now: whoever dies from here on died with it. Answers as `renew`."""
        args = [claim.number, claim.token, host, self.lease_ms, item]
        return str(self._run("renew", claim.run_id, args))

    def renew(self, claims: Sequence[Claim], host: str) -> list[str]:
        """Extend leases in one round trip: for each `held`, `lent` (go on with the item at work; somebody
        may be faster), `lost` or `gone`. Not patient."""
        pipe = self.redis.pipeline(transaction=False)
        for claim in claims:
            self._registered("renew")(
                keys=keys.of_run(claim.run_id),
                args=[claim.number, claim.token, host, self.lease_ms, ""],
                client=pipe,
            )
        return list(pipe.execute())

    def lend(self, claim: Claim, item: int) -> str:
        """Let other hosts have the bundle while this one still tries `item`. Answers `lent` or `lost`."""
        return str(self._run("lend", claim.run_id, [claim.number, claim.token, self.lease_ms, item]))

    def next(self, claim: Claim) -> Step:
        """Somebody else has answered the item at work: what to do instead."""
        return Step("late", *self._run("next", claim.run_id, [claim.number, claim.token, self.lease_ms]))

    def commit(self, claim: Claim, item: int, result: Result, kept: Kept | None = None) -> Step:
        """File an item's result if it is the first; `kept`: later runs may take it."""
        return self.file(self.draft(claim, item, result, kept))

    def draft(self, claim: Claim, item: int, result: Result, kept: Kept | None = None) -> Draft:
        """A commit to be filed, and to be filed again if Redis forgets it."""
        args = (
            claim.number,
            item,
            claim.token,
            self.lease_ms,
            result.to_json(_utc(claim.now_ms / 1000)),
            *_outcome(result),
            "" if result.answer_tokens is None else result.answer_tokens,
            keys.LATE,
            *([kept.field, kept.ttl_s] if kept else []),
        )
        return Draft(claim.run_id, args, (kept.key,) if kept else ())

    def file(self, draft: Draft) -> Step:
        """Answers as `commit`."""
        return Step(*self._run("commit", draft.run_id, draft.args, *draft.more_keys))

    def file_all(self, drafts: Sequence[Draft]) -> list[Step]:
        """As `file`, all of them or none."""
        script = self._registered("commit")

        def run() -> list[Any]:
            pipe = self.redis.pipeline(transaction=True)
            for draft in drafts:
                script(keys=[*keys.of_run(draft.run_id), *draft.more_keys], args=draft.args, client=pipe)
            return list(pipe.execute())

        return [Step(*answer) for answer in self.patiently(run)]

    def release(
        self,
        claim: Claim,
        *,
        backoff_s: float = 0.0,
        elsewhere_s: float = 0.0,
        item: int | None = None,
        failure: Failure | None = None,
    ) -> str:
        """Give a bundle back, due after `backoff_s`, not to this host for `elsewhere_s` if others
        can; `item` with `failure`: what went wrong here."""
        failed = item is not None and failure is not None
        reason = json.dumps(asdict(failure)) + "\n" if failed and failure else ""
        args = [
            claim.number,
            claim.token,
            int(backoff_s * 1000),
            int(elsewhere_s * 1000),
            item if failed else "",
            reason,
        ]
        return str(self._run("release", claim.run_id, args))

    # -- stewarding ---------------------------------------------------------------------------

    def lead(self, token: str, ttl_s: float) -> bool:
        """Be the steward for `ttl_s` seconds, or resign with 0. Not patient."""
        return bool(self._registered("lead")(keys=[keys.STEWARD], args=[token, int(ttl_s * 1000)]))

    def expire(self, run_id: str) -> tuple[int, dict[str, int]]:
        """Take back what is held past its lease. Returns bundles due now, and waiting by queue."""
        keys_ = [*keys.of_run(run_id), keys.TICK]
        answer = self._registered("expire")(keys=keys_, args=[LONGEST_PAUSE_MS, self.lease_ms])
        waiting = {q: int(n) for q, n in zip(answer[1::2], answer[2::2], strict=True)}
        return int(answer[0]), waiting

    def reap(self, host: str, incarnation: str) -> int:
        """Take back what a dead predecessor on this host held. Returns how many bundles."""
        held = self.patiently(lambda: self.redis.smembers(keys.held(host)))
        pairs = [member.split(" ") for member in held]
        return sum(int(self._run("reap", run, [n, host, incarnation])) for run, n in pairs)

    # -- ending -------------------------------------------------------------------------------

    def cancel(self, run_id: str) -> int:
        """A run owes nothing more. Returns what it still owed in bundles, -1 if it had ended."""
        return int(self._run("cancel", run_id, [keys.CANCELLED]))

    def withdraw(self, run_id: str, queue: str, most: int) -> int:
        """Take the run's invitations out of the `most` oldest messages of a queue; the others go round to
        its young end. Returns how many were taken."""
        return int(self._run("withdraw", run_id, [most], queue))

    def forget(self, run_id: str, papers: Sequence[str], known: Sequence[str]) -> int:
        """Remove texts, and where answers about them lie, unless there is a run that is not among `known`.
        Returns how many keys went, or -1."""
        return int(self._run("forget", run_id, known, *map(keys.text, papers), *map(keys.answers, papers)))

    # -- talking to Redis ---------------------------------------------------------------------

    def _run(self, name: str, run_id: str, args: Sequence[Any], *more_keys: str) -> Any:
        script = self._registered(name)
        all_keys = [*keys.of_run(run_id), *more_keys]
        return self.patiently(lambda: script(keys=all_keys, args=args))

    def _registered(self, name: str) -> Any:
        if name not in self._scripts:
            self._scripts[name] = self.redis.register_script(_script(name))
        return self._scripts[name]

    def patiently(self, ask: Callable[[], T]) -> T:
        """What `ask` answers, asked again while Redis is away (if this ledger is patient)."""
        pause_s = 0.1
        while True:
            try:
                answer = ask()
            except redis.RedisError as error:
                if not _away(error):
                    raise
                if not self._patient or self.closing.wait(pause_s):
                    raise BrokerUnreachable(f"Redis does not answer: {error}") from error
                if pause_s == LONG_S:
                    self._say(f"waiting for Redis: {error}")
                pause_s = min(pause_s * 2, LONGEST_WAIT_S)
            else:
                if pause_s > LONG_S:
                    self.back_at = time.monotonic()
                    self._say("Redis answers again")
                return answer


def _away(error: redis.RedisError) -> bool:
    """It does not answer, or takes no writes now. Inside a script, Redis 6 says so in words only."""
    if isinstance(error, AuthenticationError):  # waiting brings no password
        return False
    return isinstance(error, AWAY) or any(word in str(error) for word in REFUSED)


def new_token(incarnation: str) -> str:
    """A token for one execution: two on the same worker are two holders."""
    return f"{incarnation}.{secrets.token_hex(6)}"


def _outlook(run_id: str, queue: str, priority: str, coming: int, *rest: Any) -> Outlook:
    """From a row of lua/look.lua."""
    bundles, items, tokens, shortest, answers, answer_tokens = map(int, rest[:6])
    usual = answer_tokens / answers if answers else USUAL_ANSWER
    rows = zip(*[iter(rest[6:])] * 9, strict=True)
    return Outlook(
        run_id,
        queue,
        int(priority),
        bool(coming),
        Backlog(bundles, items, tokens, shortest, usual) if shortest >= 0 else Backlog(0, 0, 0, 0, usual),
        tuple(
            Held(
                int(n),
                token,
                host,
                int(size),
                int(left),
                int(age_ms) / 1000,
                int(copies),
                float(answer) if answer else None,
                float(later) if later else None,
            )
            for n, token, host, size, left, age_ms, copies, answer, later in rows
        ),
        waiting=bundles,
    )


def _outcome(result: Result) -> tuple[str, int, str]:
    """How a result is counted: outcome, cut, host."""
    return "successful" if result.success else "failed", int(result.cut), result.host


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


def _failures(lines: str) -> tuple[Failure, ...]:
    return tuple(Failure(**json.loads(line)) for line in lines.splitlines())
