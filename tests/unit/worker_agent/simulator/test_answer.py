"""What the simulated engine says, and when."""

import statistics

import pytest

from worker_agent.simulator.answer import count_tokens, dice_for, draw_length, write_answer
from worker_agent.simulator.pace import CHUNKS_PER_S, Pace, pace_of, schedule
from worker_agent.simulator.profile import Profile, make_profile

PROMPT = """Be brief. <paper>Title
 
The first finding is about dust. The second finding is about gas! Is the third about stars?

</paper> Now answer in French, please."""


def test_answers_are_sentences_of_the_paper() -> None:
    """Neither the instruction nor the heading is quoted."""
    answer = "".join(write_answer(PROMPT, 12, dice_for(1)))
    for sentence in ("The second finding is about gas!", "Is the third about stars?"):
        assert sentence in "".join(write_answer(PROMPT, 30, dice_for(1)))
    assert "French" not in answer
    assert answer == answer.strip()


def test_a_system_text_that_names_the_tags_is_no_paper() -> None:
    """llmq's own says where the paper stands; the answer is about the paper."""
    told = "The paper stands between <paper> and </paper>. " + PROMPT
    assert "".join(write_answer(told, 30, dice_for(1))) == "".join(write_answer(PROMPT, 30, dice_for(1)))


def test_without_a_paper_the_prompt_itself_is_quoted() -> None:
    """A bare prompt gets an answer too, however short it is."""
    assert "".join(write_answer("Why is the sky blue?", 5, dice_for(1))) == "Why is the sky blue?"
    assert write_answer("", 1, dice_for(1))


def test_an_answer_reaches_its_length_in_whole_sentences() -> None:
    """A paper that is too short is quoted again."""
    words = write_answer(PROMPT, 100, dice_for(1))
    assert 100 <= len(words) < 110
    assert words[-1][-1] in ".!?"


def test_the_same_parts_give_the_same_answer_and_others_another() -> None:
    """Repeatable, and different per seed."""
    answers = {tuple(write_answer(PROMPT, 60, dice_for(seed, "m"))) for seed in (1, 1, 2, 3)}
    assert len(answers) == 3


def test_lengths_lie_about_their_median() -> None:
    """Log-normal, so that a few answers are long."""
    dice = dice_for("lengths")
    lengths = [draw_length(100, 0.3, dice) for _ in range(500)]
    assert 90 < statistics.median(lengths) < 110
    assert max(lengths) > 150
    assert draw_length(100, 0, dice) == 100


def test_a_prompt_token_is_four_bytes() -> None:
    """Bytes, not characters: German and Greek papers cost more."""
    assert (count_tokens("abcd"), count_tokens("abcde"), count_tokens("äöüß")) == (1, 2, 2)


def profile(**times: float) -> Profile:
    return make_profile({"name": "x", "wire": "openai", "models": ["m"]} | times)


def test_rates_give_the_time_of_every_token() -> None:
    """Prefill counts the tokens that are not cached; decoding is one gap per further token."""
    chunks = schedule(["a"] * 11, pace_of(profile(prefill_tps=100, decode_tps=10), 50, 11, 2.0))
    assert [chunks[0].due_s, chunks[1].due_s, chunks[-1].due_s] == pytest.approx([1.0, 1.2, 3.0])
    assert len(chunks) == 11


def test_service_s_is_the_time_of_the_last_token() -> None:
    """However long the answer is."""
    for words in (1, 7, 300):
        chunks = schedule(["a"] * words, pace_of(profile(service_s=0.5), 9999, words, 1.0))
        assert chunks[-1].due_s == pytest.approx(0.5)


def test_fast_tokens_travel_together() -> None:
    """At most about 50 chunks a second, the first token alone, nothing lost, last one on time."""
    words = [f" {n}" for n in range(1000)]
    chunks = schedule(words, Pace(first_s=0.25, gap_s=0.001))
    assert chunks[0].text == " 0"
    assert "".join(chunk.text for chunk in chunks) == "".join(words)
    assert sum(chunk.tokens for chunk in chunks) == 1000
    assert len(chunks) <= CHUNKS_PER_S + 2
    assert chunks[-1].due_s == pytest.approx(0.25 + 0.999)


def test_no_time_at_all_is_two_chunks() -> None:
    """A rate of infinity: everything is due at once."""
    assert [chunk.tokens for chunk in schedule(["a"] * 5, Pace(0, 0))] == [1, 4]
