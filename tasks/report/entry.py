"""What an entry of somebody's file must be before anything is computed from it. Names, outcomes and lists of
tries must have their types, or the file is refused with the place and the key; a figure that is none counts
as unknown, and is counted. Pure."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.errors import InputError
from tasks.report.columns import TYPES

Row = dict[str, Any]

# Of a file of requests, what it takes to tell its answers apart.
NEEDED = ("request_id", "status", "host", "model", "prompt_id", "prompt_sha256", "paper_id")
STATUSES = ("ok", "timeout", "cancelled", "error")
PARAMS = ("max_tokens", "temperature", "seed", "overflow")
# What no statistics need, and what the others say already.
TEXTS = frozenset({
    "prompt_template", "reasoning", "error_message", "answer_key", "request_id", "worker",
    "first_token_at", "last_token_at", "schema_version", "request_index",
    "finish_reason", "layout", "quantization", "chunk_count", "ttfr_ms", "max_chunk_gap_ms", "http_status",
})  # fmt: skip

_MOMENTS = frozenset(name for name, kind in TYPES.items() if kind is str and name.endswith("_at"))
_FIGURES = {name for name, kind in TYPES.items() if kind in (int, float)} | {"repeat"}
_SWITCHES = {name for name, kind in TYPES.items() if kind is bool}
_NAMES = {name for name, kind in TYPES.items() if kind is str} - _MOMENTS
_NAMES |= {"file", "prompt_name", "llmq_version"}
_SIGNED = (
    "clock_offset_s",
    "mem_system_delta_mib",
    "temp_c_max",
    "temperature",
    "seed",
)  # others are never below zero
_HEAD: dict[str, type] = dict.fromkeys(("timestamp", "run_id", "name", "state"), str)
_HEAD |= dict.fromkeys(("files_skipped", "prompts_used"), list)
_HEAD |= dict.fromkeys(("files_processed", "total_tasks", "successful", "failed", "cancelled", "cut"), float)
_HEAD |= dict.fromkeys(("reused", "success_rate", "total_time_seconds", "tasks_per_second"), float)
_KINDS = {str: "a text", list: "a list of texts", float: "a number"}
_MOST = 1e12  # of any figure: nothing here is measured beyond, and sums of it stay numbers
_SHOWN_CHARS = 40  # of what is wrong, in a message


@dataclass(slots=True)
class Entries:
    """Takes the entries of one file. `odd`: figures that were none, by key; `tries`: attempts that failed and
    that a file of requests only counts."""

    odd: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    again: int = 0  # entries of an item that was there before
    _items: set[tuple[str, str]] = field(default_factory=set)

    def is_new(self, row: Row) -> bool:
        """Whether its item has not been seen. One that stands twice, as where two files were put into one,
        would count twice, and be thought twice as sure."""
        item = row.get("item_id")
        if item is None:
            return True
        key = str(row.get("run_id") or ""), str(item)
        self.again += key in self._items
        new = key not in self._items
        self._items.add(key)
        return new

    def take(self, entry: Any, where: str) -> Row:
        """What is read of an entry of results, or of a request. Raises InputError, which names `where` and
        the key."""
        if not isinstance(entry, dict):
            raise _expected(where, "an object", entry)
        if "success" not in entry and "status" in entry and "request_id" in entry:
            entry = self._of_request(entry, where)
        elif isinstance(metrics := entry.get("metrics"), dict):
            entry = entry | metrics
        if "success" not in entry:
            raise InputError(f"{where}: no key success")
        return self._read(entry, where)

    def notes(self) -> list[str]:
        """What a reader of the figures must know of the file."""
        said = [f"{name}: {n} values are none, and count as unknown" for name, n in sorted(self.odd.items())]
        if self.again:
            said.append(f"{self.again} entries are of items that stand in it already, and count once")
        if self.tries:
            said.append(
                f"{self.tries} failed tries of answered items are in no entry: a file of requests names none"
            )
        return said

    def _of_request(self, entry: Row, where: str) -> Row:
        """A row of requests.csv as one of results."""
        for name in NEEDED:
            if name not in entry:
                raise InputError(f"{where}: no column {name}, which a file of requests has")
        status = entry["status"]
        if status is not None and status not in STATUSES:
            raise _expected(f"{where}, status", f"one of {', '.join(STATUSES)}", status)
        kind = _text(entry.get("error_type"), f"{where}, error_type")
        attempts = entry.get("attempts")
        if status == "ok" and _is_figure("attempts", attempts):
            self.tries += max(0, int(attempts or 0) - 1)
        return entry | {
            "success": None if status is None else status == "ok",
            "error": {"type": kind or status, "message": ""} if status not in (None, "ok") else None,
            "item_id": entry.get("item_id") or entry["request_id"],
            "prompt_name": entry["prompt_id"],
        }

    def _read(self, entry: Row, where: str) -> Row:
        row: Row = {}
        for name, value in entry.items():
            if name in TEXTS or name not in _READ or (name == "finished_at" and entry["success"]):
                continue
            found = None if value is None else self._value(name, value, f"{where}, {name}")
            if found is not None or name == "success":
                row[name] = found
        return row

    def _value(self, name: str, value: Any, where: str) -> Any:
        if name in _SHAPES:
            return _SHAPES[name](value, where)
        if name in _NAMES:
            return _text(value, where)
        if name in _SWITCHES:
            return _switch(value, where)
        fits = _is_figure(name, value) if name in _FIGURES else name == "params" or _is_moment(value)
        if fits and TYPES.get(name) is int and value == int(value):
            value = int(value)  # pandas makes 4.0 of a 4 where the column has an empty cell
        if name == "params":
            fits = isinstance(value, dict)
            value = {one: value[one] for one in PARAMS if _is_plain(value.get(one))} if fits else None
        if not fits:
            self.odd[name] += 1
        return value if fits else None


def checked_head(head: Row, where: str) -> Row:
    """The summary of results.json, what is read of it. Raises InputError that names the key."""
    known: Row = {}
    for name, value in head.items():
        if value is None or name not in _HEAD:
            continue
        kind = _HEAD[name]
        if kind is list:
            fits = isinstance(value, list) and all(one is None or isinstance(one, str) for one in value)
        else:
            fits = isinstance(value, str) if kind is str else _is_figure(name, value)
        if not fits:
            raise _expected(f"{where}, {name}", _KINDS[kind], value)
        known[name] = value
    return known


def _expected(where: str, what: str, found: Any) -> InputError:
    """`results.json, entry 3, host: expected a text, found 5`"""
    text = json.dumps(found, default=str)
    return InputError(
        f"{where}: expected {what}, found {text[:_SHOWN_CHARS]}{'...' if len(text) > _SHOWN_CHARS else ''}"
    )


def _text(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _expected(where, "a text", value)
    return value


def _switch(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _expected(where, "true or false", value)
    return value


def _metrics(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _expected(where, "an object", value)


def _response(value: Any, where: str) -> dict[str, str] | None:
    """Its model; other programs have the answer alone there."""
    if isinstance(value, str):
        return None
    if not isinstance(value, dict):
        raise _expected(where, "an object or a text", value)
    model = _text(value.get("model"), f"{where}, model")
    return {"model": model} if model else None


def _error(value: Any, where: str) -> dict[str, str]:
    if isinstance(value, str):  # as distributed-llm-mac writes them
        return {"type": "error", "message": value}
    if not isinstance(value, dict):
        raise _expected(where, "an object or a text", value)
    known = {name: _text(value.get(name), f"{where}, {name}") for name in ("type", "message")}
    return {"type": known["type"] or "error", "message": known["message"] or ""}


def _failures(value: Any, where: str) -> list[list[str | None]]:
    """[host, type, message] of each try."""
    if not isinstance(value, list):
        raise _expected(where, "a list of tries", value)
    for number, one in enumerate(value, 1):
        if not isinstance(one, list) or len(one) < 2:
            raise _expected(f"{where}, {number}", "[host, type, message]", one)
        host, kind, *_ = one
        _text(host, f"{where}, {number}, host")
        if not isinstance(kind, str):
            raise _expected(f"{where}, {number}, type", "a text", kind)
    return [one[:2] for one in value]


def _is_figure(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (-_MOST if name in _SIGNED else 0) <= value <= _MOST


def _is_moment(value: Any) -> bool:
    """In the years that a difference of two can be taken of."""
    try:
        return 1970 <= datetime.fromisoformat(value).year < 9999
    except (TypeError, ValueError):
        return False


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


_SHAPES: dict[str, Callable[[Any, str], Any]] = {
    "success": _switch,
    "metrics": _metrics,
    "response": _response,
    "error": _error,
    "failures": _failures,
}
_READ = _NAMES | _FIGURES | _SWITCHES | _MOMENTS | _SHAPES.keys() | {"params"}
