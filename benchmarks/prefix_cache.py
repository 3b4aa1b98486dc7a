"""What a real llama.cpp server takes from its prefix cache instead of computing it, and the time that saves.

    python benchmarks/prefix_cache.py [--slots 2] [--max-tokens 32] [--preset research] [--runs 3]

Eight papers of about 3,000 tokens x 5 prompts go through the whole pipeline (submit, a worker, the engine)
to a llama.cpp server with a small model of random weights, one slot of one thread, and no cache but the
slot's own; answers have 16 tokens. That is the setting of the study which had 79.4 % and 3.8 times. Then the
same papers and prompts go to it one by one with the instruction first, as most tools ask them. Tokens are
counted from the results and by the server's own /metrics. `at best` is what a slot that is asked everything
in order has in common from each request to the next, by the server's own tokenizer: no other order gets
more. Reading and writing are the server's own seconds, summed over slots.
Bounds: 79 % of all prompt tokens; the instruction first takes 3.5 times as long as one run of llmq, first
request sent to last result committed. How much that can be depends on the share of writing, hence on
`--max-tokens`.
"""

import argparse
import json
import re
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Ended, Figure, answer, parser, read, room, say, spread, working
from tasks.intake.prompts import layout
from tasks.result import Result
from tests.llama.server import LlamaServer, llama_running
from worker_agent.completion import Limits, Request
from worker_agent.config import Host
from worker_agent.engines.llama_cpp import LlamaCpp
from worker_agent.engines.transport import Call

PAPERS, PROMPTS = 8, 5
PAPER_CHARS = 10_000
WINDOW = 8192  # the guard estimates high: at 4096 it would cut these papers in two
QUESTIONS = (
    "What is the question?",
    "Which method is used?",
    "What was found?",
    "What are the limits?",
    "What should come next?",
)
LEAST = 79.0  # percent
FASTER = 3.5


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


@dataclass(frozen=True, slots=True)
class Reuse:
    """Prompt tokens of all the items, and those that an item has in common with the one before it."""

    tokens: int
    shared: int


@dataclass(frozen=True, slots=True)
class Control:
    """All asked with the instruction first: what the server counted, the seconds, and of them by the server
    reading and writing."""

    counted: Counters
    took_s: float
    read_s: float
    write_s: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, what the server counted in it, and the same with the instruction first."""

    run: Ended
    counted: Counters
    control: Control


def main() -> int:
    options = _parse()
    with room() as folder, llama_running(slots=options.slots, window=WINDOW) as server:
        host = Host("llama", "llama_cpp", server.url)
        papers = _write_papers(folder / "papers")
        texts = [paper.read_text() for paper in sorted(papers.iterdir())]
        with working([host]) as (work, _):
            seen = []
            for _ in range(options.runs):
                before = _counters(server)
                prompts = () if options.preset else QUESTIONS
                run = answer(
                    work, papers, preset=options.preset, prompts=prompts, max_tokens=options.max_tokens
                )
                counted = _counters(server).since(before)
                control = _instruction_first(server, run, texts, options.max_tokens)
                seen.append(Seen(run, counted, control))
        best = _at_best(server, run, texts)
    title = (
        f"prefix cache: {PAPERS} papers x {PROMPTS} prompts on llama.cpp, {options.slots} slots, "
        f"{options.runs} runs"
    )
    return say(title, _figures(seen, best), as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__, runs=3)
    options.add_argument(
        "--max-tokens", type=int, default=16, help="tokens of an answer; the model never ends one"
    )
    options.add_argument("--preset", default="", help="instead of five questions of one line")
    options.add_argument("--slots", type=int, default=1, help="of the server, which has one thread for all")
    return options.parse_args()


def _write_papers(folder: Path) -> Path:
    """English prose of one length that differs from the first line on."""
    prose = re.sub(r"\s+", " ", " ".join(topics.values()))
    folder.mkdir()
    for n in range(PAPERS):
        text = prose[n * PAPER_CHARS : (n + 1) * PAPER_CHARS]
        (folder / f"paper-{n}.txt").write_text(f"{n} is the number of this paper. {text}")
    return folder


def _instruction_first(server: LlamaServer, run: Ended, texts: Sequence[str], max_tokens: int) -> Control:
    """All papers and the run's prompts as most tools ask them, straight to the engine."""
    engine, before, begun = LlamaCpp(server.url), _counters(server), time.monotonic()
    reports = []
    for text in texts:
        for prompt in run.prompts:
            question = prompt.template.replace("{content}", "") + text
            said = engine.complete(Request(server.model, question, max_tokens=max_tokens), Call(Limits()))
            reports.append(said.report)
    took_s = time.monotonic() - begun
    read_s, write_s = (
        sum(times)
        for times in zip(*((one.prompt_eval_s or 0.0, one.eval_s or 0.0) for one in reports), strict=True)
    )
    return Control(_counters(server).since(before), took_s, read_s, write_s)


def _at_best(server: LlamaServer, run: Ended, texts: Sequence[str]) -> Reuse:
    """What one slot would find in its cache that is asked everything in order."""
    asked = shared = 0
    before: list[int] = []
    for text in texts:
        for prompt in run.prompts:
            tokens = _tokens(server, *layout(prompt, text))
            same = takewhile(lambda pair: pair[0] == pair[1], zip(before, tokens, strict=False))
            asked, shared, before = asked + len(tokens), shared + len(list(same)), tokens
    return Reuse(asked, shared)


def _tokens(server: LlamaServer, system: str, user: str) -> list[int]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    prompt = _post(f"{server.url}/apply-template", {"messages": messages})["prompt"]
    tokens: list[int] = _post(f"{server.url}/tokenize", {"content": prompt, "parse_special": True})["tokens"]
    return tokens


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as page:
        reply: dict[str, Any] = json.load(page)
    return reply


def _counters(server: LlamaServer) -> Counters:
    found = re.findall(r"^llamacpp:(\w+) (\S+)$", read(f"{server.url}/metrics"), re.MULTILINE)
    totals = {name: float(value) for name, value in found}
    return Counters(totals["prompt_tokens_total"], totals["prompt_tokens_cached_total"])


def _figures(seen: Sequence[Seen], best: Reuse) -> list[Figure]:
    results = [result for one in seen for result in one.run.results]
    prompts = _metric(results, "prompt_tokens")
    shares = [100 * _cached(one.run) / sum(_metric(one.run.results, "prompt_tokens")) for one in seen]
    firsts = [result for result in results if _number(result) == 0]
    others = [result for result in results if _number(result) > 0]
    again = [
        one
        for one in others
        if (one.metrics.get("cached_tokens") or 0) < _metric([one], "prompt_tokens")[0] / 2
    ]
    cold, warm = (statistics.median(_metric(some, "ttft_ms")) for some in (firsts, others))
    walls = [one.run.answering_s for one in seen]
    counted, control = _all(one.counted for one in seen), _all(one.control.counted for one in seen)
    return [
        Figure("items without an answer", len(seen) * PAPERS * PROMPTS - len(results), most=0),
        Figure("prompt tokens of one item, median", statistics.median(prompts)),
        *spread("prompt tokens from the cache", shares, "%", least=LEAST),
        Figure("... at best", 100 * best.shared / best.tokens, "%"),
        Figure("... by the server's own counters", 100 * counted.cached / counted.all, "%", least=LEAST),
        Figure("... instruction first", 100 * control.cached / control.all, "%"),
        Figure("prompt tokens by the server / by the results", counted.all / sum(prompts)),
        Figure("papers read again for a later prompt", len(again)),
        Figure("ttft of a paper's first prompt, median", cold, "ms"),
        Figure("ttft of its other prompts, median", warm, "ms"),
        Figure("first / others", cold / warm),
        *spread("first request to last result", walls, "s"),
        *_server_s("...", _server(seen, "server_prompt_eval_s"), _server(seen, "server_eval_s")),
        *spread("instruction first, one by one", [one.control.took_s for one in seen], "s"),
        *_server_s("...", [one.control.read_s for one in seen], [one.control.write_s for one in seen]),
        *spread(
            "instruction first / llmq",
            [one.control.took_s / one.run.answering_s for one in seen],
            least=FASTER,
        ),
    ]


def _server(seen: Sequence[Seen], name: str) -> list[float]:
    return [sum(_metric(one.run.results, name)) for one in seen]


def _server_s(what: str, read_s: Sequence[float], write_s: Sequence[float]) -> list[Figure]:
    return [
        Figure(f"{what} reading, by the server", statistics.median(read_s), "s"),
        Figure(f"{what} writing, by the server", statistics.median(write_s), "s"),
    ]


def _cached(run: Ended) -> float:
    return sum(_metric(run.results, "cached_tokens"))


def _all(counted: Iterable[Counters]) -> Counters:
    every = list(counted)
    return Counters(sum(one.computed for one in every), sum(one.cached for one in every))


def _metric(results: Sequence[Result], name: str) -> list[float]:
    return [result.metrics.get(name) or 0.0 for result in results]


def _number(result: Result) -> int:
    """Which of its paper's prompts it answers, from 0."""
    return int(result.item_id.rpartition("-")[2])


if __name__ == "__main__":
    sys.exit(main())
