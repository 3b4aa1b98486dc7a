"""Cells of hosts that share a machine are held one at a time."""

import time

import pytest

from tasks.bench.cell import Bench
from tasks.bench.plan import Cells
from tasks.connection import connect
from tasks.intake.prompts import Prompt
from tasks.intake.stages import Stage
from tasks.ledger import keys
from tasks.ledger.claim import Claim, new_token
from tasks.ledger.ledger import IN_LINE, Ledger
from tasks.queues import queue_of_host
from tasks.recent import RecentCommits
from tasks.result import Result
from tasks.work import Entry, Manifest, Params, item_id

LEASE_S = 0.5


@pytest.fixture
def ledger(redis_url: str) -> Ledger:
    return Ledger(connect(redis_url), lease_s=LEASE_S)


def plan(ledger: Ledger, run_id: str, *hosts: str, shared: bool = False) -> None:
    """Two cells for each host."""
    bench = Bench(concurrency=(1, 2), requests=1, warmup=0, shared=shared)
    stages = tuple(Stage(model="m", host=host) for host in hosts)
    asked = Manifest(
        run_id, (Prompt("a", "Why?"),), ("m",), Params(), paperless=True, stages=stages, bench=bench
    )
    ledger.create(asked, run_id, "me", fresh=False)
    ledger.add(run_id, "me", 1, 0, [Entry(cell, cell.queue) for cell in Cells(asked).first()])
    ledger.submitted(run_id, "me")


def take(ledger: Ledger, host: str, run_id: str = "r1", *, machine: str = "mac") -> Claim | str:
    """The next cell of a host whose engine is on that machine, or why there is none."""
    refused: list[str] = []
    queue, token = queue_of_host(host), new_token(host)
    claim = ledger.claim(run_id, queue, token, host, alone=True, machine=machine, refused=refused.append)
    return claim or refused[0]


def taken(ledger: Ledger, host: str, run_id: str = "r1", *, machine: str = "mac") -> Claim:
    claim = take(ledger, host, run_id, machine=machine)
    assert isinstance(claim, Claim), claim
    return claim


def finish(ledger: Ledger, claim: Claim, host: str) -> None:
    answers = [
        (item, Result(item_id(claim.run_id, claim.number, item), host, 1, answer="yes"))
        for item in claim.items
    ]
    assert RecentCommits(ledger).commit_all(claim, answers)[-1].bundle == "done"


def test_they_take_turns(ledger: Ledger) -> None:
    """While one is held the other host waits, and has the machine next, although the first asks again at
    once; of a third that came later it is before."""
    plan(ledger, "r1", "lm", "ollama", "vllm")
    at_work, order = taken(ledger, "lm"), ["lm"]
    assert take(ledger, "ollama") == IN_LINE
    time.sleep(0.005)  # the clock counts milliseconds
    assert take(ledger, "vllm") == IN_LINE
    while len(order) < 6:
        finish(ledger, at_work, order[-1])
        for host in (order[-1], "vllm", "lm", "ollama"):
            if isinstance(found := take(ledger, host), Claim):
                at_work = found
                order.append(host)
    assert order == ["lm", "ollama", "vllm"] * 2
    finish(ledger, at_work, "vllm")
    assert 0 < ledger.redis.pttl(keys.machine("mac")) <= 60_000, "nothing of it stays"


def test_other_machines_other_runs_and_simulated_engines(ledger: Ledger) -> None:
    """Who is on another machine goes on at the same time, as do simulated engines (which name none) and
    `--shared` ones; who is on the same one waits, whichever run asks."""
    plan(ledger, "r1", "lm", "ollama", "pi", "sim")
    plan(ledger, "r2", "lm", "ollama")
    plan(ledger, "r3", "ollama", shared=True)
    taken(ledger, "lm")
    taken(ledger, "pi", machine="pi")
    taken(ledger, "sim", machine="")
    assert take(ledger, "ollama", "r2") == take(ledger, "lm", "r2") == IN_LINE
    taken(ledger, "ollama", "r3")


def test_a_machine_is_given_back_with_the_cell(ledger: Ledger) -> None:
    """When its worker releases it, when its lease ends, when a new worker of its host comes, and when its run
    is cancelled."""
    plan(ledger, "r1", "lm", "ollama")
    plan(ledger, "r2", "ollama")
    ledger.release(taken(ledger, "lm"))
    claim = taken(ledger, "ollama")
    assert take(ledger, "lm") == IN_LINE
    assert ledger.reap("ollama", "another start") == 1
    ledger.release(taken(ledger, "lm"))
    claim = taken(ledger, "ollama")
    ledger.expire("r1")  # the steward is awake
    deadline = time.monotonic() + 20 * LEASE_S
    while (found := take(ledger, "lm")) == IN_LINE and time.monotonic() < deadline:
        time.sleep(LEASE_S / 10)
        ledger.expire("r1")
    assert isinstance(found, Claim), "the dead one's lease frees the machine"
    assert ledger.renew([claim], "ollama") == ["lost"], "it was frozen, and the machine is another's"
    assert take(ledger, "ollama", "r2") == IN_LINE
    ledger.cancel("r1")
    taken(ledger, "ollama", "r2")


def test_who_waits_and_dies_keeps_nobody(ledger: Ledger) -> None:
    """A host that does not ask any more loses its place within seconds."""
    plan(ledger, "r1", "lm", "ollama")
    at_work = taken(ledger, "lm")
    assert take(ledger, "ollama") == IN_LINE
    finish(ledger, at_work, "lm")
    assert take(ledger, "lm") == IN_LINE
    deadline = time.monotonic() + 10
    while (found := take(ledger, "lm")) == IN_LINE and time.monotonic() < deadline:
        time.sleep(0.1)
    assert isinstance(found, Claim)


def test_redis_that_forgot_the_claim_hears_of_it_again(ledger: Ledger) -> None:
    """Who still works renews, and has bundle and machine as before."""
    plan(ledger, "r1", "lm", "ollama")
    snapshot = {key: ledger.redis.dump(key) for key in ledger.redis.keys("*")}
    claim = taken(ledger, "lm")
    ledger.redis.flushall()
    for key, value in snapshot.items():
        ledger.redis.restore(key, 0, value)
    assert ledger.renew([claim], "lm") == ["held"]
    assert take(ledger, "ollama") == IN_LINE
