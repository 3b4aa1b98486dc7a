"""How long a benchmark will still take. Pure."""

from collections.abc import Mapping

LEAST = 3  # requests of a host, before its pace means anything


class Forecast:
    """Its hosts work side by side, each at a pace of its own, so the last of them decides. What was done
    before this forecast began says nothing about the pace. Cells of unlike work (prompts of set lengths) and
    series whose end is not known (a sweep) have no forecast: it would mislead."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, float]] = {}  # host -> when, and what was done then

    def left_s(self, now_s: float, planned: Mapping[str, float], done: Mapping[str, float]) -> float | None:
        """Of requests planned and done, by host; None: not known yet."""
        began = {host: self._first.setdefault(host, (now_s, done.get(host, 0.0))) for host in planned}
        left_s = []
        for host, (began_s, before) in began.items():
            so_far = done.get(host, 0.0)
            if so_far >= planned[host]:
                continue
            if so_far - before < LEAST or now_s <= began_s:
                return None
            left_s.append((now_s - began_s) * (planned[host] - so_far) / (so_far - before))
        return max(left_s, default=0.0)
