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
import math
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
    def row(self) -> dict[str, Any]:
        figures = self.figures
        missed = self.most is not None and figures[self.bounded] > self.most
        about = {"what": self.what, "n": len(self.errors), "bounded": self.bounded, "most": self.most}
        return about | figures | {"missed": missed}


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
    asked = parser(__doc__)
    asked.add_argument("--skip-traps", action="store_true")
    options = asked.parse_args()
    with server() as url:
        client = Client(url)
        client.ask("plain", 2, 2)  # everything imported
        lines = [line for n in options.at for line in _at_a_time(client, n, options.seconds)]
        scenes = [] if options.skip_traps else [scene for scene in SCENES if scene != "plain"]
        lines += [line for scene in scenes for line in _trap(client, scene)]
    return say(lines, as_json=options.as_json)


def parser(doc: str | None) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--at", type=int, nargs="+", default=[1, 4, 16, 64], metavar="N")
    options.add_argument("--seconds", type=float, default=15.0, help="each")
    options.add_argument("--json", dest="as_json", action="store_true")
    return options


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


# What an error may be at most, by how many there are at a time.
TTFT_BOUNDS = {1: ("p50", 3.0), 4: ("mean", None), 16: ("mean", 10.0), 64: ("mean", 20.0)}
ITL_BOUNDS = {16: ("p95", 0.2)}


def answers_at(n: int, seconds: float) -> int:
    """As many as take about so long, `n` at a time."""
    return n * max(2, round(seconds / ANSWER_S))


def _at_a_time(client: Client, n: int, seconds: float) -> list[Line]:
    pairs = client.ask("plain", answers_at(n, seconds), n)
    ttft, itl = TTFT_BOUNDS.get(n, ("mean", None)), ITL_BOUNDS.get(n, ("p95", None))
    cpu_pct = median(said.timing.cpu_client_pct or 0.0 for said, _ in pairs)
    return [
        Line(
            f"TTFT, {n} at a time (client: {cpu_pct:.0f} % of a core)",
            [_ttft(*pair) for pair in pairs],
            *ttft,
        ),
        Line(f"ITL, {n} at a time", [_itl(*pair) for pair in pairs], *itl),
    ]


def _ttft(said: Completion, truth: Truth) -> float:
    return (said.timing.ttft_ms or 0.0) - (truth.first - truth.received) * 1000


def _itl(said: Completion, truth: Truth) -> float:
    return (said.timing.itl_ms or 0.0) - (truth.last - truth.first) * 1000 / (truth.tokens - 1)


def _trap(client: Client, scene: str) -> list[Line]:
    """Each figure of a scene; ITL where the server counts right, and nothing where nobody counts."""
    pairs = client.ask(scene, TRAP_ANSWERS, 1)
    figures = {
        "TTFT": [(said.timing.ttft_ms, one.first - one.received) for said, one in pairs],
        "TTFO": [(said.timing.ttfo_ms, one.first_content - one.received) for said, one in pairs],
        "e2e": [(_ms(said.timing.e2e_s), one.last - one.received) for said, one in pairs],
        "end": [(_ms(said.timing.stream_end_s), one.ended - one.received) for said, one in pairs],
        "longest gap": [(said.timing.max_chunk_gap_ms, one.gap_s) for said, one in pairs],
    }
    if SCENES[scene].usage == 1.0:
        figures["ITL"] = [(said.timing.itl_ms, _true_itl_s(one)) for said, one in pairs]
    lines = [_compared(f"{scene}: {name}", found) for name, found in figures.items()]
    if SCENES[scene].usage is None or round(SCENES[scene].tokens * (SCENES[scene].usage or 0)) == 1:
        made_up = [float(said.timing.itl_ms is not None) for said, _ in pairs]
        lines.append(Line(f"{scene}: ITL made up without a count", made_up, "mean", 0.0))
    return lines


def _compared(what: str, found: Sequence[tuple[float | None, float]]) -> Line:
    """In ms; off by at most 2 % of the truth or 5 ms, whichever is more."""
    errors = [(said if said is not None else math.inf) - true_s * 1000 for said, true_s in found]
    most = max(OFF_MS, OFF * 1000 * median(true_s for _, true_s in found))
    return Line(what, errors, "p50", OFF * 1000 * _least(found) if what.endswith(" ITL") else most)


def _least(found: Sequence[tuple[float | None, float]]) -> float:
    return min(true_s for _, true_s in found)


def _true_itl_s(truth: Truth) -> float:
    return (truth.last - truth.first) / (truth.tokens - 1)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def say(lines: Sequence[Line], *, as_json: bool) -> int:
    rows = [line.row for line in lines]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print("errors in ms; bias is their mean with its sign")
        print(f"{'':60}{'n':>5}{'mean':>9}{'p50':>9}{'p95':>9}{'bias':>9}  bound")
        for row in rows:
            numbers = "".join(f"{row[name]:9.3f}" for name in ("mean", "p50", "p95", "bias"))
            bound = "" if row["most"] is None else f"{row['bounded']} {row['most']:.3g}"
            print(f"{row['what']:60}{row['n']:5}{numbers}  {bound}{'  MISSED' if row['missed'] else ''}")
    return int(any(row["missed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
