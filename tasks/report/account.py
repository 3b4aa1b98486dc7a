"""What a run's rows say besides figures: how they ended and why, who answered, when. One pass, which lets the
rows through to whoever computes the figures. Knows neither Redis nor markup."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.report.row import Row, at_s, figure, scale_of

REASONS = 400  # different failures that are kept apart
FILES = 4  # named of each
CELL = ("host", "model", "concurrency", "target_rps", "target_prompt_tokens")  # of a benchmark
ANSWERED, CUT, FAILED = 0, 1, 2


@dataclass(slots=True)
class Reason:
    """Items that failed the same way, and some of their files."""

    count: int = 0
    hosts: Counter[str] = field(default_factory=Counter)
    files: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """A host as its rows show it. `begin_s` and `end_s` of each request, `outcome` one of the three; a failed
    one whose beginning nobody knows begins with its end. `tries`: attempts that failed here, by type.
    `at_once`: the most requests that a benchmark had at a time here."""

    engines: Counter[str] = field(default_factory=Counter)
    models: dict[tuple[str, str | None], int] = field(default_factory=dict)
    begin_s: "array[float]" = field(default_factory=lambda: array("d"))
    end_s: "array[float]" = field(default_factory=lambda: array("d"))
    outcome: bytearray = field(default_factory=bytearray)
    answered: int = 0
    tokens: float = 0.0
    simulated: bool = False
    time_scale: float | None = None  # of a simulated one
    tries: Counter[str] = field(default_factory=Counter)
    at_once: int = 0


@dataclass(slots=True)
class Measured:
    """Requests of a benchmark that were not its warm-ups, how they ended, and the cells they are of."""

    total: int = 0
    answered: int = 0
    failed: int = 0
    cut: int = 0
    cells: set[tuple[object, ...]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Item:
    """What a pair needs to know of an item."""

    who: str
    parent: str | None
    took_s: float
    success: bool | None
    pair: str | None


@dataclass(slots=True)
class Account:
    """Counts of items. `untimed`: requests of this run whose times nobody knows; `measured`: those of a
    benchmark, None elsewhere."""

    total: int = 0
    answered: int = 0
    failed: int = 0
    open: int = 0
    cut: int = 0
    reused: int = 0
    in_parts: int = 0
    simulated: int = 0
    untimed: int = 0
    measured: Measured | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: dict[tuple[str, str], Reason] = field(default_factory=dict)
    hosts: dict[str, Seen] = field(default_factory=dict)
    concurrencies: set[int] = field(default_factory=set)
    models: Counter[str] = field(default_factory=Counter)
    papers: dict[str, str | None] = field(default_factory=dict)
    prompts: dict[str, str | None] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    llmq: str | None = None
    items: dict[str, Item] = field(default_factory=dict)

    def through(self, rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
        """The same rows, each counted as it passes."""
        for run, row in rows:
            self._take(row)
            yield run, row

    @property
    def tries(self) -> int:
        """Attempts that failed, also of items that were answered in the end."""
        return sum(seen.tries.total() for seen in self.hosts.values())

    def host(self, name: str) -> Seen:
        return self.hosts.setdefault(name, Seen())

    def _take(self, row: Row) -> None:
        success = row.get("success")
        self.total += 1
        self.answered += success is True
        self.failed += success is False
        self.open += success is None
        self.simulated += bool(row.get("simulated"))
        self._take_question(row)
        self._take_item(row)
        if success is None:
            return
        self.reused += bool(row.get("reused_from"))
        self.cut += bool(success and row.get("cut"))
        self.in_parts += (row.get("windows") or 1) > 1
        if row.get("load_mode"):
            self._take_measured(row, success=bool(success))
        if not success:
            self._take_reason(row)
        if not row.get("reused_from"):
            self._take_host(row, success=bool(success))

    def _take_measured(self, row: Row, *, success: bool) -> None:
        made = self.measured = self.measured or Measured()
        if row.get("phase") != "measure":
            return
        made.total += 1
        made.answered += success
        made.failed += not success
        made.cut += bool(success and row.get("cut"))
        made.cells.add(tuple(str(row.get(name)) for name in CELL))

    def _take_question(self, row: Row) -> None:
        file = row.get("file") or row.get("paper_id")  # a file of requests has no names
        if file is not None:
            self.papers.setdefault(str(file), row.get("paper_id"))
        name = str(row.get("prompt_name") or row.get("prompt_id") or "prompt")
        self.prompts.setdefault(name, row.get("prompt_sha256"))
        if not self.params:
            params = row.get("params")
            self.params = params if isinstance(params, dict) else {}
        self.llmq = self.llmq or row.get("llmq_version")
        if isinstance(concurrency := row.get("concurrency"), int):
            self.concurrencies.add(concurrency)

    def _take_item(self, row: Row) -> None:
        model = row.get("model")
        if model:
            self.models[str(model)] += 1
        item_id = str(row.get("item_id") or len(self.items))
        self.items[item_id] = Item(
            "@".join(str(part) for part in (model, row.get("host")) if part) or "unknown",
            row.get("parent"),
            took_s(row),
            row.get("success"),
            row.get("pair_id"),
        )

    def _take_reason(self, row: Row) -> None:
        error = row.get("error") or {}
        kind = str(error.get("type") or "error")
        self.kinds[kind] += 1
        key = (kind, str(error.get("message") or ""))
        if key not in self.reasons and len(self.reasons) >= REASONS:
            key = (kind, "other messages")
        reason = self.reasons.setdefault(key, Reason())
        reason.count += 1
        reason.hosts[str(row.get("host") or "no host")] += 1
        if len(reason.files) <= FILES:
            reason.files.setdefault(str(row.get("file") or row.get("prompt_name") or "no paper"))

    def _take_host(self, row: Row, *, success: bool) -> None:
        tries = [(name, kind) for name, kind, *_ in row.get("failures") or ()]
        for name, kind in tries:
            if name:
                self.host(str(name)).tries[str(kind)] += 1
        if not row.get("host"):
            return
        seen = self.host(str(row["host"]))
        seen.simulated |= bool(row.get("simulated"))
        seen.time_scale = seen.time_scale or scale_of(row)
        if row.get("load_mode") and isinstance(at_once := row.get("concurrency"), int):
            seen.at_once = max(seen.at_once, at_once)
        if row.get("engine"):
            seen.engines[" ".join(str(row[k]) for k in ("engine", "engine_version") if row.get(k))] += 1
        if success:
            model = (str(row.get("model") or "unknown"), row.get("model_digest"))
            seen.models[model] = seen.models.get(model, 0) + 1
            seen.answered += 1
            tokens = figure(row, "completion_tokens")
            seen.tokens += 0.0 if math.isnan(tokens) else tokens
        elif not tries:
            seen.tries[str((row.get("error") or {}).get("type") or "error")] += 1
        self._take_time(row, seen, success=success)

    def _take_time(self, row: Row, seen: Seen, *, success: bool) -> None:
        begin_s, took_s = at_s(row, "started_at"), figure(row, "stream_end_s")
        end_s = begin_s + (figure(row, "e2e_latency_s") if math.isnan(took_s) else took_s)
        if not success:
            end_s = at_s(row, "finished_at")
            end_s = figure(row, "ended_ms") / 1000 if math.isnan(end_s) else end_s
        if math.isnan(end_s):
            self.untimed += 1
            return
        seen.begin_s.append(end_s if math.isnan(begin_s) else min(begin_s, end_s))
        seen.end_s.append(end_s)
        seen.outcome.append(FAILED if not success else CUT if row.get("cut") else ANSWERED)


def took_s(row: Row) -> float:
    """The inference of an item; NaN where it is unknown, or another run's."""
    return math.nan if row.get("reused_from") else figure(row, "e2e_latency_s")
