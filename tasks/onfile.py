"""Answers in JSONL results written earlier: a run whose Redis is gone goes on where its file ends."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.report.figures import kept_of
from tasks.result import Failure, Result

BACKUP = "~"  # the name an older file has while a newer one is written in its place


class OnFile:
    """The answers in these files, by answer key. Only where they stand is kept in memory; the files stay
    open, so that others may take their names. What cannot be read as a result is passed over."""

    def __init__(self, paths: Iterable[Path]) -> None:
        names = [name for path in paths for name in (path.with_name(path.name + BACKUP), path)]
        self._files = [name.open("rb") for name in names if name.is_file()]
        self._places: dict[str, tuple[int, int]] = {}
        for number, file in enumerate(self._files):
            at = 0
            for line in file:
                if key := _key(line):
                    self._places[key] = (number, at)
                at += len(line)

    def __call__(self, key: str) -> Result | None:
        if key not in self._places:
            return None
        number, at = self._places[key]
        self._files[number].seek(at)
        return _result(json.loads(self._files[number].readline()))

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        for file in self._files:
            file.close()


def _key(line: bytes) -> str | None:
    try:
        row = json.loads(line)
        return str(row["answer_key"]) if row["success"] and _result(row).answer is not None else None
    except (ValueError, KeyError, TypeError):  # torn, or not ours
        return None


def _result(row: dict[str, Any]) -> Result:
    return Result(
        item_id=row["item_id"],
        host=row["host"] or "",
        attempts=row["attempts"],
        answer=row["response"]["response"],
        reasoning=row["reasoning"],
        engine=row["engine"],
        engine_version=row["engine_version"],
        model=row["response"]["model"],
        model_digest=row["model_digest"],
        simulated=row["simulated"],
        finish_reason=row["finish_reason"],
        cut=row["cut"],
        windows=row["windows"],
        reused_from=row["reused_from"],
        failures=tuple(Failure(*one) for one in row["failures"]),
        metrics=kept_of(row["metrics"]),
    )
