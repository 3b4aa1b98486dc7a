"""Answers of earlier runs, through the real submit, and a worker played by the ledger's own calls."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.connection import connect
from tasks.errors import InputError
from tasks.hosts import HostRecord, ServedModel, enter
from tasks.intake.papers import find_papers
from tasks.intake.prompts import Prompt
from tasks.ledger.claim import new_token
from tasks.ledger.ledger import Ledger
from tasks.lifetime import remove
from tasks.onfile import OnFile
from tasks.queues import queue_of
from tasks.report.collect import report
from tasks.report.write import write
from tasks.result import Failure, Result
from tasks.retry import retry
from tasks.reuse import kept
from tasks.runs import Runs
from tasks.submit import Submitted, submit
from tasks.texts import Texts
from tasks.work import Manifest, Params, item_id

WHY, HOW, WHO = (Prompt(name, f"{name}?") for name in ("why", "how", "who"))
TTL_S = 1000


class Bench:
    """A master and a worker in one process. `ask(item id)` is what the engine says."""

    def __init__(self, url: str, folder: Path) -> None:
        self.client = connect(url)
        self.ledger = Ledger(self.client)
        self.runs = Runs(self.ledger)
        self.texts = Texts(connect(url, decode=False), ttl_s=TTL_S)
        self.papers = folder / "papers"
        self.papers.mkdir()
        for name in ("a", "b"):
            (self.papers / f"{name}.txt").write_text(f"Paper {name} says a few words, and then some more.")
        self.asked: list[str] = []

    def submit(
        self, *prompts: Prompt, run_id: str, params: Params | None = None, **options: object
    ) -> Submitted:
        manifest = Manifest(run_id, prompts, ("m",), params or Params())
        files = find_papers([self.papers]).papers
        return submit(self.ledger, self.texts, manifest, files, **options)  # type: ignore[arg-type]

    def work(
        self, run_id: str, ask: Callable[[str], Result] | None = None, *, simulated: bool = False
    ) -> None:
        """Answer whatever the run owes."""
        manifest = self.runs.manifest(run_id)
        while held := self.ledger.claim(run_id, queue_of("m"), new_token("w"), "w", alone=True):
            for item in held.items:
                own = item_id(run_id, held.number, item)
                self.asked.append(own)
                result = ask(own) if ask else Result(own, "w", 1, answer=f"answer {own}", model="m")
                result = replace(result, simulated=simulated, model_digest="d1" if result.success else None)
                place = kept(manifest, held.bundle, item, result, TTL_S)
                self.ledger.commit(held, item, result, place)
        assert self.runs.status(run_id).state == "done"

    def answers(self, run_id: str) -> list[str | None]:
        rows = report(self.runs, run_id).rows()
        return [row.result.answer if row.result else None for row in rows]

    def host(self, *, digest: str | None, simulated: bool = False) -> None:
        models = (ServedModel("m", "m", digest=digest),)
        record = HostRecord("h", "i", "x", 1, "ollama", 1, (queue_of("m"),), models, simulated=simulated)
        enter(self.client, record)


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Bench:
    return Bench(redis_url, tmp_path)


def test_one_changed_prompt_runs_only_its_column(bench: Bench) -> None:
    """The other answers are taken over, with where they come from."""
    bench.submit(WHY, HOW, run_id="r1")
    bench.work("r1")
    bench.asked.clear()
    second = bench.submit(WHY, WHO, run_id="r2")
    assert second == Submitted("r2", continued=False, reused=2)
    assert bench.runs.status("r2").successful == 2
    bench.work("r2")
    assert bench.asked == ["r2-0-1", "r2-1-1"]
    rows = list(report(bench.runs, "r2").rows())
    assert [row.result and row.result.reused_from for row in rows] == ["r1-0-0", None, "r1-1-0", None]
    assert bench.answers("r2") == ["answer r1-0-0", "answer r2-0-1", "answer r1-1-0", "answer r2-1-1"]


def test_the_same_again_asks_nothing(bench: Bench) -> None:
    """An ended run starts anew, and has all its answers at once; its answers outlive the first run."""
    bench.submit(WHY, HOW, run_id="r1")
    bench.work("r1")
    bench.asked.clear()
    assert bench.submit(WHY, HOW, run_id="r2").reused == 4
    assert bench.runs.status("r2").state == "done"
    remove(bench.runs, "r1")
    assert bench.submit(WHY, HOW, run_id="r3").reused == 4
    assert bench.asked == []
    rows = report(bench.runs, "r3").rows()
    assert {row.result and row.result.reused_from for row in rows} == {
        f"r1-{b}-{i}" for b in (0, 1) for i in (0, 1)
    }


def test_new_papers_beside_old_ones(bench: Bench) -> None:
    """A folder that has grown: old papers are answered at once, the new one is asked."""
    bench.submit(WHY, HOW, run_id="r1")
    bench.work("r1")
    bench.asked.clear()
    (bench.papers / "ab.txt").write_text("A paper between the others, of which nobody has heard before.")
    assert bench.submit(WHY, HOW, run_id="r2").reused == 4
    bench.work("r2")
    assert bench.asked == ["r2-1-0", "r2-1-1"]
    origins = [row.result and row.result.reused_from for row in report(bench.runs, "r2").rows()]
    assert origins == ["r1-0-0", "r1-0-1", None, None, "r1-1-0", "r1-1-1"]


def test_prompts_without_papers_are_reused_too(bench: Bench) -> None:
    """Each lies under its own key."""
    for run_id, prompts, reused in (("r1", (WHY, HOW), 0), ("r2", (WHO, HOW), 1)):
        manifest = Manifest(run_id, prompts, ("m",), Params(), paperless=True)
        assert submit(bench.ledger, bench.texts, manifest, ()).reused == reused
        bench.work(run_id)
    assert bench.asked == ["r1-0-0", "r1-1-0", "r2-0-0"]


def test_fresh_asks_again(bench: Bench) -> None:
    """`--fresh` takes nothing over."""
    bench.submit(WHY, run_id="r1")
    bench.work("r1")
    assert bench.submit(WHY, run_id="r2", fresh=True).reused == 0
    assert bench.runs.status("r2").successful == 0


@pytest.mark.parametrize(
    "params", [Params(max_tokens=7), Params(temperature=0.5), Params(seed=3), Params(overflow="error")]
)
def test_other_parameters_are_another_question(bench: Bench, params: Params) -> None:
    """Everything that decides an answer is in its key."""
    bench.submit(WHY, run_id="r1")
    bench.work("r1")
    assert bench.submit(WHY, run_id="r2", params=params).reused == 0


@pytest.mark.parametrize(("digest", "reused"), [("d1", 2), (None, 2), ("d2", 0)])
def test_a_changed_model_answers_anew(bench: Bench, digest: str | None, reused: int) -> None:
    """Another digest on every live host that tells one forbids reuse; where nobody tells, it is allowed."""
    bench.submit(WHY, run_id="r1")
    bench.work("r1")
    bench.host(digest=digest)
    assert bench.submit(WHY, run_id="r2").reused == reused


@pytest.mark.parametrize(("before", "now", "reused"), [(True, False, 0), (False, True, 0), (True, True, 2)])
def test_simulated_answers_stay_among_themselves(bench: Bench, before: bool, now: bool, reused: int) -> None:
    """What a simulator said is never passed off as an answer of a model, nor the other way round."""
    bench.submit(WHY, run_id="r1")
    bench.work("r1", simulated=before)
    bench.host(digest=None, simulated=now)
    assert bench.submit(WHY, run_id="r2").reused == reused


def test_a_failure_is_no_answer(bench: Bench) -> None:
    """What failed is asked again by the next run."""
    bench.submit(WHY, run_id="r1")
    bench.work("r1", lambda own: Result(own, "w", 4, error=Failure("w", "timeout", "silent")))
    assert bench.submit(WHY, run_id="r2").reused == 0


def test_results_on_file_outlive_redis(bench: Bench, tmp_path: Path) -> None:
    """Redis is gone, a followed JSONL has a part of the answers, its last line torn: the rest is asked."""
    bench.submit(WHY, HOW, run_id="r1")
    bench.work("r1")
    file = tmp_path / "out.jsonl"
    made = report(bench.runs, "r1")
    write(made, made.rows, file)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], "not json", json.dumps({"success": True}), lines[3][:50]]))
    bench.client.flushdb()
    bench.asked.clear()
    second = bench.submit(WHY, HOW, run_id="r2", on_file=OnFile([file]))
    assert second.reused == 3
    bench.work("r2")
    assert bench.asked == ["r2-1-1"]
    assert bench.answers("r2")[:3] == [json.loads(line)["response"]["response"] for line in lines[:3]]


def test_retry_runs_what_failed(bench: Bench) -> None:
    """Successes are carried over, failures asked again; `error` picks a kind."""
    bench.submit(WHY, HOW, WHO, run_id="r1")

    def ask(own: str) -> Result:
        kinds = {"r1-0-0": "timeout", "r1-1-2": "bad_reply"}
        failure = Failure("w", kinds[own], "no") if own in kinds else None
        return Result(own, "w", 1, answer=None if failure else own, error=failure)

    bench.work("r1", ask)
    bench.asked.clear()
    picked = retry(bench.ledger, "r1", "timeout")
    bench.work(picked.run_id)
    assert bench.asked == [f"{picked.run_id}-0-0"]
    assert bench.runs.status(picked.run_id).failed == 1
    every = retry(bench.ledger, "r1")
    assert every.run_id != picked.run_id
    assert retry(bench.ledger, "r1") == Submitted(every.run_id, continued=True)
    bench.work(every.run_id)
    assert bench.runs.status(every.run_id).successful == 6
    assert [row.item_id.split("-")[0] for row in report(bench.runs, every.run_id).rows()] == [
        every.run_id
    ] * 6


def test_retry_says_what_it_cannot(bench: Bench) -> None:
    """An open run, and a run of which nothing failed but papers that cannot be read."""
    (bench.papers / "c.txt").write_bytes(b"caf\xe9 is not UTF-8")
    bench.submit(WHY, run_id="r1")
    with pytest.raises(InputError, match="r1 is open"):
        retry(bench.ledger, "r1")
    bench.work("r1")
    assert bench.runs.status("r1").failed == 1
    with pytest.raises(InputError, match="nothing to run again"):
        retry(bench.ledger, "r1")
    with pytest.raises(InputError, match="failed with timeout"):
        retry(bench.ledger, "r1", "timeout")


def test_a_cancelled_run_is_retried_to_its_end(bench: Bench) -> None:
    """What a cancel left without an answer is asked, what was answered is kept."""
    bench.submit(WHY, HOW, run_id="r1")
    held = bench.ledger.claim("r1", queue_of("m"), new_token("w"), "w", alone=True)
    assert held
    bench.ledger.commit(held, 0, Result("r1-0-0", "w", 1, answer="yes"))
    bench.ledger.cancel("r1")
    again = retry(bench.ledger, "r1")
    bench.asked.clear()
    bench.work(again.run_id)
    assert len(bench.asked) == 3
    assert bench.answers(again.run_id)[0] == "yes"


def test_answers_of_an_earlier_run_make_this_one_no_faster(bench: Bench) -> None:
    """`tasks_per_second` is what this run answered: of four answers that were there, none."""
    bench.submit(WHY, HOW, run_id="r1")
    bench.work("r1")
    assert report(bench.runs, "r1").summary()["tasks_per_second"] > 0
    bench.submit(WHY, HOW, run_id="r2")
    summary = report(bench.runs, "r2").summary()
    assert (summary["successful"], summary["reused"]) == (4, 4)
    assert summary["tasks_per_second"] == 0


def test_a_success_rate_of_100_is_all_of_them(bench: Bench) -> None:
    """One failure of 100,000 is not rounded away."""
    bench.submit(WHY, run_id="r1")
    made = report(bench.runs, "r1")
    status = replace(made.status, total=100_000, successful=99_999)
    assert replace(made, status=status).summary()["success_rate"] == 99.99
    assert replace(made, status=replace(status, successful=100_000)).summary()["success_rate"] == 100
