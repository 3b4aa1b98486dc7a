"""What many requests at once, and several models, cost a simulated engine."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.nearest import nearest
from worker_agent.simulator.profile import make_profile
from worker_agent.simulator.server import running

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Span:
    """From the request to the end of its answer."""

    began: float
    ended: float

    @property
    def took_s(self) -> float:
        return self.ended - self.began


def ask(url: str, model: str = "a", text: str = "What is dust?") -> Span:
    began = time.perf_counter()
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
    assert requests.post(url + CHAT, json=body, timeout=30).status_code == 200
    return Span(began, time.perf_counter())


def ask_all(url: str, models: str) -> list[float]:
    """One request for each model named, all at once."""
    with ThreadPoolExecutor(len(models)) as pool:
        return [one.took_s for one in pool.map(lambda model: ask(url, model), models)]


def ask_two(url: str, first: str, then: str, after_s: float) -> tuple[Span, Span]:
    """The second request so long after the first."""
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(ask, url, first)
        time.sleep(after_s)
        two = pool.submit(ask, url, then)
        return one.result(), two.result()


def off(seen: tuple[Span, Span], first_s: float, second_s: float) -> float:
    """How far two requests are from the seconds that they should take."""
    return max(abs(one.took_s - true_s) for one, true_s in zip(seen, (first_s, second_s), strict=True))


def profile(**more: Any) -> Any:
    return make_profile({"name": "x", "wire": "openai", "models": ["a", "b"], "service_s": 0.3} | more)


@pytest.mark.parametrize(("at_once", "times"), [(1, 1), (2, 1), (4, 2), (8, 4)])
def test_requests_beyond_the_knee_share_what_it_gives(at_once: int, times: int) -> None:
    """Two run at full speed; eight that are admitted take four times as long, each of them."""
    least_s, most_s = 0.3 * times * 0.95, 0.3 * times + 0.25
    with running(profile(slots=8, knee=2)) as url:
        # Who is alone for a moment, because the others are not yet there, is through sooner.
        took_s = nearest(
            lambda: ask_all(url, "a" * at_once), lambda seen: max(least_s - min(seen), max(seen) - most_s)
        )
    assert min(took_s) >= least_s
    assert max(took_s) <= most_s


def test_who_comes_late_slows_the_others_only_from_then_on() -> None:
    """One request alone for half its time, then beside another: one and a half times as long."""
    with running(profile(slots=2, knee=1, service_s=0.6)) as url:
        first, second = nearest(lambda: ask_two(url, "a", "a", 0.3), lambda seen: off(seen, 0.9, 0.9), 0.2)
    assert first.took_s == pytest.approx(0.9, abs=0.2)
    assert second.took_s == pytest.approx(0.9, abs=0.2)


def loads(url: str) -> int:
    return int(requests.get(url + "/simulator/calls", timeout=5).json()["loads"])


def test_one_model_in_memory_means_a_load_for_every_change() -> None:
    """a a b b a: three loads; each waits for the requests of the model that has to go."""
    with running(profile(resident=1, load_s=0.1, service_s=0.01)) as url:
        for model in "aabba":
            ask(url, model)
        assert loads(url) == 3


def test_a_model_is_not_taken_away_under_its_requests() -> None:
    """b waits until a has answered; then it is loaded."""

    def cold() -> tuple[Span, Span]:
        with running(profile(resident=1, load_s=0.1, slots=2)) as url:
            seen = ask_two(url, "a", "b", 0.2)
            assert loads(url) == 2
            return seen

    first, second = nearest(cold, lambda seen: off(seen, 0.4, 0.6), 0.15)
    assert first.took_s == pytest.approx(0.4, abs=0.15)
    assert second.took_s == pytest.approx(0.6, abs=0.2)
    assert second.ended - first.ended > 0.35, "not before a has answered"


def test_models_that_fit_are_loaded_once() -> None:
    """Two of two in memory: whoever asks first loads, at once or one after the other."""
    with running(profile(resident=2, load_s=0.1, slots=8, service_s=0.01)) as url:
        ask_all(url, "abababab")
        ask_all(url, "abababab")
        assert loads(url) == 2


def test_the_longest_unused_model_goes() -> None:
    """a b a c: c takes the place of b."""
    with running(profile(models=["a", "b", "c"], resident=2, load_s=0.05, service_s=0.01)) as url:
        for model in "abac":
            ask(url, model)
        ask(url, "a")
        assert loads(url) == 3
        ask(url, "b")
        assert loads(url) == 4
