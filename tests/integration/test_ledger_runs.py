"""A run from its submission to its end or removal, against a real Redis."""

import pytest

from tasks.errors import UnknownRun
from tasks.ledger.ledger import Ledger
from tasks.lifetime import remove
from tasks.runs import Runs
from tasks.work import Entry
from tests.integration.bundles import QUEUE, answer, bundle, claim, claimed, manifest, soon, start


def test_the_same_request_finds_the_open_run(ledger: Ledger) -> None:
    """Open: found. Fresh, or ended: a new one."""
    start(ledger, bundle(items=1))
    assert ledger.create(manifest("r2"), "same r1", "you", fresh=False) == "r1"
    assert ledger.create(manifest("r3"), "same r1", "you", fresh=True) == "r3"
    held = claimed(ledger)
    ledger.commit(held, 0, answer(held, 0))
    assert ledger.create(manifest("r4"), "same r1", "you", fresh=False) == "r3"


def test_an_interrupted_submission_is_incomplete_and_goes_on(ledger: Ledger, runs: Runs) -> None:
    """One command submits at a time; when it is gone, the next one takes over where it stopped."""
    start(Ledger(ledger.redis, lease_s=60), bundle(), done=False)
    assert runs.status("r1").state == "submitting"
    assert ledger.resume("r1", "you") == ("busy", 0)
    assert ledger.resume("r1", "me") == ("yours", 1)  # for 0.4 s from here on
    soon(lambda: runs.status("r1").state == "incomplete", "the submitter counts as gone")
    assert ledger.resume("r1", "you") == ("yours", 1)
    assert ledger.add("r1", "me", 2, 1, [Entry(bundle("b.txt"), QUEUE)]) == "lost"
    assert ledger.add("r1", "you", 2, 1, [Entry(bundle("b.txt"), QUEUE)]) == "added"
    assert ledger.add("r1", "you", 2, 1, [Entry(bundle("b.txt"), QUEUE)]) == "added"  # said twice
    assert runs.status("r1").total == 6
    assert ledger.add("r1", "you", 9, 7, [Entry(bundle("z.txt"), QUEUE)]) == "behind"
    assert ledger.submitted("r1", "you") == "submitted"
    assert ledger.resume("r1", "me")[0] == "submitted"


def test_a_run_is_done_when_nothing_is_owed(ledger: Ledger, runs: Runs) -> None:
    """The last commit ends the run, takes its bundles off, and leaves only what reading it needs."""
    start(ledger, bundle(items=2))
    held = claimed(ledger)
    ledger.commit(held, 0, answer(held, 0))
    assert runs.status("r1").state == "open"
    assert ledger.commit(held, 1, answer(held, 1))[:2] == ("first", "done")
    status = runs.status("r1")
    assert (status.state, status.successful, status.held, status.waiting) == ("done", 2, 0, {})
    left = {key.split(":")[1] for key in ledger.redis.keys("llmq:*")}
    assert left == {"run", "plan", "counts", "done", "runs", "same", "ended"}


def test_cancel_owes_nothing_and_keeps_what_was_paid(ledger: Ledger, runs: Runs) -> None:
    """A cancelled run has no bundles; a late result of one that ran is still kept."""
    start(ledger, bundle(), bundle("b.txt"))
    held = claimed(ledger)
    assert ledger.cancel("r1") == 2
    assert ledger.cancel("r1") == -1
    assert runs.status("r1").state == "cancelled"
    assert ledger.renew([held], "a") == ["gone"]
    assert claim(ledger) is None
    assert ledger.commit(held, 0, answer(held, 0))[:2] == ("first", "gone")
    assert runs.results("r1", [(0, 0)])[0] is not None


def test_two_runs_do_not_disturb_each_other(ledger: Ledger, runs: Runs) -> None:
    """Cancelling one leaves the other as it was."""
    start(ledger, bundle())
    start(ledger, bundle(), run_id="r2")
    assert claim(ledger, run_id="r2")
    ledger.cancel("r1")
    assert runs.status("r2").held == 1
    assert runs.open_ids() == ["r2"]


def test_removing_a_run_gives_everything_back(ledger: Ledger, runs: Runs) -> None:
    """Nothing of it is left but what does not belong to it; its late results are refused."""
    start(ledger, bundle(items=1))
    held = claimed(ledger)
    ledger.commit(held, 0, answer(held, 0))
    remove(runs, "r1")
    assert {key for key in ledger.redis.keys("*") if "r1" in key} == set()
    assert ledger.commit(held, 0, answer(held, 0))[:2] == ("unknown", "gone")
    with pytest.raises(UnknownRun):
        runs.status("r1")
