"""Commits of a moment ago, to be made again: a Redis that was killed comes back without the last second of
its writes, and answers that have been paid for would be asked again."""

import time
from collections import deque
from collections.abc import Sequence

from tasks.ledger.claim import Claim, Step
from tasks.ledger.draft import Draft, Kept
from tasks.ledger.ledger import Ledger
from tasks.result import Result


class RecentCommits:
    """Commits through the ledger and remembers them, as texts, until two renewals found the same Redis."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._made: deque[tuple[float, Draft]] = deque()
        self._server: str | None = None
        self._met_at = self._met_before = 0.0
        self._again_at = time.monotonic()  # when they were last made again after an outage

    def commit(self, claim: Claim, item: int, result: Result, kept: Kept | None = None) -> Step:
        """As `Ledger.commit`."""
        draft = self._ledger.draft(claim, item, result, kept)
        step = self._ledger.file(draft)
        if self._ledger.back_at > self._again_at:
            self._again_at = time.monotonic()
            for _, earlier in list(self._made):
                self._ledger.file(earlier)
            if step.bundle == "held":  # the next item may have had its answer before the outage
                step = Step(step.novelty, *self._ledger.next(claim)[1:])
        self._made.append((time.monotonic(), draft))
        return step

    def commit_all(self, claim: Claim, results: Sequence[tuple[int, Result]]) -> list[Step]:
        """All of them or none."""
        drafts = [self._ledger.draft(claim, item, result) for item, result in results]
        steps = self._ledger.file_all(drafts)
        self._made.extend((time.monotonic(), draft) for draft in drafts)
        return steps

    def met(self, server: str) -> int:
        """Redis answered, and says it is `server` (its run id, another after each start). Returns how many
        commits were made again."""
        made = list(self._made) if self._server not in (None, server) else []
        for _, draft in made:
            self._ledger.file(draft)
        self._server, self._met_before, self._met_at = server, self._met_at, time.monotonic()
        while self._made and self._made[0][0] < self._met_before:
            self._made.popleft()
        return len(made)
