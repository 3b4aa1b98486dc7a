"""The values that travel, and what they look like as JSON."""

import json

from celery import Celery
from celery.backends.base import Backend

from tasks.intake.prompts import Prompt
from tasks.result import Failure, Result
from tasks.work import Manifest, Params, digest, item_id

FAILURE = Failure("mac", "timeout", "no first token within 600 s")
ANSWER = Result("r-0-0", "mac", 2, answer="yes", model="m", failures=(FAILURE,), metrics={"ttft_ms": 9.5})
FAILED = Result("r-0-1", "mac", 4, error=FAILURE, failures=(FAILURE, FAILURE))


def test_a_result_survives_redis() -> None:
    """What a worker commits is what a reader gets, answers and failures alike."""
    for result in (ANSWER, FAILED):
        assert Result.from_json(result.to_json("2026-01-01T00:00:00+00:00")) == result


def test_celery_reads_a_result_as_its_own() -> None:
    """Its JSON backend gives the fields of a success, and an exception with type and reason for a failure."""
    backend = Backend(Celery("reader"))
    good = backend.meta_from_decoded(json.loads(ANSWER.to_json("2026-01-01T00:00:00+00:00")))
    assert (good["status"], good["result"]["answer"], good["task_id"]) == ("SUCCESS", "yes", "r-0-0")
    bad = backend.meta_from_decoded(json.loads(FAILED.to_json("2026-01-01T00:00:00+00:00")))
    assert bad["status"] == "FAILURE"
    assert isinstance(bad["result"], Exception)
    assert type(bad["result"]).__name__ == "timeout"
    assert "no first token" in str(bad["result"])


def test_a_manifest_survives_redis() -> None:
    """All that was asked comes back, whatever is unset."""
    manifest = Manifest(
        "r1",
        (Prompt("why", "Why {content}?"),),
        ("m", "n"),
        Params(9, 0.5, 3, "error"),
        name="mine",
        files=2,
        skipped=("a.docx: no",),
        max_concurrent=4,
        priority="high",
    )
    for one in (manifest, Manifest("r1", (), (), Params())):
        fields = one.to_fields()
        stored = dict(zip(fields[::2], fields[1::2], strict=True)) | {"created": "0"}
        assert Manifest.from_fields("r1", stored) == one


def test_a_digest_is_of_what_it_is_given() -> None:
    """Equal parts give equal digests in every process; order and borders count."""
    assert digest("a", ["b", None]) == digest("a", ("b", None))
    assert len({digest("ab", "c"), digest("a", "bc"), digest("c", "ab"), digest("a", "b", "c")}) == 4
    assert item_id("r1", 20, 3) == "r1-20-3"
