"""The ledger: what every run still owes, and the only hands that touch it.

Each method is one Lua script (`lua/*.lua`, each says what it keeps true), so each happens wholly or
not at all, by the clock of Redis; `tasks/runs.py` only looks. A patient ledger (a worker's) waits until
Redis answers; any other raises BrokerUnreachable.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tasks.connection import Client
from tasks.ledger import keys
from tasks.ledger.claim import Claim, Step
from tasks.ledger.draft import Draft, Kept, entry_args, outcome, utc
from tasks.ledger.outlook import Outlook
from tasks.ledger.scripts import Scripts
from tasks.policy import Choice
from tasks.result import Failure, Result
from tasks.work import PROTOCOL, Entry, Manifest

log = logging.getLogger(__name__)
ANY = Choice(take=True)  # the longest of what is due
IN_LINE = "in line"
MOST_HELD = 256  # bundles at work that a look tells of
LONGEST_PAUSE_MS = 9_000  # between two ticks of a steward that is awake; leader TTL < this < lease


class Ledger(Scripts):
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
        super().__init__(client, patient=patient, say=say)
        self.lease_ms = int(lease_s * 1000)

    # -- submitting ---------------------------------------------------------------------------

    def create(self, manifest: Manifest, same: str, submitter: str, *, fresh: bool) -> str:
        """Start a run, or find the open one that asks the same. Returns the run's id."""
        args = [int(fresh), submitter, self.lease_ms, *manifest.to_fields()]
        return str(self._run("create", manifest.run_id, args, keys.same(same)))

    def resume(self, run_id: str, submitter: str) -> tuple[str, int]:
        """Who submits this run: (`submitted` | `busy` | `yours` | `unknown`, files already done)."""
        return self._resume(run_id, submitter, self.lease_ms)

    def let_go(self, run_id: str, submitter: str) -> None:
        """The submission is not finished, and whoever resumes it next need not wait for a lease."""
        self._resume(run_id, submitter, 0)

    def _resume(self, run_id: str, submitter: str, lease_ms: int) -> tuple[str, int]:
        answer = self._run("resume", run_id, [submitter, lease_ms])
        return str(answer[0]), int(answer[1]) if len(answer) > 1 else 0

    def extend(self, manifest: Manifest, submitter: str) -> str:
        """A run asks more than before: its plan may now have bundles of more stages. Answers `extended` or
        `lost`."""
        return str(self._run("extend", manifest.run_id, [submitter, *manifest.to_fields()]))

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
        finished_at = utc(time.time())
        args: list[Any] = [submitter, self.lease_ms, files_done, contents, first]
        for entry in entries:
            args += entry_args(entry, finished_at)
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
        return [Outlook.from_row(*row) for row in rows]

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
        machine: str = "",
        refused: Callable[[str], None] = lambda _: None,
    ) -> Claim | None:
        """Hold what `choice` wants of a queue, if it is still to be had, and `begin` its first item. None:
        nothing to do, and `refused` hears why: IN_LINE where a cell waits for the engine's `machine`, which
        others have."""
        which = "none" if not choice.take else "shortest" if choice.probe else "longest"
        most = "" if choice.most is None else choice.most
        helps = [f"{one.number} {one.token}" for one in choice.help_]
        args = [token, host, self.lease_ms, int(alone), queue, PROTOCOL, which, most, int(begin)]
        answer = self._run("claim", run_id, [*args, machine and keys.machine(machine), *helps])
        if answer[0] != "granted":
            refused(str(answer[0]))
            return None
        return Claim.granted(run_id, token, answer[1:], begun=begin)

    def begin(self, claim: Claim, host: str, item: int) -> str:
        """An item goes to the engine now: whoever dies from here on died with it. Answers as `renew`."""
        args = [claim.number, claim.token, host, self.lease_ms, item, claim.machine]
        return str(self._run("renew", claim.run_id, args))

    def renew(self, claims: Sequence[Claim], host: str) -> list[str]:
        """Extend leases in one round trip: for each `held`, `lent` (go on with the item at work; somebody
        may be faster), `lost` or `gone`. Not patient."""
        pipe = self.redis.pipeline(transaction=False)
        for claim in claims:
            self._registered("renew")(
                keys=keys.of_run(claim.run_id),
                args=[claim.number, claim.token, host, self.lease_ms, "", claim.machine],
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
            result.to_json(utc(claim.now_ms / 1000)),
            *outcome(result),
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
        blamed = [item, json.dumps(asdict(failure)) + "\n"] if item is not None and failure else ["", ""]
        args = [claim.number, claim.token, int(backoff_s * 1000), int(elsewhere_s * 1000), *blamed]
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
