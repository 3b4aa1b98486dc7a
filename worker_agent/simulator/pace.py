"""When each token of an answer is due. Pure: durations in, offsets out, all in seconds."""

import math
from dataclasses import dataclass

from worker_agent.simulator.profile import Profile

CHUNKS_PER_S = 50  # more would cost CPU that ten simulators on two cores do not have


@dataclass(frozen=True, slots=True)
class Chunk:
    """Text that leaves in one piece, `due_s` after its slot was granted: when its last token is made."""

    due_s: float
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Pace:
    """The first token is due at `first_s`, each further one `gap_s` later."""

    first_s: float
    gap_s: float


def pace_of(
    profile: Profile,
    uncached_tokens: int,
    words: int,
    slowness: float,
    *,
    first: float = 1.0,
    each: float = 1.0,
) -> Pace:
    """How fast this answer goes. `slowness` multiplies every time (jitter, heat, speed and time scale),
    `first` that to the first token beside it, `each` that of each further one."""
    if profile.service_s is not None:
        gap_s = profile.service_s * slowness / words
        return Pace(gap_s, gap_s)
    first_s = profile.ttft_s
    if first_s is None:
        first_s = uncached_tokens / (profile.prefill_tps or math.inf)
    return Pace(first_s * slowness * first, slowness * each / (profile.decode_tps or math.inf))


def schedule(words: list[str], pace: Pace) -> list[Chunk]:
    """The first token alone, so that TTFT is exact; the rest one by one, or in groups at high rates."""
    group = max(1, math.ceil(1 / (CHUNKS_PER_S * pace.gap_s))) if pace.gap_s else len(words)
    ends = [1, *range(1 + group, len(words), group), len(words)] if len(words) > 1 else [1]
    starts = [0, *ends]
    return [
        Chunk(pace.first_s + (end - 1) * pace.gap_s, "".join(words[start:end]), end - start)
        for start, end in zip(starts, ends, strict=False)
    ]
