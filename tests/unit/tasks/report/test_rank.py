"""Samples of results, and their ranks."""

import random
import time
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.report.gather import gather
from tasks.report.limits import read_limits
from tasks.report.metric import ALIASES, METRICS, find_metric
from tasks.report.rank import Entry, rankings
from tasks.report.remarks import remarks, without_rank
from tasks.report.sample import Gathered
from tasks.report.summary import summary_rows


def rows(host: str, n: int = 30, ms: float = 100.0, seed: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Answers of one host, each to a paper of its own unless `more` says otherwise."""
    rng = random.Random(f"{host}{seed}")
    return [
        {
            "success": True,
            "host": host,
            "model": "m",
            "paper_id": f"paper-{k}",
            "prompt_sha256": "p",
            "ttft_ms": rng.gauss(ms, ms * 0.08),
            "output_tps": rng.gauss(1000 / ms, 80 / ms),
            "e2e_latency_s": 1.0,
            "stream_end_s": 1.0,
            "started_at": f"2026-01-01T00:{k // 60:02}:{k % 60:02}+00:00",
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "cached_tokens": 0,
            "token_count_source": "server",
            **more,
        }
        for k in range(n)
    ]


def gathered(*parts: list[dict[str, Any]], per: str | None = None) -> Gathered:
    return gather((("run", row) for part in parts for row in part), per)


def entries(*parts: list[dict[str, Any]], by: str = "ttft", per: str | None = None) -> dict[str, Entry]:
    """The only ranking of that metric, by host (or whatever names an entry)."""
    (ranking,) = rankings(gathered(*parts, per=per).samples, find_metric(by))
    return {entry.cell.host or entry.cell.name: entry for entry in ranking.entries}


def test_lower_is_better_for_times_and_higher_for_rates() -> None:
    """The fast host is first by either; the seed's service ranked the slowest first."""
    for by in ("ttft", "tps"):
        made = entries(rows("slow", ms=200), rows("fast", ms=100), by=by)
        assert (made["fast"].rank, made["slow"].rank) == (1, 2)
        assert next(iter(made)) == "fast", "best first"


def test_who_cannot_be_told_apart_shares_a_rank() -> None:
    """Two alike share the first, and the third is third."""
    made = entries(rows("a", ms=100), rows("b", ms=101), rows("c", ms=150))
    assert {host: entry.rank for host, entry in made.items()} == {"a": 1, "b": 1, "c": 3}


def test_of_a_tie_the_better_value_stands_first() -> None:
    """Whichever end is the better one; by name they would stand the other way round."""
    for by in ("ttft", "tps"):
        made = entries(rows("a", ms=101.5), rows("b", ms=100), by=by)
        assert {entry.rank for entry in made.values()} == {1}
        assert next(iter(made)) == "b", by


def test_equal_hosts_tie() -> None:
    """In at least 95 of 100 cases."""
    tied = sum(
        {entry.rank for entry in entries(rows("a", seed=seed), rows("b", seed=seed)).values()} == {1}
        for seed in range(100)
    )
    assert tied >= 95


def test_under_ten_answers_there_is_no_rank() -> None:
    """It is listed, last, with the reason; and does not push anybody down."""
    made = entries(rows("few", n=9, ms=10), rows("many", ms=100))
    assert (made["many"].rank, made["few"].rank) == (1, None)
    assert "9 of the 10 answers" in (made["few"].reason or "")
    assert list(made) == ["many", "few"]


def test_only_measurements_are_counted() -> None:
    """Warm-ups, reused answers, answers without a token or read in parts are set aside by name; cut answers
    stay and are said; failures count where they happened."""
    odd = [
        rows("a", 1, phase="warmup", ttft_ms=9999.0),
        rows("a", 2, reused_from="x-0-0", ttft_ms=9999.0),
        rows("a", 3, completion_tokens=0, ttft_ms=9999.0),
        rows("a", 4, windows=2, ttft_ms=9999.0),
        rows("a", 5, success=False, error={"type": "timeout"}, ttft_ms=9999.0),
        rows("b", 6, failures=[["a", "overloaded", "busy"]]),
    ]
    made = gathered(rows("a", 20), rows("a", 10, cut=True), rows("a", 1, phase="measure"), *odd)
    sample = next(one for one in made.samples if one.cell.host == "a")
    assert (len(sample.requests), sample.cut) == (31, 10)
    assert sample.aside == {"warmup": 1, "reused": 2, "without a token": 3, "read in parts": 4}
    assert sample.failed == {"timeout": 5, "overloaded": 6}
    assert sample.error_rate == pytest.approx(11 / 49), "those without a token, or in parts, were tries"
    said = " / ".join(remarks(made))
    assert "4 read in parts" in said
    assert "cut at --max-tokens" in said


def test_what_failed_before_any_host_is_nobodys_fault() -> None:
    """A paper that cannot be read lowers no host's rate."""
    unreadable = [dict(row, host=None, success=False, error={"type": "no_text"}) for row in rows("x", 3)]
    made = gathered(rows("a"), unreadable)
    assert made.nowhere == {"no_text": 3}
    assert made.samples[0].error_rate == 0
    assert "failed before any host had them: 3 no_text" in remarks(made)


def test_first_and_cached_prompts_are_never_averaged() -> None:
    """By the engine's own count, or, where it gives none, by which prompt of the paper came first."""
    told = [*rows("a", 20, ttft_ms=2000.0), *rows("a", 80, ttft_ms=50.0, cached_tokens=990)]
    untold = [
        dict(row, paper_id=f"paper-{k // 5}", cached_tokens=None, ttft_ms=50.0 if k % 5 else 2000.0)
        for k, row in enumerate(rows("a", 100))
    ]
    for some in (told, untold):
        first, cached = rankings(gathered(some).samples, METRICS["ttft_ms"])
        assert (first.apart, cached.apart) == ("first", "cached")
        assert [(one.entries[0].n, one.entries[0].value) for one in (first, cached)] == [(20, 2000), (80, 50)]


def test_estimated_tokens_never_rank() -> None:
    """Nor do missing ones; times of the same answers do."""
    guessed = rows("a", ms=10, token_count_source="estimate")
    by_tokens = entries(guessed, rows("b"), by="tps")
    assert (by_tokens["a"].rank, by_tokens["b"].rank) == (None, 1)
    assert "not counted" in (by_tokens["a"].reason or "")
    assert entries(guessed, rows("b"))["a"].rank == 1


def test_simulated_hosts_are_not_ranked_among_real_ones() -> None:
    """Alone they are; and their name says it always."""
    sim = rows("sim", ms=1, simulated=True)
    mixed = entries(sim, rows("mac"))
    assert (mixed["sim"].rank, mixed["mac"].rank) == (None, 1)
    alone = entries(sim)
    assert alone["sim"].rank == 1
    assert "simulated" in alone["sim"].cell.name


def test_memory_of_two_sources_is_not_compared() -> None:
    """Each has a ranking of its own."""
    made = rankings(
        gathered(
            rows("a", mem_model_mib=4000.0, mem_source="ollama_ps"),
            rows("b", mem_model_mib=3000.0, mem_source="psutil"),
        ).samples,
        METRICS["mem_model_mib"],
    )
    assert [(one.apart, [e.cell.host for e in one.entries if e.n]) for one in made] == [
        ("ollama_ps", ["a"]),
        ("psutil", ["b"]),
    ]


def test_each_load_has_a_ranking_of_its_own() -> None:
    """One request at a time is no match for four: 40 % slower under the heavier load is first all the same,
    where the others are slower still."""
    loads = [
        rows(host, ms=ms, concurrency=level, load_mode="closed")
        for host, level, ms in (("a", 1, 100), ("b", 1, 200), ("a", 4, 250), ("b", 4, 500), ("b", 16, 900))
    ]
    made = rankings(gathered(*loads).samples, METRICS["ttft_ms"])
    assert [(one.terms, [(e.rank, e.cell.who) for e in one.entries]) for one in made] == [
        ("1 at a time", [(1, "a · m"), (2, "b · m")]),
        ("4 at a time", [(1, "a · m"), (2, "b · m")]),
        ("16 at a time", [(1, "b · m")]),
    ]
    rates = [rows("a", target_rps=0.5, load_mode="poisson"), rows("a", target_rps=2.0, load_mode="poisson")]
    made = rankings(gathered(*rates).samples, METRICS["ttft_ms"])
    assert [one.terms for one in made] == ["0.5 a second (poisson)", "2 a second (poisson)"]
    assert {row["target_rps"] for row in summary_rows(gathered(*rates).samples)} == {0.5, 2.0}


def test_arrivals_of_two_kinds_have_rankings_of_their_own() -> None:
    """As many a second, but evenly or by chance: who waits behind a burst is no slower host."""
    two = [rows("a", target_rps=4.0, load_mode=mode) for mode in ("constant", "poisson")]
    made = rankings(gathered(*two).samples, METRICS["ttft_ms"])
    assert [(one.terms, one.entries[0].n) for one in made] == [
        ("4 a second", 30),
        ("4 a second (poisson)", 30),
    ]
    assert [row["load_mode"] for row in summary_rows(gathered(*two).samples)[:2]] == ["constant", "poisson"]


def test_the_stages_of_a_chain_have_rankings_of_their_own() -> None:
    """To write and to summarize are two things; where all did one thing nothing is said."""
    wrote, ended = rows("a", stage="generate"), rows("a", ms=300, stage="summarize", parent="run-0-0")
    made = rankings(gathered(wrote, ended).samples, METRICS["ttft_ms"])
    assert [(one.terms, one.entries[0].n) for one in made] == [("generate", 30), ("summarize", 30)]
    assert {row["stage"] for row in summary_rows(gathered(wrote, ended).samples)} == {"generate", "summarize"}
    (alone,) = rankings(gathered(ended).samples, METRICS["ttft_ms"])
    assert alone.terms == ""


def test_cells_have_no_rate_together() -> None:
    """Two hosts or models of a benchmark are measured at other times: what lies between is nobody's rate."""
    cells = [rows(host, concurrency=4, load_mode="closed") for host in "ab"]
    together = entries(*cells, by="rps", per="model")["m · 4 at a time"]
    assert (together.value, together.rank) == (None, None)
    assert "one after the other" in (together.reason or "")
    assert all(one.value for one in entries(*cells, by="rps").values())
    few = entries(rows("a", n=9), by="rps")["a"]
    assert few.value
    assert few.interval is None, "nine answers carry no interval"


def test_the_rate_of_one_at_a_time_is_as_sure_as_its_answers() -> None:
    """Twelve answers of about a second: counted in ten spans of time, one more or less in each made it 25 %
    wide to either side; with as many answers in each part it is what the answers' own spread says."""
    rng, at_s, made = random.Random(1), 0.0, rows("a", n=12)
    for row in made:
        took_s = rng.gauss(1.0, 0.08)
        row |= {"started_at": f"2026-01-01T00:00:{at_s:09.6f}+00:00", "stream_end_s": took_s}
        at_s += took_s
    entry = entries(made, by="rps")["a"]
    assert entry.interval
    assert entry.value == pytest.approx(12 / at_s)
    assert 0.01 < (entry.interval.high - entry.interval.low) / entry.value < 0.25


def test_the_memory_of_a_cell_is_one_reading() -> None:
    """That each of its rows repeats; a run's answers have readings of their own."""
    memory = {"mem_model_mib": 900.0, "mem_source": "engine"}
    cell = entries(rows("a", concurrency=1, load_mode="closed", **memory), by="memory")["a"]
    assert (cell.value, cell.n, cell.rank) == (900.0, 1, None)
    assert "one reading" in (cell.reason or "")
    assert entries(rows("a", **memory), by="memory")["a"].n == 30


def energetic(host: str, joules: float = 100.0, every_s: float = 1.0, **more: Any) -> list[dict[str, Any]]:
    """Thirty requests of a cell, a second each, one after the other."""
    rng = random.Random(host)
    known = {"concurrency": 1, "load_mode": "closed", "energy_source": "rapl", "energy_every_s": every_s}
    made = rows(host, **known, **more)
    return [row | {"energy_j": rng.gauss(joules, joules * 0.08)} for row in made]


def test_requests_that_shared_readings_are_worth_one() -> None:
    """Read once a second, thirty requests of a second are thirty values; every two, fifteen, with
    the wider interval; read every four they are too few for a rank, which is said."""

    def width(entry: Entry) -> float:
        assert entry.interval
        return entry.interval.high - entry.interval.low

    each, two = (entries(energetic("a", every_s=every_s), by="energy")["a"] for every_s in (1.0, 2.0))
    assert each.summary
    assert two.summary
    assert (each.n, each.summary.effective_n, each.rank) == (30, 30, 1)
    assert 15 <= two.summary.effective_n <= 16
    assert two.value == each.value
    assert width(two) > 1.2 * width(each)
    four = entries(energetic("a", every_s=4.0), by="energy")["a"]
    assert four.rank is None
    assert "its energy was read in 8 spells, of 10 that a rank needs" in (four.reason or "")
    assert entries(energetic("a", every_s=4.0), by="e2e")["a"].rank == 1, "its times are its own"


def test_requests_that_run_at_one_time_share_their_readings() -> None:
    """Sixteen at a time, four of each: read every second, and yet no more than five values."""
    rng, made = random.Random(1), energetic("a") + energetic("a") + energetic("a")[:4]
    for number, row in enumerate(made):
        at_s = number // 16 * 4 + number % 16 / 4
        row |= {"started_at": f"2026-01-01T00:00:{at_s:09.6f}+00:00", "concurrency": 16}
        row |= {"stream_end_s": rng.uniform(3.9, 4.0), "e2e_latency_s": 3.9}
    entry = entries(made, by="energy")["a"]
    assert entry.n == 64
    assert entry.summary
    assert 4 <= entry.summary.effective_n <= 5
    assert entry.rank is None


def test_energy_is_ranked_where_power_differs() -> None:
    """Of a benchmark as of a run, a token as a request."""
    for by in ("energy", "energy_j_per_token"):
        made = entries(energetic("sober", 80), energetic("thirsty", 120), by=by)
        assert (made["sober"].rank, made["thirsty"].rank) == (1, 2)


def test_who_has_no_rank_is_said_once_for_each_reason() -> None:
    """Not a line for each of a large fleet; the table has every name."""

    def said(*parts: list[dict[str, Any]]) -> list[str]:
        (ranking,) = rankings(gathered(*parts).samples, METRICS["ttft_ms"])
        return list(without_rank(ranking, lambda entry: entry.cell.name))

    few = [rows(host, n=4) for host in "abcde"]
    assert said(*few) == ["none of them has a rank: 4 of the 10 answers that a rank needs"]
    assert said(*few, rows("f")) == [
        "a · m, b · m, c · m and 2 more have no rank: 4 of the 10 answers that a rank needs"
    ]
    assert said(rows("f"), rows("g", n=5)) == ["g · m has no rank: 5 of the 10 answers that a rank needs"]


def test_it_is_said_whether_the_same_was_asked() -> None:
    """The same questions; other papers of one length; other papers of another length."""

    def note(*parts: list[dict[str, Any]]) -> str:
        (ranking,) = rankings(gathered(*parts).samples, METRICS["ttft_ms"])
        return " / ".join(ranking.notes)

    others = [dict(row, paper_id=f"other-{k}") for k, row in enumerate(rows("b"))]
    longer = [dict(row, prompt_tokens=3000) for row in others]
    assert "the same 30 questions" in note(rows("a"), rows("b"))
    assert "different papers (0 of 60 questions in common)" in note(rows("a"), others)
    assert "not of one length (median prompt 1000 to 3000 tokens)" in note(rows("a"), longer)


def test_papers_that_decide_make_intervals_wider() -> None:
    """Where hosts had other papers, ten answers to each of three papers are no thirty answers."""
    a, b = (
        [
            dict(row, paper_id=f"{host}-{k // 10}", prompt_sha256=str(k), ttft_ms=100.0 * (1 + k // 10) + k)
            for k, row in enumerate(rows(host, 30))
        ]
        for host in "ab"
    )
    assert "are about 3 papers, too few" in (entries(a, b)["a"].reason or "")


def test_a_later_stage_has_as_many_questions_as_its_chains() -> None:
    """One instruction for all of them is not one question: ten prompts, summarized by two."""
    two = [
        [
            dict(
                row,
                paper_id=None,
                prompt_sha256="summarize",
                parent=f"run-{host}{k // 10}-{k % 10}",
                stage="end",
            )
            for k, row in enumerate(rows(host, 30, ms))
        ]
        for host, ms in (("a", 100.0), ("b", 150.0))
    ]
    (ranking,) = rankings(gathered(*two).samples, METRICS["ttft_ms"])
    assert ranking.same_questions
    assert "all answered the same 10 questions" in ranking.notes
    other = [dict(row, parent=f"run-9-{10 + k % 10}") for k, row in enumerate(two[1])]
    made = entries(two[0], other)
    assert [(one.rank, one.summary and round(one.summary.effective_n) <= 30) for one in made.values()] == [
        (1, True), (2, True)
    ]  # fmt: skip


def test_requests_a_second_and_goodput() -> None:
    """One answer each second; those within all limits count as good, those with an unknown figure do not."""
    slow = [dict(row, ttft_ms=900.0) for row in rows("a", 60)][:30]
    fine = [dict(row, ttft_ms=100.0) for row in rows("a", 60)][30:]
    fine[0]["ttft_ms"] = None
    samples = gathered([*slow, *fine]).samples
    (rps,) = rankings(samples, METRICS["rps"])
    assert rps.entries[0].value == pytest.approx(1.0)
    assert rps.entries[0].interval
    (good,) = rankings(samples, METRICS["goodput_rps"], read_limits(["ttft=0.5s,e2e=10s"]))
    assert good.entries[0].value == pytest.approx(29 / 60)
    with pytest.raises(InputError, match="--slo"):
        rankings(samples, METRICS["goodput_rps"])


def test_at_a_rate_those_who_waited_to_be_sent_have_waited() -> None:
    """Half of a load's requests left 4 s after they were due: they keep no limit of 3 s, their latency has
    the wait in it, and the first token, which is the engine's own time, has not."""
    load = {"target_rps": 1.0, "load_mode": "constant", "ttft_ms": 100.0}
    late = {"dispatch_delay_s": 4.0, "e2e_scheduled_latency_s": 5.0}
    timely = {"dispatch_delay_s": 0.0, "e2e_scheduled_latency_s": 1.0}
    asked = [row | (late if k < 30 else timely) for k, row in enumerate(rows("a", 60, **load))]
    samples = gathered(asked).samples
    for limit in ("e2e=3s", "ttft=3s"):
        (good,) = rankings(samples, METRICS["goodput_rps"], read_limits([limit]))
        assert good.entries[0].value == pytest.approx(30 / 60), limit
    (latency,) = rankings(samples, METRICS["e2e_latency_s"])
    assert latency.entries[0].value == pytest.approx(3.0)
    (first,) = rankings(samples, METRICS["ttft_ms"])
    assert first.entries[0].value == pytest.approx(100.0)


def test_per_model_takes_hosts_together_and_says_so() -> None:
    """And per host takes models together; the pair of a matrix is an entry of its own."""
    both = [rows("a"), rows("b", model="n"), rows("b", model="m", seed=2)]
    (ranking,) = rankings(gathered(*both, per="model").samples, METRICS["ttft_ms"])
    assert {entry.cell.model: entry.n for entry in ranking.entries} == {"m": 60, "n": 30}
    assert any("taken together" in note for note in ranking.notes)
    assert {one.cell.host: len(one.requests) for one in gathered(*both, per="host").samples} == {
        "a": 30,
        "b": 60,
    }
    paired = gathered(rows("a", pair_id="a:m->b:n"), per="pair").samples
    assert [one.cell.name for one in paired] == ["a:m->b:n"]
    mixed = gathered(rows("a", pair_id="a:m->b:n"), rows("a", n=5), per="pair")
    assert ([len(one.requests) for one in mixed.samples], mixed.unpaired) == ([30], 5)
    assert remarks(mixed) == ["left out, since they end no pair's chain: 5 items"]
    plain = gathered(rows("a", pair_id="a:m->b:n"), rows("a", seed=2)).samples
    assert [(one.cell.name, len(one.requests)) for one in plain] == [("a · m", 60)]
    levels = gathered(rows("a", concurrency=1), rows("a", concurrency=4)).samples
    assert sorted(one.cell.concurrency or 0 for one in levels) == [1, 4]


def test_a_summary_row_has_everything() -> None:
    """One for each cell and metric that is known; unknown is None."""
    made = summary_rows(gathered(rows("a", 100)).samples)
    ttft = next(row for row in made if row["metric"] == "ttft_ms")
    for name in (
        "n",
        "mean",
        "std",
        "p50",
        "p90",
        "p95",
        "p99",
        "ci_low",
        "ci_high",
        "ci_method",
        "direction",
    ):
        assert ttft[name] is not None, name
    assert {row["metric"] for row in made} == {
        "ttft_ms",
        "output_tps",
        "e2e_latency_s",
        "rps",
        "system_output_tps",
    }


@pytest.mark.parametrize("text", ["ttft", "ttft=x", "ttft=1.2.3s", "tps=5s", "ttft=5min", "=5s"])
def test_a_wrong_limit_is_refused(text: str) -> None:
    """With what would be right."""
    with pytest.raises(InputError, match="--slo"):
        read_limits([text])


def test_limits_are_in_the_units_of_their_metrics() -> None:
    """Whatever unit a person prefers; several at once."""
    assert read_limits(["ttft=500ms,e2e=10s", "itl=0.05s"]) == {
        "ttft_ms": 500.0,
        "e2e_latency_s": 10.0,
        "itl_ms": 50.0,
    }


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    """By short name and column."""
    with pytest.raises(InputError, match=r"unknown metric 'speed'; there are: ttft \(ttft_ms\)"):
        find_metric("speed")
    assert set(ALIASES.values()) <= set(METRICS)


def papers_of(host: str, lengths: dict[int, int], ms_per_token: float, seed: int = 1) -> list[dict[str, Any]]:
    """So many answers to prompts of each length, each to a paper of its own; times grow with the length."""
    rng = random.Random(f"{host}{seed}")
    tokens = [length for length, n in lengths.items() for _ in range(n)]
    return [
        dict(row, paper_id=f"{host}-{k}", prompt_tokens=n, ttft_ms=n * ms_per_token * rng.gauss(1, 0.05))
        for k, (n, row) in enumerate(zip(tokens, rows(host, len(tokens)), strict=True))
    ]


def test_short_papers_make_no_host_fast() -> None:
    """The slow one got the short papers, as the scheduler has it: its median is the better one, its rank is
    not, since both had short ones. The output says which answers a rank rests on."""
    slow = papers_of("slow", {300: 40}, ms_per_token=0.2)
    fast = papers_of("fast", {300: 15, 3000: 40}, ms_per_token=0.1)
    for made in (gathered(slow, fast), gathered(fast, slow)):
        (ranking,) = rankings(made.samples, METRICS["ttft_ms"])
        by_host = {entry.cell.host: entry for entry in ranking.entries}
        assert (by_host["slow"].value or 0) < (by_host["fast"].value or 0)
        assert (by_host["fast"].rank, by_host["slow"].rank) == (1, 2)
        assert ranking.entries[0].cell.host == "fast", "best first"
        assert any("not of one length (median prompt 300 to 3000" in note for note in ranking.notes)
        assert any("the ranks of those to prompts of like length" in note for note in ranking.notes)


def test_without_prompts_of_like_length_the_shorter_ones_win_nothing() -> None:
    """Who had the short papers is not put first for it; who is better although its papers are longer is."""
    short = papers_of("short", {300: 40}, ms_per_token=0.2)
    tied = entries(short, papers_of("long", {3000: 40}, ms_per_token=0.1))
    assert {entry.rank for entry in tied.values()} == {1}
    told = entries(short, papers_of("long", {3000: 40}, ms_per_token=0.01))
    assert (told["long"].rank, told["short"].rank) == (1, 2)


def test_equal_hosts_with_papers_of_different_length_tie() -> None:
    """In at least 90 of 100 cases; plain medians would tell them apart in every one."""
    tied = 0
    for seed in range(100):
        a = papers_of("a", {300: 30, 1000: 20, 3000: 10}, 0.1, seed)
        b = papers_of("b", {300: 10, 1000: 20, 3000: 30}, 0.1, seed)
        tied += {entry.rank for entry in entries(a, b).values()} == {1}
    assert tied >= 90


def test_papers_of_one_length_are_ranked_by_all_answers() -> None:
    """Lengths within a tenth of each other are one."""
    made = entries(papers_of("a", {1000: 30}, 0.1), papers_of("b", {1080: 30}, 0.2))
    assert (made["a"].rank, made["b"].rank) == (1, 2)


def test_the_same_questions_unequally_often_are_not_the_same() -> None:
    """Two hosts of one speed were each asked the same short and the same long paper, but one mostly the
    short: it is no faster for that."""
    short = {"paper_id": "short", "prompt_tokens": 100}
    long = {"paper_id": "long", "prompt_tokens": 1000}

    def host(name: str, shorts: int, longs: int) -> list[dict[str, Any]]:
        return rows(name, shorts, 100, **short) + rows(name, longs, 1000, seed=2, **long)

    made = entries(host("a", 30, 5), host("b", 5, 30))
    assert 1 not in {entry.rank for entry in made.values() if entry.cell.host == "a"}
    notes = rankings(gathered(host("a", 30, 5), host("b", 5, 30)).samples, find_metric("ttft"))[0].notes
    assert any("the same 2 questions, but not equally often" in note for note in notes)
    even = rankings(gathered(host("a", 20, 20), host("b", 20, 19)).samples, find_metric("ttft"))[0]
    assert even.same_questions, "one answer less changes nothing"


def failed(n: int, **more: Any) -> list[dict[str, Any]]:
    """Items whose only try timed out."""
    wrong = {"success": False, "error": {"type": "timeout", "message": ""}}
    return [row | wrong for row in rows("a", n, **more)]


def test_answers_that_are_no_measurement_were_tries_all_the_same() -> None:
    """Of ten papers read in parts and one that failed, a tenth failed and not all."""
    (sample,) = gathered(rows("a", 9, windows=2), rows("a", 1, completion_tokens=0), failed(1)).samples
    assert sample.error_rate == pytest.approx(1 / 11)


def test_a_stage_that_only_failed_is_no_second_entry_of_the_other() -> None:
    """One entry of a name in a ranking, and what failed in the other stage is said."""
    found = gathered(rows("a", 20, stage="generate"), failed(5, stage="summarize"))
    (ranking,) = rankings(found.samples, find_metric("ttft"))
    assert len(ranking.entries) == 1
    assert not ranking.entries[0].failed
    assert "a · m · summarize: no answer, tries that failed: 5 timeout" in remarks(found)


def test_failures_of_a_results_file_stay_with_their_load() -> None:
    """They carry no model there; the host's only model under the same load is theirs."""
    load = {"load_mode": "closed", "paper_id": None}
    found = gathered(
        rows("a", 20, concurrency=1, **load),
        rows("a", 20, concurrency=4, **load),
        failed(5, concurrency=4, model=None, **load),
    )
    assert {one.cell.concurrency: one.failed.total() for one in found.samples} == {1: 0, 4: 5}


def test_tokens_a_second_need_the_tokens_of_all() -> None:
    """Where an engine counts half of its answers, half of the tokens in all of the time would be shown as its
    speed."""
    counted = rows("a", 40)
    half = [row | ({"completion_tokens": None} if k % 2 else {}) for k, row in enumerate(rows("b", 40))]
    made = entries(counted, half, by="system_output_tps")
    assert made["a"].value == pytest.approx(50)
    assert made["b"].value is None
    assert made["b"].reason == "the tokens of some answers are not counted: they have no sum"


def test_a_rate_says_where_it_is_too_low() -> None:
    """What a host read in parts took its time, and is not among its answers."""
    found = gathered(rows("a", 40), rows("b", 20), rows("b", 20, windows=2))
    (ranking,) = rankings(found.samples, find_metric("rps"))
    assert any(note.startswith("too low") and note.endswith(": b · m") for note in ranking.notes)


def test_moments_without_an_offset_are_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the reader's own clock, an hour more or less would lie in the span where summer time ends."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        stamps = [f"2026-10-25T0{2 + k // 20}:{0 if k // 20 else 59:02}:{k % 20:02}" for k in range(40)]
        made = [row | {"started_at": at} for row, at in zip(rows("a", 40), stamps, strict=True)]
        assert entries(made, by="rps")["a"].value == pytest.approx(40 / 80)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_same_prompt_again_is_no_first_one() -> None:
    """Without a paper, and from an engine that says nothing of its cache: a prompt asked thirty times was
    read once. A benchmark's prompts each begin anew."""
    again = rows("a", 30, paper_id=None, cached_tokens=None, ttft_ms=50.0)
    again[0]["ttft_ms"] = 2000.0
    made = rankings(gathered(again).samples, find_metric("ttft"))
    assert [(one.apart, one.entries[0].n, one.entries[0].value) for one in made] == [
        ("first", 1, 2000.0),
        ("cached", 29, 50.0),
    ]
    marked = [row | {"load_mode": "closed", "concurrency": 1, "cache_bust": True} for row in again]
    unknown = [row | {"prompt_sha256": None} for row in again]
    for other in (marked, unknown):
        assert [one.apart for one in rankings(gathered(other).samples, find_metric("ttft"))] == ["first"]


def test_among_many_a_reader_is_told_what_chance_does() -> None:
    """Of 20 equal hosts some are told apart in 2 of 5 rankings; who reads a rank 2 knows it."""

    def notes(hosts: int) -> list[str]:
        slow = rows("slow", ms=200)
        made = rankings(gathered(slow, *(rows(f"h{k}") for k in range(hosts))).samples, find_metric("ttft"))
        return [note for note in made[0].notes if "chance alone" in note]

    assert len(notes(8)) == 1
    assert "among 9, " in notes(8)[0]
    assert notes(3) == []


def test_a_prefill_rate_is_of_what_was_read() -> None:
    """Where the engine says how long it read and how much it had in its cache, but no rate of its own."""
    read = {"engine": "lm_studio", "server_prompt_eval_s": 0.6, "cached_tokens": 400}
    made = entries(rows("a", 12, **read), by="server_prefill_tps")
    assert made["a"].value == pytest.approx(1000)


def test_answers_of_several_runs_say_that_they_are() -> None:
    """Two days of one host differ more than the answers of a day; a pooled interval knows nothing of it."""
    one = gather([("r1", row) for row in rows("a", 20)])
    two = gather([(f"r{1 + k % 2}", row) for k, row in enumerate(rows("a", 20))])
    said = [" / ".join(remarks(found)) for found in (one, two)]
    assert "answers of 2 runs count as if they were of one" in said[1]
    assert "runs" not in said[0]
