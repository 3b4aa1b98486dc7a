"""A benchmark as it goes: the next level of each series once the last one has its results, and the cells of
hosts that come up while others are measured."""

import time
from collections.abc import Callable, Iterator

from tasks.bench.plan import Cells
from tasks.bench.rate import throughput
from tasks.errors import SubmissionStopped
from tasks.result import Result
from tasks.runs import Runs
from tasks.work import Bundle

POLL_S = 0.25


def growth(
    runs: Runs,
    run_id: str,
    cells: Cells,
    stopped: Callable[[], bool],
    arrived: Callable[[], list[Bundle] | None],
) -> Iterator[list[Bundle]]:
    """What is to be added, as it is known; ends with the last series, at once where there is none and nobody
    is missing. `arrived`: the cells of hosts that have come up since it was last asked; None: nobody is
    missing. They are waited for while others have cells left. Raises SubmissionStopped."""
    ended = [cells.series(bundle) for bundle in cells.planned if not (bundle.load and bundle.load.sweep)]
    while True:
        late, waiting = arrived(), cells.open_series(ended)
        if late:
            ended += [cells.series(bundle) for bundle in late if not (bundle.load and bundle.load.sweep)]
            yield late
            continue
        if not waiting and late is None:
            return
        if stopped():
            raise SubmissionStopped(f"the benchmark {run_id} is not finished")
        status = runs.status(run_id)
        if status.state == "cancelled":
            raise SubmissionStopped(f"run {run_id} was cancelled")
        if not waiting and status.finished >= status.total:
            return
        yield from _levels(runs, run_id, cells, waiting, ended)
        time.sleep(POLL_S)


def _levels(
    runs: Runs, run_id: str, cells: Cells, waiting: dict[int, int], ended: list[int]
) -> Iterator[list[Bundle]]:
    """The next ones of series whose last one has its results; a series that is over joins `ended`."""
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


def _results(runs: Runs, run_id: str, cells: Cells, number: int) -> list[Result] | None:
    """A cell's results; None: it has not ended."""
    load = cells.planned[number].load
    pairs = [(number, item) for item in range(load.items if load else 0)]
    found = [result for result in runs.results(run_id, pairs) if result]
    return found if len(found) == len(pairs) else None
