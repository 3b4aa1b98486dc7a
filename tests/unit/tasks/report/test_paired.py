"""Chains as they are ranked: their own times, not those of the last answer."""

import math
from statistics import median
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.report.metric import METRICS
from tasks.report.paired import WHOLE, check_of_chains, gather_pairs, of_last_hop
from tasks.report.rank import Entry, rankings
from tasks.report.rows import Source
from tasks.report.told import tell

N = 12
QUEUED_S = 3.0


def chain(
    number: int, firsts: str, lasts: str, took_s: tuple[float, ...] = (0.5, 0.2), **more: Any
) -> list[dict[str, Any]]:
    """Rows of a chain `host:model` to `host:model`, a middle one from the first, as a results file has them:
    each hop begins a second after the one before, and the first was added QUEUED_S before it began."""
    who = [firsts] * (len(took_s) - 1) + [lasts]
    made: list[dict[str, Any]] = []
    for hop, (name, e2e_s) in enumerate(zip(who, took_s, strict=True)):
        host, _, model = name.partition(":")
        made.append(
            {
                "item_id": f"r-{number}{hop}-0",
                "parent": made[-1]["item_id"] if made else None,
                "success": True,
                "host": host,
                "model": model,
                "stage": f"stage{hop}",
                "paper_id": None if hop else f"paper-{number}",
                "prompt_sha256": f"p{hop}",
                "enqueued_at": f"2026-01-01T00:{number:02}:{10 + hop - QUEUED_S * (not hop):05.2f}+00:00",
                "started_at": f"2026-01-01T00:{number:02}:{10 + hop:02}+00:00",
                "ttft_ms": 30.0,
                "e2e_latency_s": e2e_s + number / 1000,
                "stream_end_s": e2e_s + number / 1000,
                "failures": [[host, "timeout"]] if number == 0 else [],
            }
        )
    return [*made[:-1], made[-1] | {"pair_id": f"{firsts}->{lasts}"} | more]


def many(firsts: str, lasts: str, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [row for n in range(start, start + N) for row in chain(n, firsts, lasts, **more)]


def entries(rows: list[dict[str, Any]], by: str, per: str = "pair") -> dict[str, Entry]:
    (ranking,) = rankings(gather_pairs((("r", row) for row in rows), per).samples, METRICS[by])
    return {entry.cell.name: entry for entry in ranking.entries}


def test_a_chain_is_ranked_by_all_its_hops() -> None:
    """Its inference is the sum of theirs, its time from when the first could be claimed to the end of the
    last; tries that failed are those of all its hops."""
    (one,) = entries(many("a:m", "b:n"), "inference_s").values()
    assert (one.n, one.cell.name, dict(one.failed)) == (N, "a:m->b:n", {"timeout": 2})
    assert one.value == pytest.approx(0.7 + 2 * 0.0055)
    (one,) = entries(many("a:m", "b:n"), "total_s").values()
    assert one.value == pytest.approx(QUEUED_S + 1 + 0.2 + 0.0055)
    (one,) = entries(many("a:m", "b:n", took_s=(0.5, 0.1, 0.2)), "inference_s").values()
    assert one.value == pytest.approx(0.8 + 3 * 0.0055), "three hops"


def test_a_run_in_redis_has_the_moments_of_chains_csv() -> None:
    """By the clock of Redis, when it knew the answer."""
    rows = many("a:m", "b:n")
    stamped = [row | {"added_ms": 1000 if row["parent"] is None else 5000, "ended_ms": 9000} for row in rows]
    (one,) = entries(stamped, "total_s").values()
    assert one.value == 8.0


def test_ranking_and_matrix_say_the_same() -> None:
    """The same pairs, as many chains, the same median: also where some are another run's answers, or failed,
    or what they read is not among the rows."""
    rows = [
        *many("a:m", "b:n"),
        *many("b:n", "a:m", start=20, took_s=(0.9, 0.8)),
        *chain(50, "a:m", "b:n")[1:],
    ]
    rows[0] |= {"reused_from": "other-0-0"}
    rows[3] |= {"success": False, "error": {"type": "timeout"}, "e2e_latency_s": None}
    told = tell(Source("r", {}, rows))
    ranked = entries(rows, "inference_s")
    drawn = {(one, two): (pair.median_s, len(pair.took_s)) for (one, two), pair in told.pairs.items()}
    assert drawn == {
        ("m@a", "n@b"): (ranked["a:m->b:n"].value, ranked["a:m->b:n"].n),
        ("n@b", "m@a"): (ranked["b:n->a:m"].value, ranked["b:n->a:m"].n),
    }
    assert {entry.n for entry in ranked.values()} == {N, N - 2}
    assert entries(rows, "total_s")["a:m->b:n"].n == N - 2, "nor is their time as a whole known"


def test_models_are_paired_whatever_the_hosts() -> None:
    """Forty chains of few models over many hosts are no entries of two or three each; a model's own colon is
    its name's."""
    hosts = ("a", "b", "c", "d")
    rows = [
        row
        for n in range(40)
        for row in chain(n, f"{hosts[n % 4]}:q:8b", f"{hosts[n // 4 % 4]}:{'sm'[n % 2]}:1b")
    ]
    assert max(entry.n for entry in entries(rows, "inference_s").values()) < 10
    ranked = entries(rows, "inference_s", "model-pair")
    assert {name: entry.n for name, entry in ranked.items()} == {"q:8b->s:1b": 20, "q:8b->m:1b": 20}
    assert all(entry.rank for entry in ranked.values())
    for firsts, mixed in (("ab", True), ("a", False)):
        rows = [row for host in firsts for row in many(f"{host}:m", "c:n", start=20 * ord(host) % 40)]
        (ranking,) = rankings(
            gather_pairs((("r", row) for row in rows), "model-pair").samples, METRICS["total_s"]
        )
        assert any("hosts differ: m->n" in note for note in ranking.notes) == mixed


def test_what_is_of_the_last_hop_says_so() -> None:
    """And what is of chains is refused elsewhere, as a limit too."""
    assert of_last_hop(METRICS["ttft_ms"]).title == "time to first token, last hop"
    assert [of_last_hop(metric) for metric in WHOLE] == [METRICS["inference_s"], METRICS["total_s"]]
    check_of_chains(["total_s", "ttft_ms"], "model-pair")
    with pytest.raises(InputError, match="total_s is of chains: rank them with --per pair"):
        check_of_chains(["ttft_ms", "total_s"], "host")


def test_items_without_a_chain_and_loops_are_left_out() -> None:
    """A file may claim that an item read itself, or one that read it."""
    plain = [{"item_id": f"x{n}", "success": True, "host": "a", "model": "m"} for n in range(3)]
    loop = [
        {"item_id": "y", "parent": "z", "success": True},
        {"item_id": "z", "parent": "y", "success": True},
    ]
    end = [{"item_id": "e", "parent": "y", "success": True, "pair_id": "a:m->b:n", "e2e_latency_s": 1.0}]
    found = gather_pairs((("r", row) for row in [*plain, *loop, *end]), "pair")
    assert found.unpaired == 3
    (sample,) = found.samples
    assert [math.isnan(one.value("inference_s")) for one in sample.requests] == [True]


def test_rows_that_stand_in_any_order_are_chained() -> None:
    """A file of lines has them as they landed."""
    rows = many("a:m", "b:n")
    (one,) = entries(rows[::-1], "inference_s").values()
    assert one.value == pytest.approx(median(0.7 + 2 * n / 1000 for n in range(N)))
