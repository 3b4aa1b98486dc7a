"""What the ledger knows of a benchmark: cells in order, all results at once, and nobody helps."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from tasks.bench.cell import Bench
from tasks.bench.plan import Cells
from tasks.bench.progress import note, noted, unnote
from tasks.bench.submission import Submission
from tasks.connection import connect
from tasks.intake.prompts import Prompt
from tasks.intake.stages import Stage
from tasks.ledger.claim import new_token
from tasks.ledger.ledger import Ledger
from tasks.policy import Choice
from tasks.queues import queue_of_host
from tasks.recent import RecentCommits
from tasks.request import Asked
from tasks.result import Result
from tasks.runs import Runs
from tasks.session import Session
from tasks.texts import Texts
from tasks.work import Entry, Manifest, Params, item_id
from tests.e2e.room import wait_until

QUEUE = queue_of_host("a")


@pytest.fixture
def ledger(redis_url: str) -> Ledger:
    """With two cells of four requests each, one behind the other."""
    made = Ledger(connect(redis_url), lease_s=5)
    bench = Bench(concurrency=(1, 2), requests=3, warmup=0)
    asked = Manifest(
        "r1",
        (Prompt("a", "Why?"),),
        ("m",),
        Params(),
        paperless=True,
        stages=(Stage(model="m", host="a"),),
        bench=bench,
    )
    made.create(asked, "same", "me", fresh=False)
    made.add("r1", "me", 1, 0, [Entry(cell, cell.queue) for cell in Cells(asked).first()])
    made.submitted("r1", "me")
    return made


def test_cells_come_one_after_the_other_and_whole(ledger: Ledger) -> None:
    """The second is not to be had before the first has all its results, which come at once; nobody hears of a
    held one, so nobody takes it over."""
    first = ledger.claim("r1", QUEUE, new_token("a"), "a", alone=True)
    assert first
    assert first.bundle.load
    assert (first.number, first.items, first.bundle.load.concurrency) == (0, (0, 1, 2, 3), 1)
    assert ledger.claim("r1", QUEUE, new_token("b"), "a", alone=True, choice=Choice(take=True)) is None
    assert [look.held for look in ledger.look([QUEUE])] == [()]
    assert ledger.renew([first], "a") == ["held"]
    results = [(item, Result(item_id("r1", 0, item), "a", 1, answer="yes")) for item in first.items]
    steps = RecentCommits(ledger).commit_all(first, results)
    assert [step.bundle for step in steps] == ["held", "held", "held", "done"]
    assert Runs(ledger).status("r1").successful == 4
    second = ledger.claim("r1", QUEUE, new_token("a"), "a", alone=True)
    assert second
    assert second.number == 1
    failed = [(item, replace(one, item_id=item_id("r1", 1, item))) for item, one in results]
    ledger.file_all([ledger.draft(second, item, one) for item, one in failed])
    assert Runs(ledger).status("r1").state == "done"


def test_a_note_says_how_far_a_cell_is(ledger: Ledger) -> None:
    """Until it has its results, whoever brought them; a run that is gone stays gone."""
    note(ledger, "r1", 1, 3, 12)
    assert noted(ledger, "r1") == {1: 0.25}
    unnote(ledger, "r1", 1)
    assert noted(ledger, "r1") == {}
    note(ledger, "gone", 1, 3, 12)
    assert noted(ledger, "gone") == {}
    first = ledger.claim("r1", QUEUE, new_token("a"), "a", alone=True)
    assert first
    note(ledger, "r1", 0, 3, 4)
    results = [(item, Result(item_id("r1", 0, item), "a", 1, answer="yes")) for item in first.items]
    RecentCommits(ledger).commit_all(first, results)
    assert noted(ledger, "r1") == {}, "whoever committed died right after it"
    note(ledger, "r1", 0, 1, 4)
    assert noted(ledger, "r1") == {}, "whose lease had ended was still at work on it"


def test_who_waits_for_another_submission_or_lost_its_own_is_told(redis_url: str) -> None:
    """A sweep is planned as it goes: the same command elsewhere says that it waits for it; a cancel that ends
    it is said."""
    bench, stage = Bench(sweep=True), Stage(model="m", host="a")
    texts = Texts(connect(redis_url, decode=False), ttl_s=60)
    said: dict[str, list[str]] = {"r1": [], "r2": []}
    made = {}
    for name in said:
        asked = Manifest(
            name, (Prompt("a", "Why?"),), ("m",), Params(), paperless=True, stages=(stage,), bench=bench
        )
        work = cast(Session, SimpleNamespace(ledger=Ledger(connect(redis_url), lease_s=5), texts=texts))
        made[name] = Submission(work, Asked(asked, ()), fresh=False, say=said[name].append)
        assert made[name].started().run_id == "r1"
    wait_until(lambda: "another command is submitting run r1" in " ".join(said["r2"]), 10, "it waits")
    Ledger(connect(redis_url)).cancel("r1")
    wait_until(lambda: "run r1 was cancelled" in " ".join(said["r1"]), 10, "it was cancelled")
    for submission in made.values():
        submission.close()
