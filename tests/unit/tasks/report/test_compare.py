"""Differences in words that a person understands, and none where there is none."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.report.compare import Comparison, Side, compare
from tasks.report.findings import titled
from tasks.report.gather import gather
from tasks.report.metric import METRICS
from tasks.report.rank import rankings


def rows(host: str, n: int, ms: float, *, papers: str = "paper", **more: Any) -> list[dict[str, Any]]:
    """Answers to papers of very different length, the same for everybody who has the same `papers`."""
    lengths, noise = random.Random(papers), random.Random(f"{host}{papers}{ms}")
    return [
        {
            "success": True,
            "host": host,
            "model": "m",
            "paper_id": f"{papers}-{k}",
            "prompt_sha256": "p",
            "ttft_ms": ms * lengths.uniform(0.8, 1.2) * noise.gauss(1, 0.03),
            "output_tps": 1000 / ms * noise.gauss(1, 0.03),
            "prompt_tokens": 1000,
            "cached_tokens": 0,
            "token_count_source": "server",
            "started_at": f"2026-01-01T00:{k // 60:02}:{k % 60:02}+00:00",
            "stream_end_s": ms / 1000,
            **more,
        }
        for k in range(n)
    ]


def compared(a: list[dict[str, Any]], b: list[dict[str, Any]], by: str = "ttft_ms") -> Comparison:
    sides = [Side(rows_[0]["host"], gather(("run", row) for row in rows_).samples[0]) for rows_ in (a, b)]
    (one,) = compare(sides[0], sides[1], METRICS[by])
    return one


def test_the_better_one_is_named_first_and_by_how_much() -> None:
    """Whichever way round they are given; with the interval and the numbers of values."""
    fast, slow = rows("fast", 100, 90, papers="x"), rows("slow", 98, 100, papers="y")
    for one in (compared(fast, slow), compared(slow, fast)):
        said = one.sentence()
        assert "fast begins to answer " in said
        assert " % sooner than slow (95 %: " in said
        assert "100" in said
        assert "98" in said
        assert one.difference
        assert one.difference.found
    by_rate = compared(slow, fast, "output_tps")
    assert "fast writes 11 % faster than slow (95 %: 1" in by_rate.sentence()
    assert by_rate.difference
    assert by_rate.difference.ratio == pytest.approx(0.9, abs=0.01), "a over b, for programs"


@pytest.mark.parametrize(("cached", "prompt"), [(0, "prompt read anew"), (900, "prompt from the cache")])
def test_it_has_the_words_of_a_ranking(cached: int, prompt: str) -> None:
    """Which prompts they were is said as `rank` says it, found or not."""
    for ms in (100, 150):
        made = rows("a", 30, 100, cached_tokens=cached), rows("b", 30, ms, cached_tokens=cached)
        (ranked,) = rankings(gather(("run", row) for row in [*made[0], *made[1]]).samples, METRICS["ttft_ms"])
        about = titled(ranked.metric, ranked.apart, ranked.terms)
        assert about == f"time to first token, {prompt}"
        assert compared(*made).sentence().startswith(f"{about}: ")


def test_no_difference_says_what_would_have_been_found() -> None:
    """So that nothing found is not taken for nothing there."""
    said = compared(rows("a", 20, 100, papers="x"), rows("b", 20, 100, papers="y")).sentence()
    assert "no difference found between a and b; with these n (n = 20 and 20) one of " in said
    assert "would have been, in 8 of 10 cases" in said


def test_the_same_questions_are_compared_pair_by_pair() -> None:
    """Five per cent drown in papers of different length, and pairs find them."""
    a, b = rows("a", 40, 100), rows("b", 40, 105)
    assert compared(a, b).pairs == 40
    assert compared(a, b).difference
    assert "a begins to answer" in compared(a, b).sentence()
    other = compared(a, rows("b", 40, 105, papers="other"))
    assert other.pairs is None
    assert "no difference found" in other.sentence()
    assert "they answered different papers" in (other.note or "")


def test_energy_of_requests_that_shared_readings_is_compared_by_spells() -> None:
    """Forty answers to the same questions are forty pairs of times; their energy, read every two seconds, is
    worth twenty values of each, and read every ten too few."""

    def energetic(host: str, joules: float, every_s: float) -> list[dict[str, Any]]:
        rng = random.Random(f"{host}{joules}")
        energy = {"energy_source": "rapl", "energy_every_s": every_s, "load_mode": "closed", "concurrency": 1}
        return [row | {"energy_j": rng.gauss(joules, joules * 0.08)} for row in rows(host, 40, 900, **energy)]

    a, b = energetic("a", 100, 2.0), energetic("b", 120, 2.0)
    assert compared(a, b).pairs == 40
    one = compared(a, b, "energy_j")
    assert one.pairs is None
    assert "a takes 1" in one.sentence()
    assert "less energy a request than b" in one.sentence()
    both = [compared(*(energetic("a", 100, s), energetic("b", 120, s)), "energy_j") for s in (1.0, 3.0)]
    assert both[0].difference
    assert both[1].difference
    narrow, wide = (one.difference.high - one.difference.low for one in both if one.difference)
    assert wide > 1.3 * narrow
    few = compared(energetic("a", 100, 10.0), energetic("b", 120, 10.0), "energy_j")
    assert "their energy was read in 4 spells, of 10 that are needed" in few.sentence()


def test_what_cannot_be_compared_says_why() -> None:
    """Too few answers, few papers with many prompts, a simulated one beside a real one, no such figure."""
    many = rows("a", 40, 100)
    assert "each needs 10 answers" in compared(many, rows("b", 9, 50)).sentence()
    few = [dict(row, paper_id=f"p{k % 3}", prompt_sha256=str(k)) for k, row in enumerate(rows("b", 40, 50))]
    assert "answers of 3 papers" in compared(many, few).sentence()
    assert "one of them is simulated" in compared(many, rows("b", 40, 50, simulated=True)).sentence()
    fast, slow = (rows("b", 40, 50, simulated=True, time_scale=scale) for scale in (0.05, 1.0))
    assert "simulated at different paces" in compared(fast, slow).sentence()
    assert "nobody has the figure" in compared(many, rows("b", 40, 50), "energy_j").sentence()
    guessed = rows("b", 40, 50, token_count_source="estimate")
    assert "cannot be compared" in compared(many, guessed, "output_tps").sentence()


def test_rates_are_compared_by_their_blocks() -> None:
    """One answer a second against two."""
    twice = [
        dict(row, started_at=f"2026-01-01T00:00:{k / 2:09.6f}+00:00")
        for k, row in enumerate(rows("b", 100, 100))
    ]
    one = compared(rows("a", 100, 100), twice, "rps")
    assert one.difference
    assert (
        "one of them is simulated" in compared(rows("a", 100, 100, simulated=True), twice, "rps").sentence()
    )
    assert one.difference.ratio == pytest.approx(0.5, rel=0.02)
    assert "b answers " in one.sentence()
    assert "more requests a second than a" in one.sentence()


def of_lengths(
    host: str, lengths: dict[int, int], ms_per_token: float, seed: int = 1
) -> list[dict[str, Any]]:
    """So many answers to prompts of each length, each to a paper of its own; times grow with the length."""
    rng = random.Random(f"{host}{seed}")
    tokens = [length for length, n in lengths.items() for _ in range(n)]
    made = rows(host, len(tokens), 1, papers=host)
    return [
        dict(row, prompt_tokens=n, ttft_ms=n * ms_per_token * rng.gauss(1, 0.03))
        for n, row in zip(tokens, made, strict=True)
    ]


def test_who_had_the_short_papers_is_not_called_faster() -> None:
    """Answers to prompts of like length are compared, and the sentence counts those; the note says it."""
    slow = of_lengths("slow", {300: 40}, 0.2)
    fast = of_lengths("fast", {300: 15, 3000: 40}, 0.1)
    for one in (compared(slow, fast), compared(fast, slow)):
        assert "fast begins to answer 50 % sooner than slow" in one.sentence()
        assert "n = 15 and 15" in one.sentence()
        assert "15 answers of each are to prompts of like length, and these are compared" in (one.note or "")


def test_prompts_of_other_lengths_are_not_compared() -> None:
    """Unless the better one's were the longer ones: then they are no excuse."""
    short = of_lengths("short", {300: 40}, 0.2)
    refused = compared(short, of_lengths("long", {3000: 40}, 0.1)).sentence()
    assert "cannot be compared" in refused
    assert "median prompt 300 and 3000 tokens" in refused
    assert "only 0 answers of each are to prompts of like length" in refused
    told = compared(short, of_lengths("long", {3000: 40}, 0.01))
    assert "long begins to answer 50 % sooner than short" in told.sentence()
    assert "the better one's prompts were the longer ones" in (told.note or "")


def test_equal_hosts_with_papers_of_different_length_show_no_difference() -> None:
    """In at least 90 of 100 cases, whatever the lengths; both would differ by half by their medians."""
    found = 0
    for seed in range(100):
        a = of_lengths("a", {300: 30, 1000: 20, 3000: 10}, 0.1, seed)
        b = of_lengths("b", {300: 10, 1000: 20, 3000: 30}, 0.1, seed)
        difference = compared(a, b).difference
        assert difference
        found += difference.found
    assert found <= 10


def test_one_paper_asked_oftener_of_one_makes_no_difference() -> None:
    """Hosts of one speed, a short and a long paper: who got the short one six times as often is no faster."""

    def host(name: str, shorts: int, longs: int) -> list[dict[str, Any]]:
        short = rows(name, shorts, 100, paper_id="short") if shorts else []
        return short + [row | {"prompt_tokens": 9000} for row in rows(name, longs, 900, paper_id="long")]

    one = compared(host("a", 30, 5), host("b", 5, 30))
    assert not (one.difference and one.difference.found), one.sentence()


def one_by_one(host: str, took_s: list[float], run: str = "run") -> list[tuple[str, dict[str, Any]]]:
    """Answers that came one after the other, each as long as said."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    found = []
    for k, seconds in enumerate(took_s):
        (row,) = rows(host, 1, 100, papers=f"{host}{k}")
        times = {"started_at": begin.isoformat(), "stream_end_s": seconds, "e2e_latency_s": seconds}
        found.append((run, row | times))
        begin += timedelta(seconds=seconds + 0.01)
    return found


def rated(*sides: list[tuple[str, dict[str, Any]]]) -> Comparison:
    found = [Side(side[0][1]["host"], gather(side).samples[0]) for side in sides]
    (one,) = compare(found[0], found[1], METRICS["rps"])
    return one


def test_rates_are_compared_as_they_are_shown() -> None:
    """Thirty answers in thirty seconds by each, one evenly and one by fits and starts: neither is faster."""
    one = rated(one_by_one("even", [1.0] * 30), one_by_one("fits", [0.2, 0.2, 0.2, 0.2, 0.2, 5.0] * 5))
    assert one.difference
    assert one.difference.ratio == pytest.approx((one.a or 0) / (one.b or 1))
    assert one.difference.ratio == pytest.approx(1, abs=0.05)
    assert not one.difference.found


def test_rates_of_runs_too_short_for_an_interval_are_not_compared() -> None:
    """Five runs of two answers each are ten answers, and no part of them is a rate."""
    sides = [[row for n in range(5) for row in one_by_one(host, [1.0, 1.1], f"run-{n}")] for host in "ab"]
    assert "cannot be compared: their runs are too short" in rated(*sides).sentence()
