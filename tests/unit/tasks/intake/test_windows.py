"""Papers that do not fit: every character is read once, and answers come together again."""

import random

import pytest

from tasks.intake.windows import (
    at_least_tokens,
    budget,
    estimate_tokens,
    overhead_tokens,
    part_prompt,
    plan_reduce,
    reduce_prompt,
    revealed_truncation,
    split,
)
from worker_agent.errors import ContextOverflow

SENTENCE = "The yield rose by 12.5 percent in the second year. "
PAPER = "\n\n".join(f"Paragraph {n}. {SENTENCE * (n % 7 + 1)}" for n in range(60))


def test_estimate() -> None:
    """ceil(bytes that are no digits / 3) + digits, in UTF-8."""
    assert estimate_tokens("") == 0
    assert estimate_tokens("abcd") == 2
    assert estimate_tokens("漢字") == 2
    assert estimate_tokens("1234567890") == 10
    assert estimate_tokens("ab 12") == 3


def test_lower_bound_is_low() -> None:
    """White space and runs count once; scripts of several bytes are counted by character."""
    assert at_least_tokens("word  \n\n " * 6) == 29 // 6
    assert at_least_tokens("." * 600) == 0
    assert at_least_tokens("123456") == 2
    assert at_least_tokens("Длинное русское предложение про лес") == 35 // 6


def test_lower_bound_is_below_the_estimate() -> None:
    """A check after the answer never asks for more than the guard before it expected."""
    for text in (PAPER, "漢字" * 500, "12 345 6789 " * 90, "x = y + z;\n" * 200):
        assert at_least_tokens(text) < estimate_tokens(text)


@pytest.mark.parametrize("tokens", [2, 7, 50, 333, 5000])
@pytest.mark.parametrize("scale", [0.8, 1.0, 1.7])
def test_split_keeps_every_character(tokens: int, scale: float) -> None:
    """Joined, the parts are the text; each fits; none is empty."""
    tokens = max(tokens, 4)
    parts = split(PAPER, tokens, scale)
    assert "".join(parts) == PAPER
    assert all(0 < estimate_tokens(part) * scale <= tokens for part in parts)


def test_split_of_random_texts() -> None:
    """The same for texts without any order to them."""
    dice = random.Random(1)
    for _ in range(200):
        text = "".join(dice.choices("ab1 .\n\t漢😀é", k=dice.randint(1, 300)))
        tokens = dice.randint(2, 60)
        parts = split(text, tokens)
        assert "".join(parts) == text
        assert all(0 < estimate_tokens(part) <= tokens for part in parts)


def test_split_prefers_paragraphs_then_sentences() -> None:
    """A part ends where a paragraph does; inside one that is too long, where a sentence does."""
    for part in split(PAPER, 200)[:-1]:
        assert part.endswith("\n\n")
    for part in split(SENTENCE * 20, 40)[:-1]:
        assert part.endswith("year. ")


def test_split_fills_its_parts() -> None:
    """No more parts than twice what would hold the text without any seams."""
    assert len(split(PAPER, 300)) <= 2 * estimate_tokens(PAPER) / 300


def test_text_that_fits_is_one_part() -> None:
    """Nothing is cut that need not be."""
    assert split(PAPER, estimate_tokens(PAPER)) == [PAPER]


def test_block_without_seams_is_cut_hard() -> None:
    """Letters without a break, as in a hash or a picture in base64, are read like any text."""
    assert [len(part) for part in split("x" * 1000, 100)] == [256, 256, 256, 232]
    assert [len(part) for part in split("x" * 40, 5)] == [15, 15, 10]


def test_budget() -> None:
    """What is left for the paper, or an error that says what takes the room."""
    assert budget(8192, 1024, 200) == 6968
    with pytest.raises(ContextOverflow, match=r"window of 1024 tokens.*1024 for the answer.*200 for"):
        budget(1024, 1024, 200)
    with pytest.raises(ContextOverflow, match="hold no part"):
        split(PAPER, 1)


def test_part_fits_its_window() -> None:
    """Overhead, part and answer together stay within the window, for the longest part note too."""
    instruction = "Which methods were used? Answer in one sentence."
    room = budget(1000, 300, overhead_tokens(instruction))
    parts = split(PAPER, room)
    for number, part in enumerate(parts, 1):
        system, user = part_prompt(instruction, part, number, len(parts))
        assert estimate_tokens(system) + estimate_tokens(user) + 300 <= 1000
        assert user.endswith(instruction)
        assert user.startswith(f"<paper>\n{part}")


def test_answers_are_joined_in_rounds() -> None:
    """Every round leaves fewer answers, in their order, until one is left."""
    answers = [f"{n}:" + "word " * 60 for n in range(11)]
    rounds = 0
    while len(answers) > 1:
        groups = plan_reduce(answers, 400)
        assert [answer for group in groups for answer in group] == answers
        assert len(groups) < len(answers)
        answers = [group[0][:310] for group in groups]
        rounds += 1
    assert rounds > 1
    assert answers[0].startswith("0:")


def test_answers_that_never_fit_are_an_error() -> None:
    """Where no two answers fit together the reason and the way out are said, and nothing loops."""
    with pytest.raises(ContextOverflow, match="lower --max-tokens"):
        plan_reduce(["word " * 300, "word " * 300], 400)
    assert plan_reduce(["word " * 300], 10) == [["word " * 300]]


def test_reduce_prompt_holds_answers_and_instruction() -> None:
    """The model sees the partial answers in order and what was asked."""
    _, user = reduce_prompt("Which methods?", ["by survey", "by </paper> trial"])
    assert user.index("[part 1]\nby survey") < user.index("[part 2]\nby &lt;/paper> trial")
    assert user.endswith("Which methods?")


@pytest.mark.parametrize(
    ("reported", "at_least", "window", "cut"),
    [
        (None, 5000, 4096, False),  # the engine says nothing
        (3000, 2000, 8192, False),
        (1999, 2000, 8192, True),  # fewer than the text must have
        (2050, 2500, 4096, True),  # half the window and two
        (2050, 2049, 4096, True),
        (2050, 1500, 4096, False),  # a prompt that happens to be that long
        (2050, 1500, None, False),
    ],
)
def test_revealed_truncation(reported: int | None, at_least: int, window: int | None, cut: bool) -> None:
    """An engine's own count gives a cut paper away; an honest count never does."""
    assert revealed_truncation(reported, at_least, window) is cut
