"""`llmq bench` over simulated engines whose times are known, with real workers and a real Redis."""

import csv
import json
import signal
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import mean, median
from typing import Any

import pytest

from tasks.ledger.ledger import Ledger
from tasks.runs import Runs
from tests.e2e.room import LLMQ, Room, Simulator, wait_until
from tests.nearest import nearest

TTFT_MS, ITL_MS, TOKENS = 120.0, 20.0, 16
SEVERAL = 4  # attempts at a cell of seconds


def exact(room: Room, name: str, **more: Any) -> Simulator:
    """An engine that takes the same time for every answer."""
    profile: dict[str, Any] = {
        "service_s": None,
        "ttft_s": TTFT_MS / 1000,
        "decode_tps": 1000 / ITL_MS,
        "output_tokens": TOKENS,
        "output_spread": 0.0,
        "slots": 8,
    } | more
    return room.simulator(name, "openai", **profile)


def bench(room: Room, *args: str, code: int = 0) -> dict[str, Any]:
    """What it says of itself."""
    done = room.llmq("bench", "--fleet", "fleet.toml", "--json", *args, timeout_s=180)
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def cell_of(told: dict[str, Any], **named: Any) -> dict[str, Any]:
    found = [cell for cell in told["cells"] if all(cell[name] == value for name, value in named.items())]
    assert len(found) == 1, told["cells"]
    return dict(found[0])


def requests_of(room: Room, folder: str, phase: str = "measure") -> list[dict[str, str]]:
    with (room.folder / folder / "requests.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["phase"] == phase]


@dataclass(frozen=True)
class Played:
    """What the engine itself noted of a request: on a busy machine it is late with what it is to play."""

    ttft_ms: float
    itl_ms: float
    e2e_ms: float

    @classmethod
    def of(cls, row: dict[str, str], call: dict[str, Any]) -> "Played":
        ttft_ms = 1000 * (call["queued_s"] + call["first_s"])
        e2e_ms = 1000 * (call["queued_s"] + call["ended_at"] - call["begun_at"])
        assert ttft_ms >= TTFT_MS - 0.01
        assert e2e_ms >= TTFT_MS + (int(row["completion_tokens"]) - 1) * ITL_MS - 0.01
        return cls(ttft_ms, (e2e_ms - ttft_ms) / (int(row["completion_tokens"]) - 1), e2e_ms)


def near(value: float, truth: float) -> bool:
    """Within 5 ms or 3 %."""
    return apart(value, truth) <= 1


def apart(value: float, truth: float) -> float:
    """In multiples of 5 ms or of 3 %, whichever is more."""
    return abs(value - truth) / max(5.0, 0.03 * truth)


@dataclass(frozen=True)
class Measured:
    """A cell, its rows, and what the engine noted of each."""

    cell: dict[str, Any]
    rows: list[dict[str, str]]
    played: list[Played]

    def claims(self) -> dict[str, tuple[float, float]]:
        """Our medians beside the engine's, in ms."""
        ttft_ms, itl_ms, e2e_ms = (
            median(getattr(one, name) for one in self.played) for name in ("ttft_ms", "itl_ms", "e2e_ms")
        )
        pairs = zip(self.rows, self.played, strict=True)
        off_ms = median(1000 * float(row["e2e_latency_s"]) - one.e2e_ms for row, one in pairs)
        return {
            "ttft": (self.cell["ttft_ms"], ttft_ms),
            "itl": (self.cell["itl_ms"], itl_ms),
            "e2e": (e2e_ms + off_ms, e2e_ms),
        }

    def rps_off(self) -> float:
        """Of what so many at a time give where nobody waits between two requests."""
        true = self.cell["concurrency"] * 1000 / mean(one.e2e_ms for one in self.played)
        return abs(self.cell["rps"] / true - 1)

    def off(self) -> float:
        """The worst of all that is claimed, 1 where it is at its bound."""
        return max(self.rps_off() / 0.15, *(apart(ours, true) for ours, true in self.claims().values()))


def instant_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def span(rows: list[dict[str, str]]) -> tuple[float, float]:
    return min(instant_s(one["started_at"]) for one in rows), max(
        instant_s(one["finished_at"]) for one in rows
    )


def test_what_is_measured_is_what_the_engine_does(room: Room) -> None:
    """At 1 and at 4 at a time: times agree with the engine's own, so many run at once and no more, warm-up
    is apart, every prompt begins anew, and each file says the same."""
    sims = {"one": exact(room, "one"), "four": exact(room, "four")}
    room.fleet(dict(sims))
    for host, many in (("one", 1), ("four", 4)):
        args = ("--host", host, "--concurrency", str(many), "--requests", "16", "-o", f"out-{host}")

        def measured(host: str = host, args: tuple[str, ...] = args) -> Measured:
            cell, rows = cell_of(bench(room, *args), host=host), requests_of(room, f"out-{host}")
            log = sims[host].log()
            return Measured(cell, rows, [Played.of(row, log[row["request_id"]]) for row in rows])

        seen = nearest(measured, Measured.off, 1.0, SEVERAL)
        cell, rows = seen.cell, seen.rows
        assert (cell["n"], cell["ok"], cell["error_rate"], cell["concurrency"]) == (16, 16, 0, many)
        assert all(near(ours, true) for ours, true in seen.claims().values()), seen.claims()
        assert seen.rps_off() <= 0.15
        assert sims[host].calls()["max_running"] == many, "as many as asked, and never more"
        assert len(requests_of(room, f"out-{host}", "cold")) == 1
        assert len(requests_of(room, f"out-{host}", "warmup")) == 3
        assert {row["load_mode"] for row in rows} == {"closed"}
        assert {row["cache_bust"] for row in rows} == {"true"}
        names = {path.name for path in (room.folder / f"out-{host}").iterdir()}
        assert {"requests.csv", "requests.jsonl", "summary.csv", "ranking.json", "run.json"} <= names
        document = json.loads((room.folder / f"out-{host}" / "run.json").read_text())
        assert document["config"]["bench"]["concurrency"] == [many]


def test_arrivals_keep_their_schedule(room: Room) -> None:
    """Constant and Poisson: scheduled as computed, sent on time, and counted from the schedule where the
    engine cannot keep up; which is said."""
    sim = exact(room, "box", ttft_s=0.02, decode_tps=1000.0, slots=1)
    room.fleet({"box": sim})

    def even() -> list[dict[str, str]]:
        bench(room, "--rate", "10", "--requests", "12", "-o", "even")
        return requests_of(room, "even")

    def delay_s(rows: list[dict[str, str]]) -> float:
        return sorted(float(row["dispatch_delay_s"]) for row in rows)[6]

    rows = nearest(even, delay_s, 0.019, SEVERAL)
    at = [instant_s(row["scheduled_at"]) for row in rows]
    assert [later - earlier for earlier, later in pairwise(at)] == pytest.approx([0.1] * 11, abs=1e-4)
    assert delay_s(rows) < 0.02
    poisson = ("--rate", "200", "--arrivals", "poisson", "--requests", "30", "--seed", "3")
    told = bench(room, *poisson, "-o", "random")
    rows = requests_of(room, "random")
    at = [instant_s(row["scheduled_at"]) for row in rows]
    from tasks.bench.arrivals import poisson as arrivals

    assert [one - at[0] for one in at] == pytest.approx(arrivals(30, 200.0, 3), abs=1e-4)
    for row in rows:
        late_s = float(row["e2e_scheduled_latency_s"]) - float(row["e2e_latency_s"])
        assert late_s == pytest.approx(float(row["dispatch_delay_s"]), abs=1e-4)
    assert float(rows[-1]["e2e_scheduled_latency_s"]) > 0.5, "it waited for those before it"
    assert "beyond this host" in " ".join(told["cells"][0]["notes"])


def begun_beside(room: Room, sim: Simulator, other: str, *args: str) -> dict[str, Any]:
    """What a benchmark says that is begun while another run is at work, however long it takes to begin."""
    runs = Runs(Ledger(room.redis()))
    with sim.still():
        command = (LLMQ, "bench", "--fleet", "fleet.toml", "--json", *args)
        child = room.start(*command, log="beside.log")
        wait_until(lambda: {*runs.open_ids()} - {other}, 60, "the benchmark is there")
        assert other in runs.open_ids(), "and the other run goes on"
    assert child.wait(timeout=180) == 0, room.said("beside.log")
    return dict(next(json.loads(line) for line in room.said("beside.log").splitlines() if line[:1] == "{"))


def test_a_cell_has_its_host_to_itself(room: Room) -> None:
    """Another run's answers, asked for at the same time, are from before or after it, and it is finished."""
    sim = exact(room, "box", ttft_s=0.05, decode_tps=30.0)
    room.fleet({"box": sim}, box={"slots": 4})
    room.worker("box")
    room.papers(40)
    submitted = room.llmq("submit", "papers", "-p", "Why?", "-p", "How?", "--max-tokens", "64", "--json")
    other = json.loads(submitted.stdout)["run_id"]
    wait_until(lambda: sim.calls()["finished"] >= 4, 20, "the other run is at work")
    told = begun_beside(room, sim, other, "--requests", "12", "-o", "out")
    wait_until(lambda: room.status(other)["state"] == "done", 60, "the other run ends")
    assert cell_of(told, host="box")["ok"] == 12
    first_s, last_s = span(requests_of(room, "out"))
    figures = [row["metrics"] for row in room.results(other)]
    inside = [
        one["started_at"]
        for one in figures
        if instant_s(one["started_at"]) < last_s and instant_s(one["finished_at"]) > first_s
    ]
    assert len(figures) == 80
    assert inside == []
    before = sum(instant_s(one["finished_at"]) <= first_s for one in figures)
    assert 0 < before < 80, "it began while the other run was at work"


def test_a_worker_that_is_killed_costs_a_cell_no_request(room: Room) -> None:
    """Another worker asks the cell again from its start: one go, whole, no row twice."""
    sim = exact(room, "box")
    room.fleet({"box": sim})
    worker = room.worker("box", LLMQ_LEASE_S="10")
    log = "bench.log"
    command = (LLMQ, "bench", "--fleet", "fleet.toml", "--requests", "12", "-o", "out")
    child = room.start(*command, log=log, LLMQ_LEASE_S="10")
    wait_until(lambda: sim.calls()["started"] >= 6, 30, "the cell is at work")
    worker.kill()
    assert child.wait(timeout=90) == 0, room.said(log)
    rows = requests_of(room, "out")
    assert [int(row["request_index"]) for row in rows] == list(range(4, 16))
    assert all(row["status"] == "ok" for row in rows)
    first_s, last_s = span(rows)
    assert last_s - first_s < 12 * 0.42 * 1.5, "all of one go"


def test_ctrl_c_pauses_and_the_same_command_goes_on(room: Room) -> None:
    """Complete cells stay, the interrupted one is named, and is asked again; nothing else is."""
    sim = exact(room, "box")
    room.fleet({"box": sim})
    args = ("--concurrency", "4,1", "--requests", "12", "-o", "out")
    command = (LLMQ, "bench", "--fleet", "fleet.toml", *args)
    child = room.start(*command, log="bench.log")
    wait_until(lambda: sim.calls()["started"] >= 16 + 6, 40, "the second cell is at work")
    with sim.still():
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=40) == 130, room.said("bench.log")
    said = room.said("bench.log")
    assert "box · sim-8b · 1 at a time: interrupted at " in said, said
    assert "4 at a time: interrupted" not in said
    before = sim.calls()["started"]
    told = bench(room, *args)
    assert [cell["ok"] for cell in told["cells"]] == [12, 12]
    assert sim.calls()["started"] - before == 16, "one cell, from its start"
    assert "goes on with run" in said or told["run_id"] in said


def test_what_is_wrong_with_a_cell_is_said(room: Room) -> None:
    """A model that a host does not have, a host that fails half its requests, too few answers: each beside
    its cell, the others measured as ever; and the exit code says so."""
    good, bad = exact(room, "good"), exact(room, "bad")
    room.fleet({"good": good, "bad": bad})
    bad.fault("500", 6)
    told = bench(room, "--requests", "10", "--warmup", "0", code=1)
    half = cell_of(told, host="bad")
    assert (half["n"], half["ok"]) == (10, 5)
    assert half["error_rate"] == 0.5
    assert any("5 of 10 failed: 5 bad_reply" in note for note in half["notes"]), half
    whole = cell_of(told, host="good")
    assert (whole["ok"], whole["error_rate"]) == (10, 0)
    missing = room.simulator("has-two", "openai", models=["sim-8b", "sim-70b"], service_s=0.1)
    room.fleet({"good": good, "two": missing})
    told = bench(room, "--model", "sim-70b", "--requests", "3", code=1)
    assert cell_of(told, host="two")["ok"] == 3
    lacking = cell_of(told, host="good")
    assert lacking["ok"] == 0
    assert any("model_not_found" in note for note in lacking["notes"])
    assert any("too few for a rank" in note for note in cell_of(told, host="two")["notes"])
    refused = room.llmq("bench", "--fleet", "fleet.toml", "--model", "nosuch")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no host serves nosuch" in refused.stderr
    nobody = room.llmq("bench", "--fleet", "fleet.toml", "--host", "nobody")
    assert (nobody.returncode, "there is good, two" in nobody.stderr) == (2, True), nobody.stderr


def test_no_banner_and_no_empty_answer_counts(room: Room) -> None:
    """A page instead of an answer, an end without a word, an engine that answers nobody: failures by name,
    none of them a time; where the whole warm-up fails, nothing is measured."""
    sims = {"page": exact(room, "page"), "mute": exact(room, "mute"), "never": exact(room, "never")}
    room.fleet(dict(sims))
    for name, fault, count in (("page", "html", 4), ("mute", "empty", 4), ("never", "500", 0)):
        sims[name].fault(fault, count)
    told = bench(room, "--requests", "12", "--warmup", "1", "-o", "out", "--host", "never", code=1)
    nothing = cell_of(told, host="never")
    assert (nothing["ok"], nothing["ttft_ms"], nothing["rps"]) == (0, None, None)
    assert any("the whole warm-up failed" in note for note in nothing["notes"]), nothing
    told = bench(room, "--requests", "12", "--warmup", "0", "--host", "page", "--host", "mute", code=1)
    for name, kind in (("page", "bad_reply"), ("mute", "empty_answer")):
        cell = cell_of(told, host=name)
        assert (cell["n"], cell["ok"]) == (12, 9)
        assert any(f"3 of 12 failed: 3 {kind}" in note for note in cell["notes"]), cell
        assert near(cell["ttft_ms"], TTFT_MS), cell


def test_a_known_difference_is_ranked_and_equals_tie(room: Room) -> None:
    """30 % apart: in this order; two equal ones share their rank."""
    rates = {"slow": 50.0, "fast": 65.0, "fast-too": 65.0}
    sims = {name: exact(room, name, decode_tps=tps, ttft_s=0.05, jitter=0.03) for name, tps in rates.items()}
    room.fleet(dict(sims))
    made = []

    def ranked() -> dict[str, int]:
        made.append(bench(room, "--requests", "20", "--slo", "ttft=1s,e2e=10s", "-o", "out"))
        ranking = next(one for one in made[-1]["rankings"] if one["metric"] == "output_tps")
        return {entry["host"]: entry["rank"] for entry in ranking["entries"]}

    true = {"fast": 1, "fast-too": 1, "slow": 3}
    # Equals are told apart in 2 of 1,000 benchmarks by construction (docs/methodology.md).
    assert nearest(ranked, lambda ranks: ranks != true, most=3) == true
    for told in made:
        assert all(cell["goodput_rps"] == pytest.approx(cell["rps"]) for cell in told["cells"])
    kept = json.loads(room.llmq("history", "--json").stdout)["runs"]
    assert [run["run_id"] for run in kept] == [told["run_id"] for told in reversed(made)]


def test_a_sweep_names_the_knee(room: Room) -> None:
    """It doubles while that helps: an engine with two slots is full at two."""
    room.fleet({"box": exact(room, "box", slots=2, ttft_s=0.1, decode_tps=160.0)})

    def levels(told: dict[str, Any]) -> list[int]:
        return [cell["concurrency"] for cell in told["cells"]]

    # A level that others have slowed down by 5 % makes the next one look like a gain.
    sweep = ("--sweep", "--requests", "16")
    told = nearest(lambda: bench(room, *sweep), lambda told: levels(told) != [1, 2, 4], most=SEVERAL)
    assert levels(told) == [1, 2, 4]
    assert any("2 at a time are enough" in note for note in told["notes"]), told["notes"]


def test_the_exo_lab_suite(room: Room) -> None:
    """Its five models on five prompts; its own file has its own columns."""
    models = ["llama-3.1-8b", "llama-3.2-1b", "mistral-7b", "qwen-1.5-7b", "deepseek-r1"]
    room.fleet({"box": exact(room, "box", models=models, ttft_s=0.01, decode_tps=1000.0)})
    told = bench(room, "--suite", "exo-lab", "--requests", "5", "--warmup", "0", "-o", "out")
    assert [cell["model"] for cell in told["cells"]] == models
    with (room.folder / "out" / "benchmark_results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "model", "prompt", "latency", "memory_usage", "output_length", "tokens_per_second", "host",
        "simulated",
    ]  # fmt: skip
    assert len(rows) == 25
    assert {(row["host"], row["simulated"]) for row in rows} == {("box", "true")}
    assert len({row["prompt"] for row in rows}) == 5
    assert all(float(row["latency"]) > 0 and int(row["output_length"]) > 0 for row in rows)
