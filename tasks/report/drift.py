"""Whether a host got slower, or faster, while a cell ran, and the words for it."""

import math
from collections.abc import Sequence

from tasks.report.change import Change, change
from tasks.report.sample import Request

KINDS = (("itl_ms", "tokens"), ("ttft_ms", "first token"), ("e2e_latency_s", "whole answers"))


def drift_words(requests: Sequence[Request], at_once: int) -> str | None:
    """What is said of the requests of a closed loop: of their tokens, or where these came without times, of
    the first token, or the whole answer."""
    ordered = sorted(
        (one for one in requests if not math.isnan(one.started_s)), key=lambda one: one.started_s
    )
    # Those with as many beside them: a loop of several begins with all at once, and ends with ever fewer.
    edge = at_once if at_once > 1 else 0
    steady = range(edge, len(ordered) - edge)
    for name, of_what in KINDS:
        known = [place for place in steady if ordered[place].value(name) > 0]  # NaN is not
        if 2 * len(known) > len(steady):
            found = change([ordered[place].value(name) for place in known], at_once)
            return _words(found, known, len(ordered), of_what) if found else None
    return None


def _words(found: Change, known: Sequence[int], of: int, of_what: str) -> str:
    ratio = found.ratio
    percent = 100 * (max(ratio, 1 / ratio) - 1)
    than = f"{percent:.0f} % {'slower' if ratio > 1 else 'faster'}"
    why = "it may have got hot" if ratio > 1 else "it may need more --warmup"
    if found.before is None:
        return f"the last third was {than} than the first ({of_what}): {why}"
    return f"from about request {known[found.before] + 1:,} of {of:,} on it was {than} ({of_what}): {why}"
