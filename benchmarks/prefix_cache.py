"""How many prompt tokens a real llama.cpp server takes from its prefix cache instead of computing them.

    python benchmarks/prefix_cache.py

Eight papers of about 3,000 tokens x 5 prompts go through the whole pipeline (submit, a worker, the engine)
to a llama.cpp server with a small model of random weights, two slots, and no cache but the slots' own. All
but a paper's first prompt can be served from the cache: 80 % less the instructions. Counted from the results
and by the server's own /metrics; beside it, one of the papers asked with the instruction first, as most tools
do. Bound: 75 % of all prompt tokens.
"""

import argparse
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Ended, Figure, answer, parser, read, room, say, working
from tasks.work import Result
from tests.llama.server import LlamaServer, llama_running
from worker_agent.completion import Limits, Request
from worker_agent.config import Host
from worker_agent.engines.llama_cpp import LlamaCpp
from worker_agent.engines.transport import Call

PAPERS, PROMPTS = 8, 5
PAPER_CHARS = 10_000
WINDOW = 8192  # the guard estimates high: at 4096 it would cut these papers in two
LEAST = 0.75


@dataclass(frozen=True, slots=True)
class Counters:
    """Prompt tokens by the server's own count: computed, and taken from the cache."""

    computed: float
    cached: float

    @property
    def all(self) -> float:
        return self.computed + self.cached

    def since(self, before: "Counters") -> "Counters":
        return Counters(self.computed - before.computed, self.cached - before.cached)


def main() -> int:
    options = _parse()
    with room() as folder, llama_running(slots=2, window=WINDOW) as server:
        host = Host("llama", "llama_cpp", server.url)
        papers = _write_papers(folder / "papers")
        with working([host]) as (work, _):
            before = _counters(server)
            run = answer(work, papers, max_tokens=options.max_tokens)
            counted = _counters(server).since(before)
        control = _instruction_first(server, run, next(papers.iterdir()).read_text(), options.max_tokens)
    title = f"prefix cache: {PAPERS} papers x {PROMPTS} prompts on llama.cpp"
    return say(title, _figures(run, counted, control), as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument(
        "--max-tokens", type=int, default=32, help="tokens of an answer; the model never ends one"
    )
    return options.parse_args()


def _write_papers(folder: Path) -> Path:
    """English prose of one length that differs from the first line on."""
    prose = re.sub(r"\s+", " ", " ".join(topics.values()))
    folder.mkdir()
    for n in range(PAPERS):
        text = prose[n * PAPER_CHARS : (n + 1) * PAPER_CHARS]
        (folder / f"paper-{n}.txt").write_text(f"{n} is the number of this paper. {text}")
    return folder


def _instruction_first(server: LlamaServer, run: Ended, paper: str, max_tokens: int) -> Counters:
    """One paper and the run's prompts as most tools ask them, straight to the engine."""
    engine, before = LlamaCpp(server.url), _counters(server)
    for prompt in run.prompts:
        question = prompt.template.replace("{content}", "") + paper
        engine.complete(Request(server.model, question, max_tokens=max_tokens), Call(Limits()))
    return _counters(server).since(before)


def _counters(server: LlamaServer) -> Counters:
    found = re.findall(r"^llamacpp:(\w+) (\S+)$", read(f"{server.url}/metrics"), re.MULTILINE)
    totals = {name: float(value) for name, value in found}
    return Counters(totals["prompt_tokens_total"], totals["prompt_tokens_cached_total"])


def _figures(run: Ended, counted: Counters, control: Counters) -> list[Figure]:
    items = PAPERS * PROMPTS
    prompts = _metric(run.results, "prompt_tokens")
    asked, cached = sum(prompts), sum(_metric(run.results, "cached_tokens"))
    firsts = [result for result in run.results if _number(result) == 0]
    others = [result for result in run.results if _number(result) > 0]
    cold, warm = (statistics.median(_metric(some, "ttft_ms")) for some in (firsts, others))
    return [
        Figure("items answered", run.status.successful, least=items),
        Figure("prompt tokens, by the results", asked),
        Figure("... of one item, median", statistics.median(prompts)),
        Figure("... from the cache", cached),
        Figure("share from the cache", cached / asked, least=LEAST),
        Figure("share by the server's own counters", counted.cached / counted.all, least=LEAST),
        Figure("the same paper with the instruction first: share", control.cached / control.all),
        Figure("prompt tokens by the server / by the results", counted.all / asked),
        Figure("ttft of a paper's first prompt, median", cold, "ms"),
        Figure("ttft of its other prompts, median", warm, "ms"),
        Figure("first / others", cold / warm),
        Figure("makespan", run.makespan_s, "s"),
    ]


def _metric(results: Sequence[Result], name: str) -> list[float]:
    return [result.metrics.get(name) or 0.0 for result in results]


def _number(result: Result) -> int:
    """Which of its paper's prompts it answers, from 0."""
    return int(result.item_id.rpartition("-")[2])


if __name__ == "__main__":
    sys.exit(main())
