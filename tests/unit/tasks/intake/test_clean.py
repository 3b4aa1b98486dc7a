"""The text a model reads: whole words, plain line ends, nothing unprintable."""

import pytest

from tasks.intake.clean import clean, visible

NASTY = "\x00 a\r\nb\rc\u2029d\u2028e re\ufffe\r\nsult an\x02swer \ue000\uf8eb\U000f0001\ud800\x1b\x85 \tz \n"


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("one\r\ntwo\rthree\u2029four", "one\ntwo\nthree\nfour"),
        ("theoret\ufffe\r\nical frame\ufffework per\x02mutation", "theoretical framework permutation"),
        ("NUL\x00, escape\x1b, delete\x7f, next\x85", "NUL, escape, delete, next"),
        ("keeps\ttabs\nand \ufffd", "keeps\ttabs\nand \ufffd"),
        ("bullet \uf0b7 and \U000f0000 and \U0010fffd", "bullet  and  and"),
        ("half \ud83d a pair \ude00", "half  a pair"),
        ("  \n around \n ", "around"),
        ("x \U0001d465 漢字 e\u0301", "x \U0001d465 漢字 e\u0301"),
    ],
)
def test_rules(raw: str, cleaned: str) -> None:
    """Each rule, alone."""
    assert clean(raw) == cleaned


def test_cleaning_twice_changes_nothing() -> None:
    """The id of a paper is the hash of its cleaned text, so cleaning has to be stable."""
    once = clean(NASTY)
    assert clean(once) == once
    assert once.encode()


def test_visible_characters() -> None:
    """White space does not make a scan a text."""
    assert visible(" a\n\tb c " + " " * 1000) == 3
