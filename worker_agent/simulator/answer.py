"""What the simulated engine says: sentences of the paper it was given. Pure and seeded.

Counting is simple on purpose: a prompt has one token per 4 bytes of UTF-8, an answer one per word.
"""

import hashlib
import math
import random
import re
from collections.abc import Iterator

PAPER = re.compile(r".*<(paper|text)>(.*?)</\1>", re.DOTALL)  # the last: the system text names the tags, too
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
SHORT = 4  # words; below it, a heading or a page number rather than a sentence


def count_tokens(text: str) -> int:
    """Tokens of a prompt: its UTF-8 bytes over 4, rounded up."""
    return math.ceil(len(text.encode()) / 4)


def dice_for(*parts: object) -> random.Random:
    """A generator that the same parts always bring back, on any machine."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return random.Random(digest)


def draw_length(median: int, spread: float, dice: random.Random) -> int:
    """Answer length in words, log-normal about `median`."""
    return max(1, round(median * dice.lognormvariate(0, spread)))


def write_answer(prompt: str, length: int, dice: random.Random) -> list[str]:
    """About `length` words in whole sentences of the paper (else of the prompt), in shuffled order;
    a text that is too short is used again. Each entry is one token, with the space before it."""
    sentences = _sentences(prompt)
    words: list[str] = []
    for sentence in _shuffled(sentences, dice):
        words += [f" {word}" for word in sentence.split()]
        if len(words) >= length:
            break
    words[0] = words[0].lstrip()
    return words


def _sentences(prompt: str) -> list[str]:
    paper = PAPER.match(prompt)
    source = paper.group(2) if paper else prompt
    found = [part for part in SENTENCE_END.split(source) if part.strip()]
    whole = [part for part in found if len(part.split()) >= SHORT]
    return whole or found or ["Nothing."]


def _shuffled(sentences: list[str], dice: random.Random) -> Iterator[str]:
    while True:
        yield from dice.sample(sentences, len(sentences))
