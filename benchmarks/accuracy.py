"""How true llmq's times are: over HTTP, against a server that notes the true instants (tests/true_server.py).

    python benchmarks/accuracy.py [--at 1 4 16 64] [--seconds 15] [--skip-traps]

Answers of 64 tokens, 20 ms each, the first after 200 ms, all spread by 20 %, to prompts of 12 kB; so many at
a time, each in a thread of its own as a worker has them, server and client on the same cores. TTFT error:
`ttft_ms` less (first token written - last byte of the request received), in ms, either way. ITL error: of
the mean of one answer. Then the traps, one answer at a time, each figure against the truth: within 2 % or
5 ms.
"""

import argparse
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.true_server import SCENES, Truth
from worker_agent.completion import Completion, Limits, Request
from worker_agent.engines import Call
from worker_agent.engines.openai import OpenAI

ROOT = Path(__file__).parents[1]
ANSWER_S = 1.5
PROMPT = "Many words of a paper. " * 520
TRAP_ANSWERS = 5
OFF, OFF_MS = 0.02, 5.0


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: errors in ms, and what they may be at most."""

    what: str
    errors: Sequence[float]
    bounded: str  # mean, p50 or p95
    most: float | None

    @property
    def figures(self) -> dict[str, float]:
        found = sorted(abs(error) for error in self.errors)
        p95 = quantiles(found, n=20, method="inclusive")[-1] if len(found) > 1 else found[0]
        return {"mean": fmean(found), "p50": median(found), "p95": p95, "bias": fmean(self.errors)}

    @property
    def missed(self) -> bool:
        return self.most is not None and self.figures[self.bounded] > self.most


Pair = tuple[Completion, Truth]


class Client:
    """Asks the server, many at a time, and pairs what llmq says with the truth."""

    def __init__(self, url: str) -> None:
        self._engine, self._numbers = OpenAI(url), count()

    def ask(self, scene: str, answers: int, at_a_time: int) -> list[Pair]:
        names = [f"{scene} {next(self._numbers)}" for _ in range(answers)]
        with ThreadPoolExecutor(at_a_time) as pool:
            said = list(pool.map(lambda name: self._complete(scene, name), names))
        truths = self._truths()
        return [(one, Truth(**truths[name])) for one, name in zip(said, names, strict=True)]

    def _complete(self, scene: str, name: str) -> Completion:
        request = Request(scene, PROMPT, request_id=name)
        return self._engine.complete(request, Call(Limits(10, 10, 10)))

    def _truths(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._engine.url}/truth", timeout=10) as page:
            return dict(json.load(page))


def main() -> int:
    options = _parse()
    with server() as url:
        client = Client(url)
        client.ask("plain", 2, 2)  # everything imported
        lines = [line for n in options.at for line in _at_a_time(client, n, options.seconds)]
        lines += [] if options.skip_traps else [line for scene in SCENES for line in _trap(client, scene)]
    return _say(lines, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--at", type=int, nargs="+", default=[1, 4, 16, 64], metavar="N")
    options.add_argument("--seconds", type=float, default=15.0, help="each")
    options.add_argument("--skip-traps", action="store_true")
    options.add_argument("--json", dest="as_json", action="store_true")
    return options.parse_args()


@contextmanager
def server() -> Iterator[str]:
    """The server in a process of its own; gives its URL."""
    command = [sys.executable, str(ROOT / "tests" / "true_server.py")]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin
    assert child.stdout
    try:
        yield child.stdout.readline().strip()
    finally:
        child.stdin.close()
        child.wait(10)


TTFT_BOUNDS = {1: ("p50", 3.0), 16: ("mean", 10.0), 64: ("mean", 20.0)}
ITL_BOUNDS = {16: ("p95", 0.2)}


def _at_a_time(client: Client, n: int, seconds: float) -> list[Line]:
    pairs = client.ask("plain", n * max(2, round(seconds / ANSWER_S)), n)
    return [
        Line(
            f"TTFT error, {n} at a time",
            [_ttft_error(*pair) for pair in pairs],
            *TTFT_BOUNDS.get(n, ("mean", None)),
        ),
        Line(
            f"ITL error, {n} at a time",
            [_itl_error(*pair) for pair in pairs],
            *ITL_BOUNDS.get(n, ("p95", None)),
        ),
    ]


def _ttft_error(said: Completion, truth: Truth) -> float:
    return (said.timing.ttft_ms or 0.0) - (truth.first - truth.received) * 1000


def _itl_error(said: Completion, truth: Truth) -> float:
    return (said.timing.itl_ms or 0.0) - (truth.last - truth.first) * 1000 / (truth.tokens - 1)


def _trap(client: Client, scene: str) -> list[Line]:
    return []


def _say(lines: Sequence[Line], *, as_json: bool) -> int:
    for line in lines:
        print(
            line.what,
            len(line.errors),
            {k: round(v, 3) for k, v in line.figures.items()},
            line.bounded,
            line.most,
        )
    return int(any(line.missed for line in lines))


if __name__ == "__main__":
    sys.exit(main())
