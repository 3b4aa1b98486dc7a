"""What a run has for a queue, as lua/look.lua tells it."""

from dataclasses import dataclass
from typing import Any, Self

from tasks.policy import Backlog, Held

USUAL_ANSWER = 200.0  # tokens, before there was any


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run has for a queue: what is due there, what is at work, and how many bundles wait (those that
    failed a moment ago included). `coming`: its submission goes on."""

    run_id: str
    queue: str
    priority: int
    coming: bool
    due: Backlog
    held: tuple[Held, ...]
    waiting: int

    @property
    def busy(self) -> bool:
        """There is work, begun or not."""
        return bool(self.waiting or self.held)

    @classmethod
    def from_row(cls, run_id: str, queue: str, priority: str, coming: int, *rest: Any) -> Self:
        """From one row of the script's answer."""
        bundles, items, tokens, shortest, answers, answer_tokens = map(int, rest[:6])
        usual = answer_tokens / answers if answers else USUAL_ANSWER
        due = Backlog(bundles, items, tokens, shortest, usual)
        return cls(
            run_id,
            queue,
            int(priority),
            bool(coming),
            due if shortest >= 0 else Backlog(0, 0, 0, 0, usual),
            tuple(_held(*told) for told in zip(*[iter(rest[6:])] * 9, strict=True)),
            waiting=bundles,
        )


def _held(
    n: str, token: str, host: str, size: str, left: str, age_ms: str, copies: str, answer: str, rest: str
) -> Held:
    return Held(
        int(n),
        token,
        host,
        int(size),
        int(left),
        int(age_ms) / 1000,
        int(copies),
        float(answer) if answer else None,
        float(rest) if rest else None,
    )
