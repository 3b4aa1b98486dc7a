"""A new run of an ended one's plan: what failed runs again, everything else is carried over."""

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from tasks.enqueue import enqueue
from tasks.errors import InputError
from tasks.ledger.ledger import Ledger
from tasks.request import submitter as _submitter
from tasks.result import UPSTREAM_FAILED, Result
from tasks.runs import Runs
from tasks.submit import Submitted
from tasks.work import Bundle, Entry, digest, item_id

PAGE = 500


def retry(ledger: Ledger, run_id: str, error: str | None = None) -> Submitted:
    """Run again what failed in `run_id` (with `error`: of this type only), or was cancelled. While the retry
    is open, the same goes on with it. Papers that could not be read are carried over as they are: a run does
    not know where their files lie. Raises InputError where the run is open or there is nothing to do."""
    runs = Runs(ledger)
    status = runs.status(run_id)
    if not status.ended:
        raise InputError(f"run {run_id} is {status.state}; wait for its end, or cancel it first")
    if runs.manifest(run_id).bench:
        raise InputError(
            f"run {run_id} is a benchmark: a cell is measured whole; `llmq bench` measures it again"
        )
    old = _Old(runs, run_id, error)
    if not any(entry.open for entry in old.entries(run_id)):
        of = f" with {error}" if error else ""
        raise InputError(
            f"nothing to run again in run {run_id}: no item failed{of} (papers that could not be read: mend "
            "the files and submit them again)"
        )
    manifest = replace(runs.manifest(run_id), run_id=uuid.uuid4().hex[:10], **_submitter())
    submitter = secrets.token_hex(8)
    new_id = ledger.create(manifest, digest("retry", run_id, error), submitter, fresh=False)
    whose, done = ledger.resume(new_id, submitter)
    if whose == "yours":
        entries = islice(old.entries(new_id), done, None)
        while page := list(islice(entries, PAGE)):
            enqueue(ledger, new_id, submitter, done + len(page), done, page)
            done += len(page)
        ledger.submitted(new_id, submitter)
    return Submitted(new_id, continued=new_id != manifest.run_id)


@dataclass(frozen=True, slots=True)
class _Old:
    runs: Runs
    run_id: str
    error: str | None

    def entries(self, new_id: str) -> Iterator[Entry]:
        """The plan for `new_id`: what is not run again is known. What comes after an item that runs again
        does so too."""
        again: set[tuple[int, int]] = set()
        bundles = self.runs.bundles(self.run_id)
        while page := list(islice(bundles, PAGE)):
            pairs = [(number, item) for number, bundle in page for item in range(len(bundle.prompts))]
            results = iter(self.runs.results(self.run_id, pairs))
            for number, bundle in page:
                carried = []
                for item in range(len(bundle.prompts)):
                    result = next(results)
                    if result and (bundle.parent, item) not in again and self._stays(bundle, result):
                        carried.append((item, self._carried(result, item_id(new_id, number, item))))
                    else:
                        again.add((number, item))
                yield Entry(bundle, bundle.queue, tuple(carried))

    def _stays(self, bundle: Bundle, result: Result) -> bool:
        """Unless its parent runs again, an item that failed because of that one would fail again."""
        if result.error is None or bundle.error or result.error.type == UPSTREAM_FAILED:
            return True
        return self.error is not None and result.error.type != self.error

    @staticmethod
    def _carried(result: Result, own: str) -> Result:
        origin = result.reused_from or result.item_id
        return replace(result, item_id=own, reused_from=origin if result.success else None)
