"""Engines as they are ranked and compared."""

from typing import Any

import pytest

from tasks.errors import InputError
from tasks.report.engines import engines_and_machines, machines_of
from tasks.report.gather import gather
from tasks.report.match import matches
from tasks.report.metric import METRICS
from tasks.report.rank import rankings
from tasks.report.sample import Sample


def rows(
    engine: str, host: str, model: str = "m", ms: float = 100.0, at_s: int = 0, **more: Any
) -> list[Any]:
    return [
        {
            "success": True,
            "engine": engine,
            "host": host,
            "model": model,
            "prompt_sha256": "p",
            "ttft_ms": ms * (1 + k / 1000),
            "e2e_latency_s": 0.5,
            "started_at": f"2026-01-01T00:{at_s:02}:{k:02}+00:00",
            "cached_tokens": 0,
            "prompt_tokens": 1000,
            **more,
        }
        for k in range(30)
    ]


def of_engines(*parts: list[Any]) -> list[Sample]:
    return gather((("run", row) for part in parts for row in part), "engine").samples


def test_the_hosts_of_an_engine_are_one_entry() -> None:
    """And its failures are its own, also those of an item that another engine then answered."""
    elsewhere = rows("vllm", "c", failures=[["b", "timeout", "silent"]])[:1]
    own = {"success": False, "host": "a", "model": "m", "error": {"type": "bad_reply", "message": "no"}}
    parts = rows("ollama", "a"), rows("ollama", "b"), rows("vllm", "c", ms=200), elsewhere, [own]
    (ranking,) = rankings(of_engines(*parts), METRICS["ttft_ms"])
    shown = [(e.rank, e.cell.who, e.n, dict(e.failed)) for e in ranking.entries]
    assert shown == [(1, "ollama · m", 60, {"timeout": 1, "bad_reply": 1}), (2, "vllm · m", 31, {})]
    assert any("models or hosts differ" in note for note in ranking.notes)


def test_each_model_of_two_engines_is_compared_by_itself() -> None:
    """A model that only one of them has is left out, and named; none in common cannot be compared."""
    left = of_engines(rows("ollama", "a", "m"), rows("ollama", "a", "n"))
    right = of_engines(rows("vllm", "b", "m"), rows("vllm", "b", "k"))
    found, notes = matches(("ollama", left), ("vllm", right))
    assert [terms for terms, _, _ in found] == ["m"]
    assert "only ollama was asked n: not compared" in notes
    with pytest.raises(InputError, match=r"asked nothing alike: ollama m, n; vllm k"):
        matches(("ollama", left), ("vllm", of_engines(rows("vllm", "b", "k"))))


def test_prompts_of_two_lengths_are_never_compared() -> None:
    """Neither ranked against each other, nor taken together where nothing else is in common."""
    short, long = ({"target_prompt_tokens": n, "concurrency": 1} for n in (100, 1000))
    both = of_engines(rows("ollama", "a", **short), rows("ollama", "a", **long))
    assert [one.terms for one in rankings(both, METRICS["ttft_ms"])] == [
        "100 tokens · 1 at a time",
        "1000 tokens · 1 at a time",
    ]
    a, b = (gather(("run", row) for row in rows("ollama", "a", **one)).samples for one in (short, long))
    with pytest.raises(InputError, match="nothing alike: x 100 tokens · 1 at a time; y 1000 tokens"):
        matches(("x", a), ("y", b))


def test_what_was_not_asked_is_no_failure() -> None:
    """A prompt that does not fit the window: set aside, and the entry says why it has no rank."""
    error = {"type": "context_overflow", "message": "too long"}
    unasked = [row | {"success": False, "attempts": 0, "error": error} for row in rows("vllm", "b")]
    (ranking,) = rankings(of_engines(rows("ollama", "a"), unasked), METRICS["ttft_ms"])
    assert [(e.cell.who, e.reason, e.error_rate) for e in ranking.entries] == [
        ("ollama · m", None, 0.0),
        ("vllm · m", "not measured, it does not fit the window", None),
    ]


def test_machines_are_told_apart_from_engines_where_they_can_be() -> None:
    """Only an engine beside its worker is known to be on that one's machine; NaN and gaps are no overlap."""
    samples = of_engines(rows("ollama", "a"), rows("vllm", "b", at_s=10))
    here = {"beside_engine": True, "machine": "mac-1"}
    one = machines_of([{"id": "a", **here}, {"id": "b", **here}])
    assert engines_and_machines(samples, one) == ["all on one machine: ollama on a; vllm on b"]
    apart = ["engine and machine are not told apart: ollama on a; vllm on b"]
    far = machines_of([{"id": "a", **here}, {"id": "b", **here, "beside_engine": False}])
    assert engines_and_machines(samples, far) == apart
    elsewhere = {"machine": "desk", "beside_engine": False, "engine_machine": "mac-1"}
    there = machines_of([{"id": "a", **elsewhere}, {"id": "b", **here, "engine_machine": "mac-1"}])
    assert engines_and_machines(samples, there) == engines_and_machines(samples, one)
    assert engines_and_machines(samples, {}) == apart
    at_once = of_engines(rows("ollama", "a"), rows("vllm", "b", started_at="gone"), rows("vllm", "b"))
    assert engines_and_machines(at_once, one)[1:] == [
        "ollama and vllm ran at the same time, and may have slowed each other"
    ]
    assert engines_and_machines(of_engines(rows("ollama", "a")), one) == []
