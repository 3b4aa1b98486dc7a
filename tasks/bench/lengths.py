"""Prompts of a set length: made texts of ordinary words, as long as the engine's own count says. Pure.

An engine alone knows how many tokens it makes of a text. So the first request of a cell is sized by an
estimate, and its count sizes the others; where an engine counts nothing, the estimate stands.
"""

import re
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from statistics import median

from tasks.bench.cell import length_words
from tasks.intake.prompts import Prompt

LEAST = 50  # tokens; the instruction, the mark and a chat template leave no room below
PER_WORD = 1.1  # tokens (measured with Mistral's tekken): the start, until the engine has counted
BESIDE = 45  # tokens of the mark, the instruction and a chat template, about
LEAST_PER_WORD = 0.5
NEAR = 0.1  # two texts whose words differ by less say little about tokens a word
SPARE = 0.75  # of a window for the first text, which may come out longer than estimated

# What {who} and the like stand for in a sentence.
_WORDS = {
    name: tuple(listed.split())
    for name, listed in {
        "who": """baker carpenter captain child clerk cook doctor driver engineer farmer fisherman gardener
            guest guide hunter judge miller neighbour nurse painter pilot sailor shepherd singer smith student
            tailor teacher traveller writer""",
        "does": """carried brought counted measured painted repaired found lost sold bought watched opened
            closed moved cleaned borrowed returned promised wanted remembered forgot drew kept""",
        "how": """old new small large heavy light warm cold quiet bright dark broken clean simple strange
            early late long short round green grey narrow wide empty full common rare soft hard""",
        "what": """apple basket bell boat book bottle box bridge bucket candle chair clock coat cup door
            drawer engine fence garden glass hammer hat house jar kettle key ladder lamp letter map mill
            mirror needle oven paper pen plate rope shelf shoe spoon stone table tool tower wagon wheel""",
        "where": """river market harbour station forest field school kitchen village hill road library
            square island lake workshop meadow barn church shore""",
        "when": "morning evening spring summer autumn winter night afternoon week month rain snow storm",
    }.items()
}
_PLACE = re.compile(r"\{(\w+)\}")
_TURNS = (
    "near the {where}", "before the {when}", "behind the {what}", "with one {how} {what}", "for the {who}",
    "after the {when}", "and {does} the {what}", "because the {who} {does} one {how} {what}",
)  # fmt: skip


def instruction(length: int) -> Prompt:
    """What is asked about a text of that length, under the length's own name."""
    said = f"Above are notes of about {length_words(length)}. Tell in a few paragraphs what they say."
    return Prompt(f"len-{length}", said)


def words(count: int, *seed: object) -> str:
    """A text of so many words: the same for the same seed; a shorter one is the beginning of a longer."""
    random, found = Random(" ".join(map(str, seed))), list[str]()
    while len(found) < count:
        found += _sentence(random).split()
    return " ".join(islice(found, count)).rstrip(".") + "."


def _sentence(random: Random) -> str:
    turns = " ".join(random.choice(_TURNS) for _ in range(random.randint(1, 3)))
    pattern = f"The {{how}} {{who}} {{does}} the {{how}} {{what}} {turns}."
    return _PLACE.sub(lambda found: random.choice(_WORDS[found[1]]), pattern)


@dataclass(slots=True)
class Size:
    """How many words of text make a prompt of `length` tokens at one engine. `window` and `max_tokens` bound
    the first text."""

    length: int
    max_tokens: int
    window: int | None = None
    words: int = field(init=False)
    _seen: tuple[int, float] | None = None  # words and tokens of the last text

    def __post_init__(self) -> None:
        most = self.length
        if self.window:
            most = min(most, int(SPARE * (self.window - self.max_tokens)))
        self.words = max(1, round((most - BESIDE) / PER_WORD))

    def learn(self, counts: list[int]) -> None:
        """From what the engine counted of prompts with this many words; nothing where it counted none."""
        if not counts:
            return
        counted = median(counts)
        per_word = self._per_word(counted)
        self._seen = self.words, counted
        self.words = max(1, self.words + round((self.length - counted) / per_word))

    def _per_word(self, counted: float) -> float:
        """By two texts of different size, if there were; else with a guess at what is beside the text."""
        words, before = self._seen or (self.words, counted)
        if abs(self.words - words) > NEAR * words:
            return max(LEAST_PER_WORD, (counted - before) / (self.words - words))
        return max(LEAST_PER_WORD, (counted - BESIDE) / self.words) if self.words > BESIDE else PER_WORD
