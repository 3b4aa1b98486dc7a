"""Reading what an engine writes without trusting it: whole pages, and values that may be absent."""

import json
import math
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any, TypeGuard


@dataclass(frozen=True, slots=True)
class Page:
    """A whole reply to a probe."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def simulated(self) -> bool:
        return simulated(self.headers)

    @property
    def time_scale(self) -> float | None:
        return time_scale(self.headers)

    def value(self) -> object:
        """The JSON of a good reply; None where there is none."""
        try:
            return json.loads(self.body) if self.status == 200 else None
        except ValueError:
            return None

    def json(self) -> dict[str, Any]:
        """The object of a good reply; empty where there is none."""
        value = self.value()
        return value if isinstance(value, dict) else {}


def simulated(headers: HTTPMessage) -> bool:
    """Does the reply say that no model made it?"""
    return headers.get("X-LLMQ-Simulated") == "1"


def time_scale(headers: HTTPMessage) -> float | None:
    """What a simulated engine multiplies its times by (0.05: twenty times as fast); None where nothing is
    said of it, as by every real one."""
    try:
        scale = float(headers.get("X-LLMQ-Time-Scale") or 0)
    except ValueError:
        return None
    return scale if simulated(headers) and math.isfinite(scale) and scale > 0 else None


def cards(page: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects listed under `key`; none where the engine listed none."""
    listed = page.get(key)
    return [card for card in listed if isinstance(card, dict)] if isinstance(listed, list) else []


def inner(page: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`; empty where there is none."""
    value = page.get(key)
    return value if isinstance(value, dict) else {}


def count(value: object) -> int | None:
    """A number of tokens, slots or the like; None where the engine gave none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def seconds(value: object, unit_s: float = 1.0) -> float | None:
    """A duration in seconds from one in units of `unit_s`; None where the engine gave none."""
    return value * unit_s if _finite(value) else None


def rate(value: object) -> float | None:
    """Tokens per second; None where the engine gave none (or zero, for nothing was there to be measured)."""
    return float(value) if _finite(value) and value > 0 else None


def _finite(value: object) -> TypeGuard[int | float]:
    """A number, and none of those that JSON does not have and Python reads."""
    return isinstance(value, int | float) and math.isfinite(value)


def word(value: object) -> str | None:
    """A name; None where the engine gave none."""
    return value if isinstance(value, str) and value else None
