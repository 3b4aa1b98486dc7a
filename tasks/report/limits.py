"""What a person calls good enough: `ttft=500ms,e2e=10s`, in the units of the metrics."""

import re
from collections.abc import Iterable, Mapping

from tasks.errors import InputError
from tasks.report.metric import VALUES, find_metric

_LIMIT = re.compile(r"\s*(\w+)\s*=\s*([0-9.]+)\s*(ms|s)?\s*")
_SECONDS = {"ms": 0.001, "s": 1.0}


def limit_words(limits: Mapping[str, float]) -> str:
    """`ttft_ms 500, e2e_latency_s 10`"""
    return ", ".join(f"{name} {value:g}" for name, value in limits.items())


def read_limits(texts: Iterable[str]) -> dict[str, float]:
    """Metric -> the most it may be, in its unit, which a bare number has too. Raises InputError."""
    limits: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",")):
        match = _LIMIT.fullmatch(part)
        if not match:
            raise InputError(f"--slo {part!r}: expected METRIC=TIME, as in ttft=500ms,e2e=10s")
        metric = find_metric(match[1])
        if metric not in VALUES or metric.unit not in _SECONDS:
            times = ", ".join(one.name for one in VALUES if one.unit in _SECONDS)
            raise InputError(f"--slo {part!r}: only times have a limit: {times}")
        try:
            value = float(match[2])
        except ValueError:
            raise InputError(f"--slo {part!r}: {match[2]!r} is no number") from None
        if not value:
            raise InputError(f"--slo {part!r}: nothing is answered in no time; name a limit above 0")
        limits[metric.name] = value * _SECONDS[match[3] or metric.unit] / _SECONDS[metric.unit]
    return limits
