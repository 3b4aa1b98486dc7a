"""How true the times of `llmq bench` are: the real command, its worker, and a server that notes the true
instants (tests/true_server.py).

    python benchmarks/accuracy_bench.py [--at 1 4 16 64] [--seconds 15]

As benchmarks/accuracy.py, which has the client alone, with the same answers, prompts, errors and bounds: here
a worker sends the requests, while it renews its lease, looks for other work and notes how far it is, and the
command follows the run, all on the same cores as the server.
"""

import csv
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.accuracy import ITL_BOUNDS, PROMPT, TTFT_BOUNDS, Line, Truth, answers_at, parser, say, server
from benchmarks.room import room

LLMQ = str(Path(sys.executable).with_name("llmq"))
Pair = tuple[dict[str, str], Truth]


def main() -> int:
    options = parser(__doc__).parse_args()
    with room() as folder, server() as url:
        (folder / "fleet.toml").write_text(f'[[host]]\nid = "box"\nengine = "openai"\nurl = "{url}"\n')
        (folder / "prompt.txt").write_text(PROMPT)
        lines = [line for n in options.at for line in _at_a_time(folder, url, n, options.seconds)]
    return say(lines, as_json=options.as_json)


def _at_a_time(folder: Path, url: str, n: int, seconds: float) -> Iterator[Line]:
    pairs = _measured(folder, url, n, answers_at(n, seconds))
    cpu_pct = median(float(row["cpu_client_pct"]) for row, _ in pairs)
    ttft = [float(row["ttft_ms"]) - (truth.first - truth.received) * 1000 for row, truth in pairs]
    itl = [
        float(row["itl_ms"]) - (truth.last - truth.first) * 1000 / (truth.tokens - 1) for row, truth in pairs
    ]
    yield Line(f"TTFT, {n} at a time (worker: {cpu_pct:.0f} % of a core)", ttft, *TTFT_BOUNDS[n])
    yield Line(f"ITL, {n} at a time", itl, *ITL_BOUNDS.get(n, ("p95", None)))


def _measured(folder: Path, url: str, n: int, answers: int) -> list[Pair]:
    """The rows of one cell, each with the truth."""
    out = folder / f"out-{n}"
    asked = ["--concurrency", str(n), "--requests", str(answers), "--max-tokens", "64", "--model", "plain"]
    files = ["--fleet", "fleet.toml", "--prompt-file", "prompt.txt", "-o", str(out)]
    done = subprocess.run(
        [LLMQ, "bench", *files, *asked, "--json"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    with urllib.request.urlopen(f"{url}/truth", timeout=10) as page:
        truths = json.load(page)
    with (out / "requests.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "measure"]
    return [(row, Truth(**truths[row["request_id"]])) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
