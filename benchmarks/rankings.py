"""Do `llmq rank` and `llmq compare` say what is so? Real runs over real workers of engines of known speed.

    python benchmarks/rankings.py [--runs 20]

Each run asks papers of its own, so that everything is drawn anew (from the same seed: the draws are those of
any other machine). Then the commands are asked, and how often each statement was right is counted.

known-order.toml: four hosts with medians of 100, 110, 110 and 150 ms to the first token (sigma 5 %), at
least 40 answers each. Bounds: 19 of 20 for each statement about ranks and for the 10 %; for the equal ones
17 of 20, and as many for the intervals: these are wrong in 1 of 20 cases by construction, and of 20 more than
3 are in 1.6 % of the benchmarks. (With fewer runs one may be wrong, or two.) The engines note when each first
token was due and when it left: their lateness is theirs, and an interval has to hold the median that they
play, that is the planned one and the median of what they are late over all runs; 17 of 20, of brisk and of
all four. What our measuring adds is in every figure. That it holds the planned 100 ms has no bound.
short-papers.toml: a host of half the speed gets only the short papers. Its plain median is the better one.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import ROOT, Figure, ask, parser, read, room, say, wait_ended, working
from cli.main import main as llmq
from tasks.children import simulators
from tasks.request import asked
from tasks.session import Session
from tasks.work import Params
from worker_agent.config import Host
from worker_agent.simulator.fleet import load_machines

PROFILES = ROOT / "configs" / "profiles"
TRUE_MS = {"brisk": 100.0, "even": 110.0, "twin": 110.0, "slow": 150.0}
PAPERS = 250
SHORT, LONG = (150, 150), (40, 1100)  # papers, words each
LEAST_N = 40

Said = dict[str, bool]  # statement -> whether it was right


def main() -> int:
    options = parser(__doc__, runs=20)
    options.add_argument("--only", choices=["known-order", "short-papers"])
    chosen = options.parse_args()
    parts = {"known-order": _known_order, "short-papers": _short_papers}
    figures = [
        figure
        for name, part in parts.items()
        if chosen.only in (None, name)
        for figure in part(chosen.runs if name == "known-order" else max(1, chosen.runs // 4))
    ]
    return say("rank and compare against the truth", figures, as_json=chosen.as_json)


@dataclass(slots=True)
class Played:
    """What the engine of one host noted, in ms: by the id of a request when its first token left after the
    request had been read, and how much later that was than planned, waiting for a slot included."""

    ttft_ms: dict[str, float] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)

    def saw(self, url: str) -> None:
        for call in json.loads(read(f"{url}/simulator/log")):
            if call["outcome"] == "finished" and call["tag"] not in self.ttft_ms:
                ttft_ms = 1000 * (call["queued_s"] + call["first_s"])
                self.ttft_ms[call["tag"]] = ttft_ms
                self.late_ms.append(ttft_ms - 1000 * call["due_s"])


def _known_order(runs: int) -> Iterator[Figure]:
    right: Counter[str] = Counter()
    off, ours, every = list[float](), list[float](), list[dict[str, Any]]()
    played = {host: Played() for host in TRUE_MS}
    for run, hosts in _runs("known-order", runs, ((PAPERS, 60),)):
        entries = _entries(run)
        every.append(entries)
        off += [entry["value"] - TRUE_MS[host] for host, entry in entries.items()]
        right.update(what for what, so in _statements(run, entries).items() if so)
        for host in hosts:
            played[host.id].saw(host.url)
        ours += _ours_ms(run, played)
    exact, usual = _bound(runs, 19), _bound(runs, 17)
    wanted: dict[str, int | None] = {
        what: usual if what.startswith(("compare", "interval")) else exact for what in STATEMENTS
    }
    wanted |= {STATEMENTS[3]: exact, STATEMENTS[5]: None}
    for what in STATEMENTS:
        yield Figure(what, right[what], f"of {runs}", least=wanted[what])
    held = {host: _held(every, host, noted) for host, noted in played.items()}
    name = "interval of the median holds what is played, of"
    yield Figure(f"{name} brisk", held["brisk"], f"of {runs}", least=usual)
    yield Figure(f"{name} all", sum(held.values()), f"of {len(held) * runs}", least=len(held) * usual)
    fewest = min(entry["n"] for entries in every for entry in entries.values())
    yield Figure("answers of a host, at least", fewest, least=LEAST_N)
    yield Figure("median of a host over the plan, median of all", median(off), "ms")
    yield Figure("... farthest", max(off, key=abs), "ms")
    late = [one for noted in played.values() for one in noted.late_ms]
    yield Figure("how late the engines were, median", median(late), "ms")
    yield Figure("... 95th percentile", quantiles(late, n=20)[-1], "ms")
    yield Figure("what our measuring adds to what was played, median", median(ours), "ms")
    yield Figure("... 95th percentile", quantiles(ours, n=20)[-1], "ms")


def _held(every: Sequence[dict[str, dict[str, Any]]], host: str, noted: Played) -> int:
    """In how many runs the interval of this host's median holds the median that its engine plays."""
    truth_ms = TRUE_MS[host] + median(noted.late_ms)
    return sum(one[host]["ci_low"] <= truth_ms <= one[host]["ci_high"] for one in every)


def _ours_ms(run: str, played: dict[str, Played]) -> list[float]:
    """How much more the TTFT of each answer is than what its engine noted: the way, and our stamps."""
    rows = [row for row in _said("results", run)["results"] if row["success"]]
    return [row["metrics"]["ttft_ms"] - played[row["host"]].ttft_ms[row["item_id"]] for row in rows]


STATEMENTS = (
    "rank: brisk alone is first",
    "rank: the equal ones share rank 2",
    "rank: slow alone is fourth",
    "compare finds the 10 %, and who is better",
    "compare finds nothing between equals",
    "interval of the median holds the planned 100 ms, of brisk",
    "interval of the quotient holds the truth, 10 %",
)


def _statements(run: str, entries: dict[str, dict[str, Any]]) -> Said:
    ranks = {host: entry["rank"] for host, entry in entries.items()}
    ten, equal = _compared(run, "brisk", "even"), _compared(run, "even", "twin")
    difference, brisk = ten["difference"], entries["brisk"]
    return dict(
        zip(
            STATEMENTS,
            (
                ranks["brisk"] == 1 and list(ranks.values()).count(1) == 1,
                ranks["even"] == ranks["twin"] == 2,
                ranks["slow"] == 4,
                ten["found"] and difference["ratio"] < 1,
                not equal["found"],
                brisk["ci_low"] <= TRUE_MS["brisk"] <= brisk["ci_high"],
                difference["low"] <= TRUE_MS["brisk"] / TRUE_MS["even"] <= difference["high"],
            ),
            strict=True,
        )
    )


def _short_papers(runs: int) -> Iterator[Figure]:
    right: Counter[str] = Counter()
    for run, _ in _runs("short-papers", runs, (SHORT, LONG)):
        entries, compared = _entries(run), _compared(run, "fast", "small")
        right["plain"] += entries["small"]["value"] < entries["fast"]["value"]
        right["rank"] += (entries["fast"]["rank"], entries["small"]["rank"]) == (1, 2)
        right["compare"] += bool(compared["found"]) and compared["difference"]["ratio"] < 1
    unit = f"of {runs}"
    yield Figure("short papers: plain medians put the slow one first", right["plain"], unit, least=runs)
    yield Figure("short papers: rank puts the fast one first", right["rank"], unit, least=runs)
    yield Figure("short papers: compare finds the fast one better", right["compare"], unit, least=runs)


def _runs(profile: str, runs: int, kinds: Sequence[tuple[int, int]]) -> Iterator[tuple[str, Sequence[Host]]]:
    """Runs over the hosts of a profile, each of so many papers of so many words; the id of each, ended, and
    the hosts."""
    machines = load_machines(str(PROFILES / f"{profile}.toml"), seed=1)
    with (
        room() as folder,
        simulators(machines) as engines,
        working([one.host for one in engines]) as (work, _),
    ):
        for run in range(runs):
            yield (
                _answered(work, _papers(folder / f"papers-{run}", run, kinds)),
                [one.host for one in engines],
            )


def _answered(work: Session, papers: Path) -> str:
    wanted = asked([papers], prompts=["What is it about?"], params=Params(max_tokens=64))
    run_id = ask(work, wanted)
    status = wait_ended(work, run_id)
    if status.failed:
        raise SystemExit(f"{status.failed} items of {papers.name} failed")
    return run_id


def _papers(folder: Path, run: int, kinds: Sequence[tuple[int, int]]) -> Path:
    """Every word of a paper is as long as any other's."""
    folder.mkdir()
    for kind, (count, words) in enumerate(kinds):
        for n in range(count):
            text = ". ".join(f"Run {run:03} paper {n:04} says w{word:04}" for word in range(words // 5))
            (folder / f"paper-{kind}-{n:04}.txt").write_text(text)
    return folder


def _entries(run: str) -> dict[str, dict[str, Any]]:
    (ranking,) = _said("rank", run, "--by", "ttft")["rankings"]
    return {entry["host"]: entry for entry in ranking["entries"]}


def _compared(run: str, a: str, b: str) -> dict[str, Any]:
    (one,) = _said("compare", f"host:{a}", f"host:{b}", "--run", run, "--by", "ttft")["comparisons"]
    return dict(one)


def _said(*command: str) -> dict[str, Any]:
    done = CliRunner().invoke(llmq, [*command, "--json"])
    if done.exit_code:
        raise SystemExit(f"llmq {' '.join(command)}: {done.output}") from done.exception
    return dict(json.loads(done.stdout))


def _bound(runs: int, of_twenty: int) -> int:
    return of_twenty * runs // 20 if runs >= 20 else max(runs - (1 if of_twenty == 19 else 2), 0)


if __name__ == "__main__":
    sys.exit(main())
