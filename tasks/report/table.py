"""A row of a report as plain fields: nested for JSON, flat for CSV. With figures.py, the only place that
flattens."""

import json
import re
from collections.abc import Iterable
from typing import Any

from tasks.report.collect import Row
from tasks.report.columns import METRICS
from tasks.report.figures import figures, request
from tasks.result import Result

# What a spreadsheet would run as a formula (OWASP: CSV injection), also in the full-width forms that some
# take for the same.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

HEAD = ("file", "prompt_name", "model", "host", "success", "response", "error_type", "error_message")
FACTS = (
    "item_id",
    "stage",
    "parent",
    "repeat",
    "engine",
    "engine_version",
    "model_digest",
    "simulated",
    "attempts",
    "windows",
    "cut",
    "finish_reason",
    "reused_from",
    "reasoning",
)
OF_RESULT = FACTS[4:]
PARAMS = ("max_tokens", "temperature", "seed", "overflow")
ORIGIN = ("failures", "paper_id", "prompt_sha256", "layout", *PARAMS, "llmq_version", "answer_key")
COLUMNS = (*HEAD, *FACTS, *ORIGIN, *METRICS)


def to_object(row: Row) -> dict[str, Any]:
    """One entry of `results` in results.json, one line of JSONL. Without a result yet: `success` null."""
    result = row.result
    return {
        "file": row.file,
        "prompt_template": row.prompt_template,
        "success": result.success if result else None,
        "response": {"model": result.model, "response": result.answer} if result and result.success else None,
        "error": {"type": result.error.type, "message": result.error.message}
        if result and result.error
        else None,
        "item_id": row.item_id,
        "prompt_name": row.prompt_name,
        "stage": row.stage,
        "parent": row.parent,
        "repeat": row.repeat,
        "host": result.host or None if result else None,
        **({name: getattr(result, name) for name in OF_RESULT} if result else {}),
        "failures": _failures(result),
        "paper_id": row.paper,
        "prompt_sha256": row.prompt_sha256,
        "layout": row.layout,
        "params": {name: getattr(row.params, name) for name in PARAMS},
        "llmq_version": row.llmq,
        "answer_key": row.answer_key,
        "metrics": figures(row, result) if result else None,
    }


def to_cells(row: Row) -> list[Any]:
    """The row under COLUMNS; unknown is empty, and no text starts a formula."""
    result = row.result
    head = [row.file, row.prompt_name, result.model if result else row.model, *_outcome(result)]
    known = (getattr(result, name) if result else None for name in OF_RESULT)
    facts = [row.item_id, row.stage, row.parent, row.repeat, *known]
    params = [getattr(row.params, name) for name in PARAMS]
    failed = _failures(result)
    origin = [json.dumps(failed) if failed else None, row.paper, row.prompt_sha256, row.layout]
    metrics = figures(row, result).values() if result else [None] * len(METRICS)
    return _cells((*head, *facts, *origin, *params, row.llmq, row.answer_key, *metrics))


def to_request_cells(row: Row) -> list[Any]:
    """The row under REQUEST."""
    return _cells(request(row).values())


def _cells(values: Iterable[Any]) -> list[Any]:
    return [to_cell(value) for value in values]


def _outcome(result: Result | None) -> tuple[Any, ...]:
    """host, success, response, error_type, error_message"""
    if result is None:
        return None, None, None, None, None
    error = result.error
    return (
        result.host,
        result.success,
        result.answer,
        error.type if error else None,
        error.message if error else None,
    )


def _failures(result: Result | None) -> list[list[str]]:
    """[host, type, message] of each attempt that failed, in their order."""
    return [[one.host, one.type, one.message] for one in result.failures] if result else []


def to_cell(value: Any) -> Any:
    """A value as CSV has it; unknown is empty, and no text starts a formula."""
    if isinstance(value, str):
        return tame(value)
    return str(value).lower() if isinstance(value, bool) else value


def untamed(text: str) -> str:
    """What `tame` made of a text that starts like a formula, as a model named `@cf/meta/llama` does."""
    rest = text.removeprefix("'")
    return rest if rest.lstrip(" ").startswith(FORMULA_STARTS) else text


def tame(text: str) -> str:
    """A text that stays in its cell: line ends of one kind, for a lone CR ends a row in some readers;
    no control characters, no formula, and nothing that UTF-8 cannot write."""
    if not text.isprintable():  # neither has such a text, and most are such
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = _CONTROLS.sub("\ufffd", text).encode("utf-8", "backslashreplace").decode()
    return "'" + text if text.lstrip(" ").startswith(FORMULA_STARTS) else text
