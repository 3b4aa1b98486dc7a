"""Later stages in the ledger: blocked behind their parent, let go or ended with it."""

import json
from dataclasses import replace

import pytest

from tasks.errors import UnknownRun
from tasks.intake.stages import Stage
from tasks.ledger import keys
from tasks.ledger.claim import Claim, new_token
from tasks.ledger.ledger import ANY, Ledger
from tasks.lifetime import remove
from tasks.policy import Choice
from tasks.queues import queue_of
from tasks.result import Failure, Result
from tasks.retry import retry
from tasks.runs import Runs
from tasks.work import Bundle, Entry, item_id
from tests.integration.bundles import manifest

STAGES = (
    Stage("generate", "m"),
    Stage("summarize", "n", after=0, template="Summarize."),
    Stage("judge", "n", host="h", after=1, template="Judge."),
)
FAILURE = Failure("a", "timeout", 'silent for "9" s\n<item> %1')


def chain(number: int, items: int = 2, deep: int = 3) -> list[Bundle]:
    """A first bundle numbered `number`, and those behind it."""
    file, every = f"{number}.txt", tuple(range(items))
    first = Bundle(file, f"hash {number}", "m", every, tokens=100)
    later = [
        Bundle(
            file, f"hash {number}", "n", every, stage=d, depth=d, parent=number + d - 1, host=STAGES[d].host
        )
        for d in range(1, deep)
    ]
    return [first, *later]


def start(ledger: Ledger, *bundles: Bundle, run_id: str = "r1", **changes: object) -> None:
    ledger.create(manifest(run_id, stages=STAGES, **changes), f"same {run_id}", "me", fresh=False)
    ledger.add(run_id, "me", 1, 0, [Entry(one, one.queue) for one in bundles])
    ledger.submitted(run_id, "me")


def claim(ledger: Ledger, queue: str, choice: Choice = ANY) -> Claim | None:
    return ledger.claim("r1", queue, new_token("w"), "w", alone=True, choice=choice)


def end(ledger: Ledger, held: Claim | None, *, failing: tuple[int, ...] = (), text: str = "yes") -> None:
    """Every item of a claim ends, some of them badly."""
    assert held
    for item in held.items:
        own = item_id("r1", held.number, item)
        error = FAILURE if item in failing else None
        ledger.commit(held, item, Result(own, "w", 1, answer=None if error else text, error=error))


def test_a_later_stage_waits_for_its_parent(ledger: Ledger, runs: Runs) -> None:
    """Nobody can claim it, and it counts in no queue, until the parent's last item has ended; then it is due
    in its own queue. The run ends with its last stage."""
    start(ledger, *chain(0))
    assert runs.status("r1").total == 6
    assert runs.status("r1").waiting == {queue_of("m"): 1}
    assert claim(ledger, queue_of("n")) is None
    end(ledger, claim(ledger, queue_of("m")))
    assert runs.status("r1").waiting == {queue_of("n"): 1}
    end(ledger, claim(ledger, queue_of("n")))
    assert claim(ledger, queue_of("n")) is None, "the third stage is pinned"
    assert runs.status("r1").state == "open"
    end(ledger, claim(ledger, queue_of("n", "h")))
    assert (runs.status("r1").state, runs.status("r1").successful) == ("done", 6)
    assert not ledger.redis.keys(keys.bundle_prefix("r1") + "*")


def test_an_item_whose_parent_failed_ends_with_its_reason(ledger: Ledger, runs: Runs) -> None:
    """Down to the last stage, as an ordinary failed Celery result; its sibling goes on."""
    start(ledger, *chain(0))
    end(ledger, claim(ledger, queue_of("m")), failing=(0,))
    held = claim(ledger, queue_of("n"))
    assert held
    assert held.items == (1,)
    end(ledger, held)
    end(ledger, claim(ledger, queue_of("n", "h")))
    status = runs.status("r1")
    assert (status.state, status.successful, status.failed) == ("done", 3, 3)
    for number in (1, 2):
        (result,) = runs.results("r1", [(number, 0)])
        assert result
        assert result.error == Failure("a", "upstream_failed", f"generate failed: timeout: {FAILURE.message}")
        assert (result.item_id, result.model, result.answer) == (f"r1-{number}-0", "n", None)
        raw = json.loads(ledger.redis.get(keys.result(f"r1-{number}-0")) or "")
        assert (raw["task_id"], raw["status"]) == (f"r1-{number}-0", "FAILURE")
        assert raw["result"]["exc_message"] == [result.error.message]
        assert raw["date_done"].startswith("20")


def test_a_failed_first_stage_ends_all_later_ones(ledger: Ledger, runs: Runs) -> None:
    """In the commit that ends it: the run is over, and has a result for every item."""
    start(ledger, *chain(0))
    end(ledger, claim(ledger, queue_of("m")), failing=(0, 1))
    status = runs.status("r1")
    assert (status.state, status.failed, status.total) == ("done", 6, 6)
    assert status.waiting == {}
    assert runs.open_ids() == []


def test_an_answer_that_lua_cannot_read_is_an_answer(ledger: Ledger, runs: Runs) -> None:
    """A lone surrogate is no reason to stop the chain; nor does it make a failure unsaid."""
    start(ledger, *chain(0, deep=2), *chain(2, deep=2))
    end(ledger, claim(ledger, queue_of("m")), text="broken \ud800")
    held = claim(ledger, queue_of("n"))
    assert held
    assert held.number == 1
    second = claim(ledger, queue_of("m"))
    assert second
    error = Failure("a", "timeout", "broken \ud800")
    for item in (0, 1):
        ledger.commit(second, item, Result(item_id("r1", 2, item), "w", 1, error=error))
    (result,) = runs.results("r1", [(3, 0)])
    assert result
    assert result.error
    assert result.error.type == "upstream_failed"


def test_what_is_known_lets_later_stages_go_at_once(ledger: Ledger, runs: Runs) -> None:
    """A parent whose answers are known when it is added blocks nobody, and fails whom it fails."""
    ledger.create(manifest(stages=STAGES), "same", "me", fresh=False)
    known = (
        (0, Result("r1-0-0", "w", 1, answer="from before", reused_from="r0-0-0")),
        (1, Result("r1-0-1", "", 0, error=Failure("", "no_text", "scanned"))),
    )
    first, *later = chain(0)
    entries = [Entry(first, first.queue, known), *(Entry(one, one.queue) for one in later)]
    ledger.add("r1", "me", 1, 0, entries)
    ledger.submitted("r1", "me")
    status = runs.status("r1")
    assert (status.waiting, status.failed, status.successful) == ({queue_of("n"): 1}, 2, 1)
    held = claim(ledger, queue_of("n"))
    assert held
    assert held.items == (0,)


def test_later_stages_go_first_in_their_queue(ledger: Ledger) -> None:
    """Before longer ones and begun ones of an earlier stage, also for a host that wants short ones only; of
    one stage the longest goes first, as known once the parent has answered."""
    same = (Stage("generate", "n"), Stage("summarize", "n", after=0, template="Summarize."))
    ledger.create(manifest(stages=same), "same", "me", fresh=False)
    bundles = []
    for n in (0, 2, 4):
        first = Bundle(f"{n}.txt", f"hash {n}", "n", (0,), tokens=900)
        bundles += [first, replace(first, tokens=0, stage=1, depth=1, parent=n)]
    ledger.add("r1", "me", 1, 0, [Entry(one, one.queue) for one in bundles])
    queue = queue_of("n")
    held = [claim(ledger, queue) for _ in range(3)]
    assert [one and one.number for one in held] == [0, 2, 4]
    end(ledger, held[0], text="short")
    end(ledger, held[1], text="long " * 200)
    assert held[2]
    ledger.release(held[2])
    assert [one and one.number for one in (claim(ledger, queue), claim(ledger, queue))] == [3, 1]
    fresh = claim(ledger, queue)
    assert fresh
    assert fresh.number == 4


def test_a_host_that_wants_short_ones_finds_those_of_later_stages(ledger: Ledger) -> None:
    """`most` bounds the length within each stage."""
    start(ledger, *chain(0), *chain(3))
    for text in ("word " * 400, "word"):
        end(ledger, claim(ledger, queue_of("m")), text=text)
    short = claim(ledger, queue_of("n"), Choice(True, most=100))
    assert short
    assert short.number == 4
    assert claim(ledger, queue_of("n"), Choice(True, most=100)) is None


def test_cancel_takes_blocked_stages_too(ledger: Ledger, runs: Runs) -> None:
    """Nothing is owed, nothing is left; a late answer of the first stage is kept and lets nobody go."""
    start(ledger, *chain(0))
    held = claim(ledger, queue_of("m"))
    assert ledger.cancel("r1") == 3
    end(ledger, held)
    status = runs.status("r1")
    assert (status.state, status.successful, status.waiting) == ("cancelled", 2, {})
    assert not ledger.redis.exists(keys.owed("r1"))
    assert not ledger.redis.keys(keys.bundle_prefix("r1") + "*")


def test_retry_asks_again_what_failed_and_what_came_after_it(ledger: Ledger, runs: Runs) -> None:
    """One failed first item: it and its chain run again, the other chain is carried over."""
    start(ledger, *chain(0))
    end(ledger, claim(ledger, queue_of("m")), failing=(0,))
    end(ledger, claim(ledger, queue_of("n")))
    end(ledger, claim(ledger, queue_of("n", "h")))
    again = retry(ledger, "r1").run_id
    status = runs.status(again)
    assert (status.state, status.total, status.successful, status.failed) == ("open", 6, 3, 0)
    assert status.waiting == {queue_of("m"): 1}
    held = ledger.claim(again, queue_of("m"), new_token("w"), "w", alone=True)
    assert held
    assert held.items == (0,)
    ledger.commit(held, 0, Result(item_id(again, 0, 0), "w", 1, answer="now"))
    for queue in (queue_of("n"), queue_of("n", "h")):
        held = ledger.claim(again, queue, new_token("w"), "w", alone=True)
        assert held
        assert held.items == (0,)
        ledger.commit(held, 0, Result(item_id(again, held.number, 0), "w", 1, answer="now"))
    assert (runs.status(again).state, runs.status(again).successful) == ("done", 6)


def test_retry_of_a_cancelled_chain_goes_on_where_it_was(ledger: Ledger, runs: Runs) -> None:
    """First answers are carried over, the stages behind them are due at once."""
    start(ledger, *chain(0))
    end(ledger, claim(ledger, queue_of("m")))
    ledger.cancel("r1")
    again = retry(ledger, "r1").run_id
    assert runs.status(again).waiting == {queue_of("n"): 1}
    assert runs.status(again).successful == 2


def test_rm_leaves_nothing_of_a_chain(ledger: Ledger, runs: Runs) -> None:
    """Redis is as it was before."""
    before = set(ledger.redis.keys())
    start(ledger, *chain(0))
    end(ledger, claim(ledger, queue_of("m")))
    ledger.cancel("r1")
    remove(runs, "r1")
    assert set(ledger.redis.keys()) == before
    with pytest.raises(UnknownRun):
        runs.status("r1")


def test_who_adopts_a_later_stage_after_redis_lost_data_keeps_it(ledger: Ledger, runs: Runs) -> None:
    """Redis came back with data in which the parent had not ended: its holder's renewal holds it again, and
    the parent's end does not put it into the queue beside that."""
    start(ledger, *chain(0, deep=2))
    parent = claim(ledger, queue_of("m"))
    assert parent
    ours = Claim("r1", 1, "w.1", chain(0)[1], (0, 1), queue_of("n"), 0, 0, {})
    assert ledger.renew([ours], "w") == ["held"]
    end(ledger, parent)
    status = runs.status("r1")
    assert (status.waiting, status.held) == ({}, 1)
    end(ledger, ours)
    assert runs.status("r1").state == "done"
