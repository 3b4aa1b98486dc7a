"""A Raspberry Pi: whether its firmware slows it down, and the power its Pi 5 measures. Not verified on one.

Starting `vcgencmd` is the dearest thing any meter does, hence it is done seldom.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from worker_agent.meters.source import Seen, Source, ask, read_text

SYSFS = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
MODEL = Path("/proc/device-tree/model")

SLOWER_NOW = 0b1110  # frequency capped, throttled, soft temperature limit; bit 0 is too low a voltage
ONCE_SHIFT = 16  # the same bits once more: since boot
_RAIL = re.compile(r"^\s*(\S+)_([AV])\s+(?:current|volt(?:age)?)\(\d+\)=([0-9.]+)[AV]\s*$", re.M)


def is_pi() -> bool:
    return read_text(MODEL).startswith("Raspberry Pi")


class Throttled(Source):
    """Slowed down now, or at any time since the last look."""

    every_s = 10.0

    def __init__(self) -> None:
        self._before: int | None = None

    def read(self, engine: Sequence[int]) -> Seen:
        flags = throttled_flags(read_text(SYSFS) or ask("vcgencmd", "get_throttled"))
        if flags is None:
            return Seen()
        before, self._before = self._before, flags
        return Seen(throttled=slowed(flags, flags if before is None else before))


class Pmic(Source):
    """What the power chip of a Pi 5 measures on its rails. It misses what goes past it (USB, losses)."""

    every_s = 5.0

    def read(self, engine: Sequence[int]) -> Seen:
        watts = rails_w(ask("vcgencmd", "pmic_read_adc"))
        return Seen(power_w=watts, energy="pi_pmic" if watts else "")


def throttled_flags(text: str) -> int | None:
    """Of `throttled=0x50005` (vcgencmd) or `50005` (sysfs)."""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]+)", text.strip())
    return int(found[1], 16) if found else None


def slowed(flags: int, before: int) -> bool:
    """Now, or once since `before` was read."""
    return bool(flags & SLOWER_NOW or (flags & ~before) >> ONCE_SHIFT & SLOWER_NOW)


def rails_w(text: str) -> float | None:
    """The sum of current times voltage over the rails that `pmic_read_adc` tells both of."""
    amperes: dict[str, float] = {}
    volts: dict[str, float] = {}
    for rail, kind, value in _RAIL.findall(text):
        (amperes if kind == "A" else volts)[rail] = float(value)
    return sum(amperes[rail] * volts[rail] for rail in amperes.keys() & volts.keys()) or None
