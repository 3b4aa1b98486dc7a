"""A bundle that is held, and what its holder hears after each item."""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tasks.result import Failure
from tasks.work import Bundle


@dataclass(frozen=True, slots=True)
class Claim:
    """A bundle now held under `token`. `items` are those without a result; `claimed_ms` and
    `added_ms` are by the clock of Redis. `suspect` ran when earlier holders died, `deaths` times.
    `begun`: its first item is. `machine`: the key of the one that it has to itself."""

    run_id: str
    number: int
    token: str
    bundle: Bundle
    items: tuple[int, ...]
    queue: str
    claimed_ms: int
    added_ms: int
    failures: dict[int, tuple[Failure, ...]]
    suspect: int | None = None
    deaths: int = 0
    begun: bool = False
    machine: str = ""
    claimed_at: float = field(default_factory=time.monotonic)
    claimed_wall_s: float = field(default_factory=time.time)

    @property
    def now_ms(self) -> int:
        """Now, by the clock of Redis: ours may be off."""
        return self.claimed_ms + int((time.monotonic() - self.claimed_at) * 1000)

    @property
    def clock_offset_s(self) -> float:
        """How far our wall clock is ahead of that of Redis, to the delay of one answer."""
        return self.claimed_wall_s - self.claimed_ms / 1000

    @classmethod
    def granted(cls, run_id: str, token: str, answer: Sequence[Any], *, begun: bool) -> Self:
        """From what lua/claim.lua answers."""
        number, record, claimed_ms, flat, missing = answer
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        failed = {k.removeprefix("failed:"): v for k, v in fields.items() if k.startswith("failed:")}
        return cls(
            run_id=run_id,
            number=int(number),
            token=token,
            bundle=Bundle.from_json(record),
            items=tuple(map(int, missing)),
            queue=fields["queue"],
            claimed_ms=int(claimed_ms),
            added_ms=int(fields["added"]),
            failures={int(item): _failures(lines) for item, lines in failed.items()},
            suspect=int(fields["suspect"]) if "suspect" in fields else None,
            deaths=int(fields.get("deaths", 0)),
            begun=begun,
            machine=fields.get("machine", ""),
        )


class Step(NamedTuple):
    """After an item: its result was the `first`, came `late`, or its run is `unknown`; the bundle is still
    `held`, or `done`, `lost` or `gone`. Held, the next item, and how many follow that one."""

    novelty: str
    bundle: str
    next_item: int | None = None
    more: int = 0


def new_token(incarnation: str) -> str:
    """A token for one execution: two on the same worker are two holders."""
    return f"{incarnation}.{secrets.token_hex(6)}"


def _failures(lines: str) -> tuple[Failure, ...]:
    return tuple(Failure(**json.loads(line)) for line in lines.splitlines())
