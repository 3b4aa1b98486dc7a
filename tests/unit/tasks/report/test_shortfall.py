"""A load that so few requests never are, and prompts that they do not reach."""

import pytest

from tasks.bench.cell import Bench, Load, prompts_of
from tasks.report.shortfall import shortfalls

NAMES = ("tides", "bread", "bridge", "index", "maps")


def said(load: Load, names: tuple[str, ...] = NAMES[:2]) -> list[str]:
    return list(shortfalls(load, prompts_of(load, len(names)), names))


@pytest.mark.parametrize(
    ("requests", "note"),
    [
        (4, "4 requests are never 16 at a time; 64 would measure it"),
        (20, "20 requests at 16 at a time: much of it is its start and end; 64 would measure it"),
        (63, "63 requests at 16 at a time: much of it is its start and end; 64 would measure it"),
    ],
)
def test_a_load_is_reached_with_four_for_each(requests: int, note: str) -> None:
    """Below, the cell says what would measure it."""
    assert said(Bench(requests=requests).at(16)) == [note]


def test_a_load_that_is_reached_says_nothing() -> None:
    """What nobody set, four for each at a time, one at a time however few, and so many a second."""
    assert not any(said(Bench().at(many)) for many in (1, 4, 16, 64))
    assert not said(Bench(requests=64).at(16))
    assert not said(Bench(requests=2).at(1))
    assert not any(map(said, Bench(requests=20, rates=(1.0,)).loads()))


def test_a_prompt_that_is_not_measured_is_named() -> None:
    """Four requests end before the fifth prompt; that the warm-up asks it changes nothing."""
    assert said(Bench(requests=4, warmup=9).at(1), NAMES) == [
        "4 requests for 5 prompts: maps is not measured"
    ]
    assert said(Bench(requests=1).at(1), NAMES) == [
        "1 request for 5 prompts: bread, bridge, index and 1 more are not measured"
    ]
    assert not said(Bench(requests=5).at(1), NAMES)


def test_a_set_length_has_one_prompt() -> None:
    """Those of the other lengths are other cells'."""
    bench = Bench(requests=4, lengths=(100, 1000))
    (load, _) = bench.loads()
    assert not list(shortfalls(load, bench.prompts_of(load, 2), ("100 tokens", "1000 tokens")))
