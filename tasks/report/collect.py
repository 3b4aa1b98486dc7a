"""A run's results in the order of its plan, and their summary. Streams; knows no file format."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from tasks.intake.plan import key_of
from tasks.intake.stages import FIRST, leaves
from tasks.report.origins import Origins, first_of, who
from tasks.result import Failure, Result
from tasks.runs import Runs, Status
from tasks.work import Bundle, Manifest, Params, item_id

PAGE = 100  # bundles read at a time


@dataclass(frozen=True, slots=True)
class Row:
    """One WorkItem and how it ended, or `result` None: not yet. `parent`: the item whose answer one of a
    later stage reads; `ends`: no stage reads its own; `pair`: who wrote first in its chain and who had the
    last word, of one that ends it, where both are known. `paper`: the sha256 of its text, None where it has
    none; `layout` and `llmq` as in the Manifest. With that text, what was asked can be asked again. `index`
    orders the rows as the plan does, with gaps where a bundle does not have all prompts."""

    item_id: str
    file: str | None
    prompt_name: str
    prompt_template: str
    model: str | None
    result: Result | None
    stage: str = FIRST
    parent: str | None = None
    repeat: int = 0
    ends: bool = True
    paper: str | None = None
    params: Params = field(default_factory=Params)
    layout: int = 1
    llmq: str | None = None
    answer_key: str | None = None
    index: int = 0
    pair: str | None = None

    @property
    def prompt_sha256(self) -> str:
        return _sha256(self.prompt_template)


@dataclass(frozen=True, slots=True)
class Report:
    """A run as a reader sees it. `rows()` may be asked for again, and reads Redis each time."""

    manifest: Manifest
    status: Status
    runs: Runs = field(repr=False)

    def rows(self) -> Iterator[Row]:
        """Every item in plan order. Items of a cancelled run without a result end as `cancelled`."""
        pages = self.runs.bundles(self.manifest.run_id)
        origins = Origins()
        while page := list(islice(pages, PAGE)):
            yield from self._page(page, origins)

    def failed_rows(self) -> Iterator[Row]:
        """Items that failed, in plan order."""
        return (row for row in self.rows() if row.result and not row.result.success)

    def landed(self, start: int) -> list[Row]:
        """Rows of up to a thousand results from the `start`-th on, in the order they landed."""
        pairs = self.runs.landed(self.manifest.run_id, start)
        bundles = self.runs.some_bundles(self.manifest.run_id, (number for number, _ in pairs))
        results = self.runs.results(self.manifest.run_id, pairs)
        origins = self._origins(pairs, bundles)
        return [
            self._row(number, bundles[number], item, result, origins.get((number, item)))
            for (number, item), result in zip(pairs, results, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """The head of results.json: the seed's keys and ours. Times in seconds; `tasks_per_second`
        counts successes only, and none that an earlier run had: it says how fast this one was. A success
        rate of 100 is all of them."""
        status = self.status
        answered = status.successful - status.reused
        seconds = ((status.ended_ms or status.now_ms) - status.created_ms) / 1000
        return {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(status.now_ms / 1000)),
            "run_id": status.run_id,
            "name": status.name,
            "state": status.state,
            "files_processed": self.manifest.files,
            "files_skipped": list(self.manifest.skipped),
            "prompts_used": [prompt.template for prompt in self.manifest.prompts]
            + [
                stage.template for stage in self.manifest.stages if stage.template and stage.after is not None
            ],
            "total_tasks": status.total,
            "successful": status.successful,
            "failed": status.total - status.successful if status.ended else status.failed,
            "cancelled": status.total - status.finished if status.state == "cancelled" else 0,
            "cut": status.cut,
            "reused": status.reused,
            "success_rate": _percent(status.successful, status.total),
            "total_time_seconds": round(seconds, 3),
            "tasks_per_second": round(answered / seconds, 4) if seconds > 0 else 0.0,
        }

    def _page(self, page: list[tuple[int, Bundle]], origins: Origins) -> Iterator[Row]:
        pairs = [(number, item) for number, bundle in page for item in range(len(bundle.prompts))]
        results = iter(self.runs.results(self.manifest.run_id, pairs))
        for number, bundle in page:
            own = list(islice(results, len(bundle.prompts)))
            firsts = origins.saw(number, bundle, own)
            for item, result in enumerate(own):
                yield self._row(number, bundle, item, result, firsts[item])

    def _origins(
        self, pairs: list[tuple[int, int]], bundles: dict[int, Bundle]
    ) -> dict[tuple[int, int], str | None]:
        """Who wrote first in the chain of each item of a later stage, of items in any order."""
        known = dict(bundles)
        while (
            missing := {bundle.parent for bundle in known.values() if bundle.parent is not None}
            - known.keys()
        ):
            known |= self.runs.some_bundles(self.manifest.run_id, missing)
        roots = {
            (number, item): (root, item)
            for number, item in pairs
            if (root := first_of(number, known)) != number
        }
        wanted = list(dict.fromkeys(roots.values()))
        found = dict(zip(wanted, map(who, self.runs.results(self.manifest.run_id, wanted)), strict=True))
        return {place: found[root] for place, root in roots.items()}

    def _row(self, number: int, bundle: Bundle, item: int, result: Result | None, first: str | None) -> Row:
        asked = self.manifest
        prompt = asked.prompt_of(bundle, item)
        own_id = item_id(asked.run_id, number, item)
        last = who(result)
        if result is None and self.status.state == "cancelled":
            result = Result(own_id, "", 0, error=Failure("", "cancelled", "the run was cancelled"))
        content = result.content if result else None
        keyed = not bundle.error if bundle.parent is None else content is not None
        keyed = keyed and not bundle.load  # what was sent had a mark before it: nobody else's answer
        ends = not asked.stages or bundle.stage in leaves(asked.stages)
        return Row(
            own_id,
            bundle.file,
            prompt.name,
            prompt.template,
            bundle.model,
            result,
            stage=asked.stage_of(bundle).name,
            parent=None if bundle.parent is None else item_id(asked.run_id, bundle.parent, item),
            repeat=bundle.repeat,
            ends=ends,
            paper=bundle.paper,
            params=asked.params_of(bundle),
            layout=asked.layout,
            llmq=asked.llmq,
            answer_key=key_of(asked, bundle, item, content) if keyed else None,
            index=item if bundle.load else number * len(asked.prompts) + bundle.prompts[item],
            pair=f"{first}->{last}" if ends and bundle.parent is not None and first and last else None,
        )


def _percent(part: int, whole: int) -> float:
    """Rounded, and 100 only where it is all."""
    if not whole or part == whole:
        return 100.0 if whole else 0.0
    return min(round(100 * part / whole, 2), 99.99)


@lru_cache(maxsize=64)  # of a prompt, again and again
def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def report(runs: Runs, run_id: str) -> Report:
    """The report of a run as it stands. Raises UnknownRun."""
    return Report(runs.manifest(run_id), runs.status(run_id), runs)
