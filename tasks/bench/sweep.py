"""A sweep as it goes: the next level of each series once the last one has its results."""

import time
from collections.abc import Callable, Iterator

from tasks.bench.plan import Cells
from tasks.bench.rate import throughput
from tasks.errors import SubmissionStopped
from tasks.result import Result
from tasks.runs import Runs
from tasks.work import Bundle

POLL_S = 0.25


def sweep(runs: Runs, run_id: str, cells: Cells, stopped: Callable[[], bool]) -> Iterator[list[Bundle]]:
    """The levels to be added, as they are known; ends with the last series, at once where there is none.
    Raises SubmissionStopped."""
    ended = [cells.series(bundle) for bundle in cells.planned if not (bundle.load and bundle.load.sweep)]
    while waiting := cells.open_series(ended):
        if stopped():
            raise SubmissionStopped(f"the sweep of run {run_id} is not finished")
        if runs.status(run_id).state == "cancelled":
            raise SubmissionStopped(f"run {run_id} was cancelled")
        for series, number in waiting.items():
            results = _results(runs, run_id, cells, number)
            if results is None:
                continue
            before = cells.before(number)
            earlier = None if before is None else _results(runs, run_id, cells, before)
            following = cells.following(number, throughput(results), throughput(earlier or []))
            if following:
                yield following
            else:
                ended.append(series)
        time.sleep(POLL_S)


def _results(runs: Runs, run_id: str, cells: Cells, number: int) -> list[Result] | None:
    """A cell's results; None: it has not ended."""
    load = cells.planned[number].load
    pairs = [(number, item) for item in range(load.items if load else 0)]
    found = [result for result in runs.results(run_id, pairs) if result]
    return found if len(found) == len(pairs) else None
