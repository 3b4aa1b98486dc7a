"""Do the statistics of `rank` and `compare` keep their word? Known distributions, thousands of samples.

    python benchmarks/confidence.py

Measured: how often a 95 % interval holds the true median (of single answers, and where answers of one paper
resemble each other), the true rate, or the true mean of runs; how often equal hosts share a rank, and how
often `compare` finds a difference where there is none; how often a true difference is found; and whether the
difference that `compare` says it would have found is found as often as it says. No clock is read: the figures
are the same on every machine. Half a minute of CPU; no Redis, no network.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Figure, parser, say
from tasks.report import stats
from tasks.report.compare import Side, compare
from tasks.report.gather import gather
from tasks.report.metric import METRICS
from tasks.report.rank import rankings
from tasks.report.sample import Sample

CV = 0.08
SIGMA = 0.5  # of the log-normal: skewed as latencies are
TRIALS = 4000
PIPELINE_TRIALS = 400  # through rows, samples and rankings
PAPERS = 20
PROMPTS = 5
TTFT = METRICS["ttft_ms"]
RPS = METRICS["rps"]
Draw = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Around 100."""
    return rng.normal(100, 100 * CV, n)


def lognormal(rng: np.random.Generator, n: int) -> np.ndarray:
    """With a median of 100."""
    return 100 * np.exp(rng.normal(0, SIGMA, n))


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    rng = np.random.default_rng(chosen.seed)
    parts = (_intervals, _papers, _rates, _ties, _found, _false, _promised, _lengths, _many, _in_a_row)
    figures = [figure for part in parts for figure in part(rng)]
    return say("confidence of rank and compare", figures, as_json=chosen.as_json)


def _intervals(rng: np.random.Generator) -> Iterator[Figure]:
    for name, draw in (("normal", normal), ("log-normal", lognormal)):
        for n in (10, 30, 100):
            hits = _share(lambda n=n, draw=draw: _holds(stats.of_median(sorted(draw(rng, n))), 100), TRIALS)
            yield _held(f"median interval, {name}, n = {n}", hits)
    for n in (2, 3, 10):
        hits = _share(lambda n=n: _holds(stats.of_mean(normal(rng, n)), 100), TRIALS)
        yield _held(f"t-interval of the mean, normal, n = {n}", hits)
    mean = 100 * np.exp(SIGMA**2 / 2)
    hits = _share(lambda: _holds(stats.of_mean(lognormal(rng, 10)), mean), TRIALS)
    yield Figure("(t on log-normal, n = 10: why not for answers)", 100 * hits, "%")


def _papers(rng: np.random.Generator) -> Iterator[Figure]:
    """The paper decides most of an answer's time."""
    papers = np.repeat(np.arange(PAPERS), PROMPTS).tolist()

    def values() -> list[float]:
        of_paper = np.repeat(rng.normal(0, 0.3, PAPERS), PROMPTS)
        return list(100 * np.exp(of_paper + rng.normal(0, 0.1, PAPERS * PROMPTS)))

    hits = _share(lambda: _holds(stats.summarize(values(), papers).interval, 100), TRIALS // 4)
    yield Figure(f"median interval, {PAPERS} papers x {PROMPTS} prompts", 100 * hits, "%", least=92)
    hits = _share(lambda: _holds(stats.summarize(values()).interval, 100), TRIALS // 4)
    yield Figure("(as if they were independent)", 100 * hits, "%")


def _rates(rng: np.random.Generator) -> Iterator[Figure]:
    """Slots that are never idle: the true rate is that of endless work."""

    def holds(slots: int, each: int) -> bool:
        made = _sample("a", _busy(rng, slots=slots, each=each))
        (entry,) = rankings([made], RPS)[0].entries
        return _holds(entry.interval, slots / (0.1 * np.exp(SIGMA**2 / 2)))

    hits = _share(lambda: holds(4, 100), PIPELINE_TRIALS)
    yield Figure("interval of requests a second", 100 * hits, "%", least=92)
    for n in (12, 30, 100):
        hits = _share(lambda n=n: holds(1, n), PIPELINE_TRIALS)
        yield Figure(f"... one at a time, n = {n}", 100 * hits, "%", least=92)


def _ties(rng: np.random.Generator) -> Iterator[Figure]:
    for n in (10, 30, 100):
        tied = _share(lambda n=n: _ranks(rng, n, 1.0) == [1, 1], PIPELINE_TRIALS)
        yield Figure(f"two equal hosts share rank 1, n = {n}", 100 * tied, "%", least=95)
    tied = _share(lambda: set(_ranks(rng, 30, *[1.0] * 4)) == {1}, PIPELINE_TRIALS)
    yield Figure("five equal hosts share rank 1, n = 30", 100 * tied, "%", least=95)


def _lengths(rng: np.random.Generator) -> Iterator[Figure]:
    """Time grows with the prompt, and one host got the short ones: log-normal lengths, medians 1 : 2."""

    def ranks(slower: float = 1.0) -> list[int | None]:
        samples = [_of_lengths(rng, "a", 2000, 1.0), _of_lengths(rng, "b", 1000, slower)]
        entries = rankings(samples, TTFT)[0].entries
        return [entry.rank for entry in sorted(entries, key=lambda entry: entry.cell.name)]

    def found() -> bool:
        sides = [Side("a", _of_lengths(rng, "a", 2000, 1.0)), Side("b", _of_lengths(rng, "b", 1000, 1.0))]
        (one,) = compare(*sides, TTFT)
        return bool(one.difference and one.difference.found)

    yield Figure(
        "equal hosts, short and long papers: share rank 1",
        100 * _share(lambda: ranks() == [1, 1], PIPELINE_TRIALS),
        "%",
        least=95,
    )
    false = _share(found, PIPELINE_TRIALS * 3)
    yield Figure("... and compare finds a difference", 100 * false, "%", most=6.5)
    right = _share(lambda: ranks(1.3) == [1, 2], PIPELINE_TRIALS)
    yield Figure("30 % slower with the short papers: ranked second", 100 * right, "%", least=90)


def _of_lengths(rng: np.random.Generator, host: str, middle: float, slower: float) -> Sample:
    """100 answers, each about a paper of its own."""
    tokens = np.round(middle * np.exp(rng.normal(0, 0.7, 100)))
    rows = _times(tokens / 10 * slower * np.exp(rng.normal(0, CV, 100)))
    return _sample(
        host,
        [
            row | {"prompt_tokens": int(n), "paper_id": f"{host} {row['paper_id']}"}
            for n, row in zip(tokens, rows, strict=True)
        ],
    )


def _found(rng: np.random.Generator) -> Iterator[Figure]:
    for n, least in ((30, None), (100, 99)):
        ranked = _share(lambda n=n: _ranks(rng, n, 1.1) == [1, 2], PIPELINE_TRIALS)
        yield Figure(f"10 % found by rank, n = {n}", 100 * ranked, "%", least=least)
        compared = _share(lambda n=n: _compared(rng, n, 1.1), PIPELINE_TRIALS)
        yield Figure(f"10 % found by compare, n = {n}", 100 * compared, "%", least=least)
    for ratio in (1.05, 1.1):
        pairs = _share(lambda ratio=ratio: _paired(rng, ratio), PIPELINE_TRIALS)
        what = f"{100 * (ratio - 1):.0f} % found by 60 pairs, papers differ by half"
        yield Figure(what, 100 * pairs, "%", least=99 if ratio == 1.1 else None)


def _false(rng: np.random.Generator) -> Iterator[Figure]:
    for n in (10, 30, 100):
        found = _share(lambda n=n: _compared(rng, n, 1.0), TRIALS // 2)
        yield Figure(f"equal, and compare finds a difference, n = {n}", 100 * found, "%", most=6.5)
    yield Figure(
        "... of 60 pairs", 100 * _share(lambda: _paired(rng, 1.0), PIPELINE_TRIALS * 3), "%", most=6.5
    )


def _promised(rng: np.random.Generator) -> Iterator[Figure]:
    n = 40
    promised = [stats.of_medians(normal(rng, n), normal(rng, n)).findable for _ in range(200)]
    ratio = float(np.median(promised))
    yield Figure(f"compare says it would find, n = {n}", 100 * (ratio - 1), "%")
    found = _share(lambda: stats.of_medians(normal(rng, n) * ratio, normal(rng, n)).found, 1000)
    yield Figure("... and finds it (it says 80 %)", 100 * found, "%", least=70, most=90)


def _many(rng: np.random.Generator) -> Iterator[Figure]:
    """Every two of many may be told apart."""
    many = [_ranks(rng, 30, *[1.0] * 19) for _ in range(PIPELINE_TRIALS // 4)]
    tied = sum(set(ranks) == {1} for ranks in many) / len(many)
    yield Figure("(twenty equal hosts share rank 1: why rank says so)", 100 * tied, "%")
    alone = sum(ranks.count(1) == 1 for ranks in many) / len(many)
    yield Figure("... one of them alone is first", 100 * alone, "%", most=2)


def _in_a_row(rng: np.random.Generator) -> Iterator[Figure]:
    """Each answer resembles the one before it, by a correlation of 0.5."""

    def values(n: int) -> np.ndarray:
        made = [rng.normal()]
        for step in rng.normal(0, np.sqrt(0.75), n - 1):
            made.append(0.5 * made[-1] + step)
        return 100 * np.exp(CV * np.array(made))

    hits = _share(lambda: _holds(stats.of_median(sorted(values(30))), 100), TRIALS // 4)
    yield Figure("(median interval, answers in a row resemble, n = 30)", 100 * hits, "%")
    found = _share(lambda: stats.of_medians(values(30), values(30)).found, TRIALS // 4)
    yield Figure("(... and compare finds a difference between equals)", 100 * found, "%")


def _ranks(rng: np.random.Generator, n: int, *ratios: float) -> list[int | None]:
    """The ranks of a host and of others that are so many times slower, from rows as runs have them."""
    samples = [_sample(f"host-{k}", _times(normal(rng, n) * ratio)) for k, ratio in enumerate((1.0, *ratios))]
    entries = rankings(samples, TTFT)[0].entries
    return [entry.rank for entry in sorted(entries, key=lambda entry: entry.cell.name)]


def _compared(rng: np.random.Generator, n: int, ratio: float) -> bool:
    values = normal(rng, n), normal(rng, n) * ratio
    return stats.of_medians(*values).found


def _paired(rng: np.random.Generator, ratio: float) -> bool:
    """Two runs of the same 20 papers x 3 prompts, the papers of very different length."""
    papers = np.repeat(100 * np.exp(rng.normal(0, 0.5, 20)), 3)
    sides = [
        Side(name, _sample(name, _times(papers * rng.normal(1, CV, 60) * times, prompts=3)))
        for name, times in (("a", 1.0), ("b", ratio))
    ]
    found = [one.difference for one in compare(*sides, METRICS["e2e_latency_s"]) if one.pairs == 60]
    return bool(found[0] and found[0].found)


def _times(values: np.ndarray, prompts: int = 1) -> list[dict[str, object]]:
    """Rows of answers that took so many milliseconds, each paper asked `prompts` times."""
    return [
        {
            "paper_id": f"paper-{k // prompts}",
            "prompt_sha256": f"prompt-{k % prompts}",
            "ttft_ms": float(value),
            "e2e_latency_s": float(value) / 1000,
            "prompt_tokens": 100,
            "cached_tokens": 0,
        }
        for k, value in enumerate(values)
    ]


def _busy(rng: np.random.Generator, slots: int, each: int) -> list[dict[str, object]]:
    ends = np.cumsum(0.1 * np.exp(rng.normal(0, SIGMA, (slots, each))), axis=1)
    ends = ends[ends <= ends[:, -1].min()]  # as long as all slots have work
    starts = [0.0, *np.sort(ends)[:-1]]
    return [
        {
            "paper_id": str(k),
            "started_at": _instant(0.0 if k < slots else start),
            "stream_end_s": _since(k, slots, start, end),
        }
        for k, (start, end) in enumerate(zip(starts, np.sort(ends), strict=True))
    ]


def _instant(seconds: float) -> str:
    return (
        np.datetime_as_string(np.datetime64("2026-01-01") + np.timedelta64(int(seconds * 1e6), "us"))
        + "+00:00"
    )


def _since(k: int, slots: int, start: float, end: float) -> float:
    return float(end if k < slots else end - start)


def _sample(host: str, rows: list[dict[str, object]]) -> Sample:
    full = (
        {"success": True, "host": host, "model": "m", "token_count_source": "server", **row} for row in rows
    )
    return gather(("run", row) for row in full).samples[0]


def _holds(interval: stats.Interval | None, true: float) -> bool:
    return interval is not None and interval.low <= true <= interval.high


def _held(what: str, share: float) -> Figure:
    return Figure(what, 100 * share, "%", least=93, most=97)


def _share(happens: Callable[[], bool], trials: int) -> float:
    return sum(happens() for _ in range(trials)) / trials


if __name__ == "__main__":
    sys.exit(main())
