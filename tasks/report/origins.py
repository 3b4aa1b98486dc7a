"""Who wrote first in a chain: what the rows of its last stage say of its other end. Pure."""

from collections.abc import Mapping, Sequence

from tasks.result import Result
from tasks.work import Bundle


def who(result: Result | None) -> str | None:
    """`host:model` of who answered, or failed last; None where either is not known."""
    return f"{result.host}:{result.model}" if result and result.host and result.model else None


def first_of(number: int, bundles: Mapping[int, Bundle]) -> int:
    """The bundle of the first stage that this one's answers go back to."""
    while (parent := bundles[number].parent) is not None:
        number = parent
    return number


class Origins:
    """As a plan is read in its order, in which the bundles of all later stages follow that of the first."""

    def __init__(self) -> None:
        self._firsts: dict[int, Sequence[str | None]] = {}

    def saw(self, number: int, bundle: Bundle, results: Sequence[Result | None]) -> Sequence[str | None]:
        """Who wrote first in the chain of each item of this bundle."""
        if bundle.parent is None:
            self._firsts.clear()
        firsts = [who(one) for one in results] if bundle.parent is None else self._firsts[bundle.parent]
        self._firsts[number] = firsts
        return firsts
