"""Prompts of set lengths: their words, their size, and the cells they make."""

import pytest

from tasks.bench.cell import Bench
from tasks.bench.drive import Asked
from tasks.bench.lengths import Size, instruction, words
from tasks.bench.plan import Cells
from tasks.bench.sized import Sized
from tasks.intake.stages import Stage
from tasks.work import Bundle, Manifest, Params
from worker_agent.errors import ContextOverflow, EngineTimeout


def sweep_of(**asked: object) -> Cells:
    bench = Bench(requests=4, lengths=(100, 1000), **asked)  # type: ignore[arg-type]
    prompts = tuple(map(instruction, bench.lengths))
    stages = (Stage(model="m", host="a"), Stage(model="m", host="b"))
    return Cells(Manifest("r1", prompts, (), Params(), paperless=True, stages=stages, bench=bench))


def test_texts_are_of_a_seed_and_of_their_own() -> None:
    """The same again for the same request, another for another; a shorter one begins the longer."""
    assert words(300, 7, 1) == words(300, 7, 1)
    assert words(300, 7, 1)[:20] != words(300, 7, 2)[:20]
    assert words(300, 7, 1) != words(300, 8, 1)
    assert words(900, 7, 1).startswith(words(300, 7, 1).rstrip("."))
    assert [len(words(count, 0).split()) for count in (1, 50, 2000)] == [1, 50, 2000]


@pytest.mark.parametrize(("per_word", "beside"), [(1.1, 40), (1.45, 5), (2.6, 90), (0.9, 12)])
@pytest.mark.parametrize("length", [200, 1000, 10_000])
def test_an_engines_own_count_sizes_the_next_prompt(length: int, per_word: float, beside: int) -> None:
    """Whatever its tokenizer and its chat template make of the first one: by the third it has its length."""
    size = Size(length, 128)
    for _ in range(2):
        size.learn([round(beside + per_word * size.words)])
    assert beside + per_word * size.words == pytest.approx(length, rel=0.02, abs=per_word)


def test_without_a_count_the_estimate_stands() -> None:
    """And is not lost by a request that failed."""
    size = Size(1000, 128)
    before = size.words
    size.learn([])
    assert size.words == before == pytest.approx(1000 / 1.1, rel=0.06)


def test_the_first_prompt_stays_in_the_window() -> None:
    """It may come out longer than estimated; what is too long altogether is not sent."""
    assert Size(8000, 128, 8192).words * 1.45 + 128 < 8192
    load = Bench(lengths=(8000,)).at(1, 8000)
    reasons = [Sized(load, 8000, 128, window).does_not_fit for window in (8128, 8127, None)]
    assert [bool(reason) for reason in reasons] == [False, True, False]
    assert "the window of 8127" in str(reasons[1])


def test_a_refusal_tells_the_length_that_was_refused() -> None:
    """Only one of the wanted length makes the cell hopeless; another failure says nothing of lengths."""

    def refused(tokens: int) -> list[Asked]:
        said = f"This model's maximum context length is 2048 tokens. However, you requested {tokens} tokens."
        return [Asked(0, None, 0.0, error=ContextOverflow(said))]

    sized = Sized(Bench(lengths=(1900,)).at(1, 1900), 1900, 16, None)
    assert [sized.hopeless(refused(tokens)) for tokens in (2405, 1910)] == [False, True]
    assert not sized.hopeless([Asked(0, None, 0.0, error=EngineTimeout("1900 tokens"))])
    sized.prepare([1])
    before = len(sized.before(1, "").split())
    sized.learn(refused(2405))
    sized.prepare([1])
    assert len(sized.before(1, "").split()) == pytest.approx(before * 1900 / 2405, rel=0.03)


def test_each_length_and_load_is_a_cell() -> None:
    """Of a host one behind the other, each asking its own prompt and no other; they survive Redis."""
    cells = sweep_of(concurrency=(1, 10), warmup=1).first()
    shown = [(one.host, one.load.words, set(one.prompts)) for one in cells if one.load]
    assert shown[:4] == [
        ("a", "100 tokens, 1 at a time", {0}),
        ("a", "100 tokens, 10 at a time", {0}),
        ("a", "1000 tokens, 1 at a time", {1}),
        ("a", "1000 tokens, 10 at a time", {1}),
    ]
    assert [one.behind for one in cells] == [None, 0, 1, 2, None, 4, 5, 6]
    assert [Bundle.from_json(one.to_json()) for one in cells] == cells


def test_each_length_is_swept_by_itself() -> None:
    """One length has found its knee, the other goes on doubling."""
    cells = sweep_of(sweep=True)
    first = cells.first()
    assert [cells.series(one) for one in first] == [0, 1, 2, 3]
    (more,) = cells.following(1, 10.0, None)
    assert (more.load and more.load.words, set(more.prompts)) == ("1000 tokens, 2 at a time", {1})
    assert cells.open_series([0, 2, 3]) == {1: 4}
    assert cells.before(4) == 1
