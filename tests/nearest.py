"""Claims that a time can be this near to the truth, on a machine that others use, too."""

from collections.abc import Callable
from typing import TypeVar

FEW = 8
Made = TypeVar("Made")


def nearest(
    attempt: Callable[[], Made], off: Callable[[Made], float], enough: float = 0.0, most: int = FEW
) -> Made:
    """What the attempt made that is least off, of at most so many; none follows one that is off by no more
    than `enough`. A core that somebody else has makes one attempt late; what is wrong is wrong in all of
    them, so what is asserted of the nearest one keeps its bound."""
    made = [attempt()]
    while off(made[-1]) > enough and len(made) < most:
        made.append(attempt())
    return min(made, key=off)
