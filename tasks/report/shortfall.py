"""What a cell's load promises, and what its few requests cannot keep. Pure."""

from collections.abc import Iterator, Sequence

from tasks.bench.cell import TURNS, Load
from tasks.report.wording import several, some


def shortfalls(load: Load, asked: Sequence[int], prompts: Sequence[str]) -> Iterator[str]:
    """`asked`: of the names in `prompts`, which each item of the cell asks."""
    many, needed = load.requests, TURNS * (load.concurrency or 0)
    if (load.concurrency or 0) > 1 and many < needed:
        yield f"{_reached(many, load.concurrency or 0)}; {needed} would measure it"
    left = [name for number, name in enumerate(prompts) if number not in asked[load.aside :]]
    if left and not load.length:  # of a set length there is one prompt
        few = f"{several(many, 'request')} for {several(len(prompts), 'prompt')}"
        yield f"{few}: {some(left)} {'is' if len(left) == 1 else 'are'} not measured"


def _reached(many: int, at_once: int) -> str:
    asked = several(many, "request")
    if many < at_once:
        return f"{asked} are never {at_once} at a time"
    return f"{asked} at {at_once} at a time: much of it is its start and end"
