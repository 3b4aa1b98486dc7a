"""Papers and context windows: how many tokens a text takes, how to cut one that does not fit and put
the answers together again, and how an engine gives away that it cut. Pure; counts are tokens.

The guard before a request uses `estimate_tokens`, which errs on the high side; the check after it
uses `at_least_tokens`, which errs on the low side, so that neither cuts a paper nor refuses an answer.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from tasks.intake.prompts import PAPER, SYSTEM, Material, before, wrap
from worker_agent.errors import ContextOverflow

TEMPLATE_TOKENS = 64  # what a chat template adds around system and user text, generously
_DIGITS = b"0123456789"
# Ends of paragraphs, lines, sentences, words, 64 characters: a text is cut at the first that helps.
_SEAMS = tuple(
    re.compile(seam)
    for seam in (r"\n\s*\n\s*", r"\n", r"[.!?][\"')\]]*\s+|[。！？]", r"\s+", r"(?s:.{64})")  # noqa: RUF001
)
_RUN = re.compile(r"(.)\1{2,}")
_JOIN = (
    "The paper was too long to be read at once. Above are the answers to one instruction, each from a "
    "part of the paper, in their order. Join them into one answer to the instruction, as if the paper "
    "had been read whole: keep what matters, resolve what repeats or contradicts itself, and do not "
    "mention the parts."
)


# A worker asks this several times for each item of a paper; its text is kept in memory anyway.
@lru_cache(maxsize=32)
def estimate_tokens(text: str) -> int:
    """ceil(UTF-8 bytes that are no digits / 3) + digits: within +27 % for papers in English, nearly
    exact for Chinese, code and tables of numbers (against Mistral's tekken)."""
    return -(-_thirds(text) // 3)


@lru_cache(maxsize=32)
def at_least_tokens(text: str) -> int:
    """Fewer tokens than any tokenizer in use makes of it: runs of one character count once, six
    characters to a token, three digits to a token."""
    text = _RUN.sub(r"\1", " ".join(text.split()))
    digits = _digits(text.encode(errors="replace"))
    return (len(text) - digits) // 6 + digits // 3


def budget(window: int, max_tokens: int, overhead: int) -> int:
    """What a window leaves for the paper beside the answer and the rest of the request. Raises
    ContextOverflow if that is nothing."""
    left = window - max_tokens - overhead
    if left <= 0:
        raise ContextOverflow(
            f"a window of {window} tokens leaves no room for the paper beside {max_tokens} for the answer "
            f"and {overhead} for the instruction; lower --max-tokens or use a larger window"
        )
    return left


def overhead_tokens(instruction: str) -> int:
    """What a request takes beside the paper and the answer, whole or in parts."""
    return estimate_tokens(SYSTEM + _part_note(9999, 9999) + instruction + wrap("")) + TEMPLATE_TOKENS


def split(text: str, budget_tokens: int, scale: float = 1.0) -> list[str]:
    """Consecutive parts of at most `budget_tokens` each that joined are the text. `scale`: tokens
    this model makes per estimated token. Raises ContextOverflow if no character fits."""
    limit = 3 * int(budget_tokens / scale)
    if limit < 4:
        raise ContextOverflow(f"{budget_tokens} tokens hold no part of a paper")
    return list(_pack(text, limit, _SEAMS))


def part_prompt(
    instruction: str, part: str, number: int, total: int, material: Material = PAPER
) -> tuple[str, str]:
    """System and user text that put the instruction to one part (counted from 1) of a paper."""
    note = _part_note(number, total).replace("paper", material.noun)
    return before(part, f"{note}\n\n{instruction}", material)


def reduce_prompt(instruction: str, answers: Sequence[str], material: Material = PAPER) -> tuple[str, str]:
    """System and user text that join the answers from consecutive parts into one."""
    note = _JOIN.replace("paper", material.noun)
    return before(_joined(answers), f"{note}\n\nThe instruction: {instruction}", material)


def reduce_overhead_tokens(instruction: str) -> int:
    """What joining takes beside the answers to join and the answer to write."""
    return overhead_tokens(instruction) + estimate_tokens(_JOIN)


def plan_reduce(answers: Sequence[str], budget_tokens: int, scale: float = 1.0) -> list[list[str]]:
    """Groups of consecutive answers to join, each group within the budget. A group of one is passed
    on as it is; repeat with the joined answers until one is left:

        while len(answers) > 1:
            answers = [g[0] if len(g) == 1 else ask(reduce_prompt(instruction, g)) for g in plan_reduce(...)]

    Every round leaves fewer answers. Raises ContextOverflow where no two of them fit together.
    """
    groups: list[list[str]] = []
    for answer in answers:
        if groups and estimate_tokens(_joined([*groups[-1], answer])) * scale <= budget_tokens:
            groups[-1].append(answer)
        else:
            groups.append([answer])
    if len(groups) == len(answers) > 1:
        raise ContextOverflow(
            f"no two answers from parts of the paper fit into {budget_tokens} tokens to be joined; "
            "lower --max-tokens or use a larger window"
        )
    return groups


def revealed_truncation(reported: int | None, at_least: int, window: int | None) -> bool:
    """Whether the prompt tokens an engine reported show that it read less than was sent: fewer than
    the text must have, or the half window Ollama leaves when it cuts (num_ctx / 2 + 2)."""
    if reported is None:
        return False
    halved = window is not None and abs(reported - window / 2) <= 2 and at_least > window / 2 - 2
    return reported < at_least or halved


def _part_note(number: int, total: int) -> str:
    return (
        f"This is part {number} of {total} of one paper; the other parts are read separately. Carry out "
        "the instruction for this part alone. Where it holds nothing to the point, say just that."
    )


def _joined(answers: Iterable[str]) -> str:
    return "\n\n".join(f"[part {n}]\n{answer.strip()}" for n, answer in enumerate(answers, 1))


def _thirds(text: str) -> int:
    """The estimate in thirds of a token: an integer that adds up over parts."""
    raw = text.encode(errors="replace")
    return len(raw) + 2 * _digits(raw)


def _digits(raw: bytes) -> int:
    return sum(raw.count(digit) for digit in _DIGITS)


def _pack(text: str, limit: int, seams: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """Parts of at most `limit` thirds, each as long as the coarsest seams allow."""
    if _thirds(text) <= limit:
        yield text
        return
    part: list[str] = []
    room = limit
    for piece in _pieces(text, seams):
        cost = _thirds(piece)
        if cost > room and part:
            yield "".join(part)
            part, room = [], limit
        if cost > limit:
            *full, piece = _pack(piece, limit, seams[1:])
            yield from full
            cost = _thirds(piece)
        part.append(piece)
        room -= cost
    yield "".join(part)


def _pieces(text: str, seams: Sequence[re.Pattern[str]]) -> Iterable[str]:
    """The text cut behind every first seam; without seams, its characters."""
    if not seams:
        return text
    ends = [found.end() for found in seams[0].finditer(text)]
    pieces = (text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
    return filter(None, pieces)
