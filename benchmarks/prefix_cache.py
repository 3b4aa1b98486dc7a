"""How many prompt tokens a real llama.cpp server takes from its prefix cache instead of computing them.

    python benchmarks/prefix_cache.py

Eight papers of about 3,000 tokens x 5 prompts go through the whole pipeline (submit, a worker, the engine)
to a llama.cpp server with a small model of random weights, two slots, and no cache but the slots' own. All
but a paper's first prompt can be served from the cache: 80 % less the instructions. Asked with the
instruction first, or spread over slots and machines, none can. Counted from the results, and by the server's
own /metrics. Bound: 75 % of all prompt tokens.
"""

import re
import statistics
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Ended, Figure, answer, parser, room, say, working
from tests.llama.server import LlamaServer, llama_running
from worker_agent.config import Host

PAPERS, PROMPTS = 8, 5
PAPER_CHARS = 12_000
WINDOW = 4096
LEAST = 0.75


@dataclass(frozen=True, slots=True)
class Counters:
    """Prompt tokens by the server's own count: computed, and taken from the cache."""

    computed: float
    cached: float


def main() -> int:
    options = parser(__doc__).parse_args()
    with room() as folder, llama_running(slots=2, window=WINDOW) as server:
        host = Host("llama", "llama_cpp", server.url)
        papers = _write_papers(folder / "papers")
        with working([host]) as (work, _):
            before = _counters(server)
            run = answer(work, papers, max_tokens=options.max_tokens)
            after = _counters(server)
    counted = Counters(after.computed - before.computed, after.cached - before.cached)
    title = f"prefix cache: {PAPERS} papers x {PROMPTS} prompts on llama.cpp"
    return say(title, _figures(run, counted), as_json=options.as_json)


def _write_papers(folder: Path) -> Path:
    """English prose of one length that differs from the first line on."""
    prose = re.sub(r"\s+", " ", " ".join(topics.values()))
    folder.mkdir()
    for n in range(PAPERS):
        text = prose[n * PAPER_CHARS : (n + 1) * PAPER_CHARS]
        (folder / f"paper-{n}.txt").write_text(f"{n} is the number of this paper. {text}")
    return folder


def _counters(server: LlamaServer) -> Counters:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as page:
        text = page.read().decode()
    values = dict(re.findall(r"^llamacpp:(\w+) (\S+)$", text, re.MULTILINE))
    return Counters(float(values["prompt_tokens_total"]), float(values["prompt_tokens_cached_total"]))


if __name__ == "__main__":
    sys.exit(main())
