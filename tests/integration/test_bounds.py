"""What runs leave in a real Redis: nothing, once they are removed, whatever became of them."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tasks.connection import Client, connect
from tasks.intake.papers import PaperFile
from tasks.intake.prompts import Prompt
from tasks.invite import Invitation, envelope, invite
from tasks.ledger import keys
from tasks.ledger.claim import new_token
from tasks.ledger.ledger import Ledger
from tasks.lifetime import keep, remove, settle, withdraw
from tasks.queues import queue_of
from tasks.result import Result
from tasks.reuse import kept
from tasks.runs import Runs
from tasks.steward import Steward
from tasks.submit import submit
from tasks.texts import Texts
from tasks.work import Manifest, Params, item_id

MODEL = "sim-8b"
QUEUE = queue_of(MODEL)
PROMPTS = tuple(Prompt(f"p{n}", f"Question {n}?") for n in range(3))
TTL_S = 3600


class Bench:
    """Submits, answers and looks, all in this process."""

    def __init__(self, url: str, folder: Path) -> None:
        self.client: Client = connect(url)
        self.ledger = Ledger(self.client)
        self.runs = Runs(self.ledger)
        self.texts = Texts(connect(url, decode=False), ttl_s=TTL_S)
        self._folder = folder

    def submit(
        self, run_id: str, papers: range = range(5), model: str | None = MODEL, prompts: Any = PROMPTS
    ) -> str:
        models = (model,) if model else ()
        files = tuple(self._paper(n) for n in papers)
        manifest = Manifest(run_id, prompts, models, Params())
        return submit(self.ledger, self.texts, manifest, files, fresh=True).run_id

    def _paper(self, number: int) -> PaperFile:
        path = self._folder / f"paper-{number}.txt"
        path.write_text(f"Paper {number} tells of many things that nobody has seen before it.")
        return PaperFile(path, path.name)

    def answer(self, run_id: str, bundles: int) -> None:
        """As a worker that takes an invitation, answers all of its bundle, and acknowledges."""
        for _ in range(bundles):
            self.client.rpop(QUEUE)
            claim = self.ledger.claim(run_id, QUEUE, new_token("a"), "a", alone=True)
            assert claim
            for item in claim.items:
                result = Result(item_id(run_id, claim.number, item), "a", 1, answer="An answer. " * 20)
                place = kept(self.runs.manifest(run_id), claim.bundle, item, result, TTL_S)
                self.ledger.commit(claim, item, result, place)

    def stored(self) -> dict[str, str]:
        """Every key that there is, with its type."""
        return {key: self.client.type(key) for key in self.client.scan_iter(count=1000)}

    def used_bytes(self) -> int:
        return int(self.client.info("memory")["used_memory"])


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Bench:
    return Bench(redis_url, tmp_path)


@pytest.fixture
def other(bench: Bench) -> dict[str, str]:
    """A run that is done and stays; returns all keys as they are with it. Scripts and clients are warm."""
    bench.submit("other", range(100, 103))
    bench.answer("other", 3)
    bench.submit("warm", range(200, 201))
    bench.ledger.cancel("warm")
    remove(bench.runs, "warm")
    settle(bench.runs, TTL_S)
    return bench.stored()


def finished(bench: Bench) -> None:
    bench.answer("r1", 300)
    assert bench.runs.status("r1").state == "done"


def half_done(bench: Bench) -> None:
    """Cancelled while one bundle is held, one has failed once and the rest waits; one answer comes late."""
    bench.answer("r1", 100)
    held = bench.ledger.claim("r1", QUEUE, new_token("b"), "b", alone=True)
    failed = bench.ledger.claim("r1", QUEUE, new_token("c"), "c", alone=True)
    assert held
    assert failed
    bench.ledger.release(failed, backoff_s=60)
    bench.ledger.cancel("r1")
    late = Result(item_id("r1", held.number, 0), "b", 1, answer="late")
    assert bench.ledger.commit(held, 0, late)[:2] == ("first", "gone")


def never_served(bench: Bench) -> None:
    bench.ledger.cancel("r1")


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("end", [finished, half_done, never_served])
def test_a_removed_run_leaves_nothing(bench: Bench, other: dict[str, str], end: Any, settled: bool) -> None:
    """Keys are those of before, to the last one, and memory is back, whether or not a steward saw the run
    end. (100 kB are what allocators and clients may keep.)"""
    before_bytes = bench.used_bytes()
    bench.submit("r1", range(300, 600))
    grown_bytes = bench.used_bytes()
    assert grown_bytes - before_bytes > 400_000, "the run is large enough to be seen"
    end(bench)
    if settled:
        settle(bench.runs, TTL_S)
    remove(bench.runs, "r1")
    assert bench.stored() == other
    assert bench.used_bytes() - before_bytes < 100_000
    assert bench.runs.status("other").successful == 9
    assert all(bench.texts._redis.exists(keys.text(one)) for one in papers_of(bench, "other"))


def papers_of(bench: Bench, run_id: str) -> set[str]:
    return {bundle.paper for _, bundle in bench.runs.bundles(run_id) if bundle.paper}


@pytest.mark.parametrize("end", [finished, half_done, never_served])
def test_an_ended_run_has_an_end_of_life(bench: Bench, other: dict[str, str], end: Any) -> None:
    """The steward leaves no key of an ended run without a time to live, and none of its invitations."""
    bench.submit("r1", range(300, 600))
    end(bench)
    settle(bench.runs, TTL_S)
    new = set(bench.stored()) - set(other)
    assert new
    assert [key for key in new if not 0 < bench.client.ttl(key) <= TTL_S] == []
    keep(bench.runs, "r1", 2 * TTL_S)
    assert bench.client.ttl(keys.plan("r1")) > TTL_S
    assert bench.client.llen(QUEUE) == 0


def test_a_text_goes_with_the_last_run_that_names_it(bench: Bench) -> None:
    """Two runs share papers: removing one leaves those of the other, which then is answered whole."""
    bench.submit("r1", range(0, 6))
    bench.submit("r2", range(3, 9))
    shared = papers_of(bench, "r1") & papers_of(bench, "r2")
    assert len(shared) == 3
    bench.ledger.cancel("r1")
    remove(bench.runs, "r1")
    left = {key.removeprefix("llmq:text:") for key in bench.stored() if key.startswith("llmq:text:")}
    assert left == papers_of(bench, "r2")
    bench.ledger.cancel("r2")
    remove(bench.runs, "r2")
    assert [key for key in bench.stored() if key.startswith("llmq:text:")] == []


def test_answers_about_a_shared_paper_go_with_their_run(bench: Bench) -> None:
    """The other run's answers stay where later runs find them; the removed run's leave no trace."""
    bench.submit("r1", range(0, 4))
    bench.answer("r1", 4)
    before = {key: bench.client.hgetall(key) for key in bench.stored() if key.startswith("llmq:answers:")}
    assert sum(map(len, before.values())) == 12
    bench.submit("r2", range(2, 6), prompts=(Prompt("new", "Another question?"),))
    bench.answer("r2", 4)
    remove(bench.runs, "r2")
    after = {key: bench.client.hgetall(key) for key in bench.stored() if key.startswith("llmq:answers:")}
    assert after == before


def test_no_text_goes_while_a_run_is_being_submitted(bench: Bench) -> None:
    """Its plan does not name yet what it has filed: a text that it may count on stays."""
    bench.submit("r1", range(3))
    papers = papers_of(bench, "r1")
    coming = Manifest("r2", PROMPTS, (MODEL,), Params())
    bench.ledger.create(coming, "digest", "somebody", fresh=False)
    bench.ledger.cancel("r1")
    assert bench.ledger.forget("r1", sorted(papers), ["r1"]) == -1, "a run that the caller does not know"
    remove(bench.runs, "r1")
    assert all(bench.client.exists(keys.text(one)) for one in papers)


def test_other_runs_keep_their_invitations_in_order(bench: Bench) -> None:
    """Of a queue that three runs share, one's messages go and the others stay as they were, also those
    whose label looks like a message of that run."""
    shared = [Invitation(run, n, QUEUE) for n in range(700) for run in ("r1", "r2", "r10")]
    shared.append(Invitation("r2", 9999, QUEUE, 'a "id": "r1-0.pdf'))
    bench.ledger.create(Manifest("r1", PROMPTS, (MODEL,), Params()), "digest", "me", fresh=False)
    invite(bench.client, shared)
    invite(bench.client, shared[:9], again=True)
    before = bench.client.lrange(QUEUE, 0, -1)
    assert withdraw(bench.runs, "r1") == 703
    assert bench.client.lrange(QUEUE, 0, -1) == [one for one in before if '"id": "r1-' not in one]
    assert bench.client.llen(QUEUE) == 1401
    assert bench.client.llen(f"{QUEUE}.retry") == 6


def test_withdrawing_while_workers_consume_loses_no_message(bench: Bench, redis_url: str) -> None:
    """Each message of another run is consumed once, none vanishes and none is doubled."""
    bench.ledger.create(Manifest("r1", PROMPTS, (MODEL,), Params()), "digest", "me", fresh=False)
    invite(bench.client, [Invitation(run, n, QUEUE) for n in range(4000) for run in ("r1", "r2")])
    consumed: list[str] = []

    def consume() -> None:
        client = connect(redis_url)
        while message := client.rpop(QUEUE):
            consumed.append(json.loads(message)["headers"]["id"])

    thread = threading.Thread(target=consume)
    thread.start()
    taken = withdraw(bench.runs, "r1")
    thread.join(30)
    assert taken > 100, "it was a race"
    others = [one for one in consumed if one.startswith("r2-")]
    assert len(others) == len(set(others)) == 4000


def test_what_a_killed_worker_had_received_goes_too(bench: Bench) -> None:
    """Kombu keeps it to deliver it again; a removed run has nothing to deliver."""
    bench.submit("r1")
    for run in ("r1", "r2"):
        message = json.loads(envelope(Invitation(run, 0, QUEUE), QUEUE))
        bench.client.hset(keys.UNACKED, run, json.dumps([message, "", QUEUE]))
        bench.client.zadd(keys.UNACKED_INDEX, {run: 1.0})
    bench.ledger.cancel("r1")
    remove(bench.runs, "r1")
    assert bench.client.hkeys(keys.UNACKED) == ["r2"]
    assert bench.client.zrange(keys.UNACKED_INDEX, 0, -1) == ["r2"]


def test_a_steward_settles_what_has_ended(bench: Bench) -> None:
    """One tick is enough; nothing of the list of ended runs is left."""
    bench.submit("r1")
    bench.ledger.cancel("r1")
    Steward(bench.ledger, "token", result_ttl_s=TTL_S).tick()
    assert not bench.client.exists(keys.ENDED)
    assert 0 < bench.client.ttl(keys.run("r1")) <= TTL_S
