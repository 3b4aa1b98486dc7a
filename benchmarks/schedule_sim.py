"""What tasks/policy.py, the code that decides at a live claim, makes of a fleet: in virtual time.

    python benchmarks/schedule_sim.py [--only five --only mixed] [--without share] [--ablation]

Every figure is a makespan over the ideal: all the work, each paper read once, over the rate of all slots (or
the longest paper on the fastest slot), at no cost between two requests. Beside it, in the same run, slots
that pull single items or whole papers first come, first served. A claim costs 5 ms and so does the way from
one request to the next; a request's time has a noise of 15 %. Medians of the seeds, with the lowest and the
highest. Speeds are unknown until a host's first answer, but in the fleets of the design study (`fleet-...`),
where they are known from an earlier run and asking is free, as there; `study` is that study's figure.
"""

import argparse
import math
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.room import Figure, parser, say
from benchmarks.virtual_fleet import Machine, Paper, Terms, bound_s, pull, run
from tasks import policy

ANSWERS = (120, 250, 300, 250, 350)  # median tokens, by prompt
FIVE = ((0.1, 5), (0.2, 3), (0.4, 3), (0.7, 2), (1.0, 2))  # seconds a request, slots
PAID = Terms()
FREE = Terms(claim_s=0.0, gap_s=0.0, known=True)
STUDY = {  # Raspberry Pis, MacBook Airs, Ultras, H100s; ratio at 500 and 50,000 items
    "5": ((1, 3, 1, 0), (1.032, 1.006)),
    "35": ((5, 22, 8, 0), (1.202, 1.008)),
    "35g": ((5, 21, 8, 1), (1.371, 1.009)),
    "1000": ((300, 550, 140, 10), (1.378, 1.096)),
}


def _whole_bundles(*what: Any) -> policy.Choice:
    """Nothing is begun that does not end in time as a whole."""
    choice = TAKE(*what)
    return choice if not choice.probe else policy.Choice(take=False)


def _unstarted_only(*what: Any) -> tuple[policy.Held, ...]:
    """No second try of what runs."""
    return tuple(one for one in HELPS(*what) if one.unstarted)


def _of_usual_length(ours: Any, speeds: Any, answer: float, held: Any, load_s: float) -> Any:
    """All prompts are thought to be answered at equal length."""
    return HELPS(ours, speeds, answer, [replace(one, answer=None, rest=None) for one in held], load_s)


TAKE, HELPS = policy._take, policy._helps
RULES: dict[str, dict[str, Any]] = {  # what --without switches off
    "share": {"SHARE": math.inf},
    "fast": {"FAST": 0.99},
    "help": {"_helps": lambda *_: ()},
    "worth": {"WORTH": 1.0},
    "split": {"_take": _whole_bundles},
    "copy": {"_helps": _unstarted_only},
    "length": {"_helps": _of_usual_length},
}

Fleet = Callable[[random.Random], list[Machine]]
Papers = Callable[[random.Random], list[Paper]]


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet with its work. `most`: the bound of the ratio; `ideal_pays`: the ideal too needs the time from
    one request to the next; `doubled_most`: of the engine time in vain; `seeds`: at most so many."""

    title: str
    fleet: Fleet
    papers: Papers
    terms: Terms = PAID
    most: float | None = None
    ideal_pays: bool = False
    doubled_most: float | None = None
    study: float | None = None
    seeds: int = 99


def _lognormal(rng: random.Random, median: float, low: int, high: int) -> int:
    return int(min(high, max(low, rng.lognormvariate(math.log(median), 0.7))))


def heavy(count: int) -> Papers:
    """Papers and answers with a heavy tail."""
    return lambda rng: [
        Paper(
            _lognormal(rng, 6000, 500, 60000), tuple(_lognormal(rng, median, 20, 2000) for median in ANSWERS)
        )
        for _ in range(count)
    ]


def uneven(count: int) -> Papers:
    """A word to the first prompts, an essay to the last."""
    return lambda rng: [Paper(6000, (20, 40, 60, 300, 1200)) for _ in range(count)]


def alike(count: int, prompts: int) -> Papers:
    return lambda _: [Paper(6000, (100,) * prompts) for _ in range(count)]


def five(*, prefill: float) -> Fleet:
    """`prefill`: seconds to read a usual paper, for each second of an answer."""
    answer, tokens = (100, 6000) if not prefill else (320, 7600)  # as drawn, on average
    read = prefill / tokens
    return lambda _: [Machine(slots, read * s, read * s * 0.03, s / answer) for s, slots in FIVE]


def speaking(tokens_per_s: float, slots: int = 1) -> Machine:
    """Reads ten times faster than it writes, from its prefix cache another 33 times faster."""
    write_s = 1 / tokens_per_s
    return Machine(slots, write_s / 10, write_s / 10 * 0.03, write_s, fixed_s=0.05)


def study_fleet(pis: int, airs: int, ultras: int, gpus: int) -> Fleet:
    kinds = ((pis, 2, 5, 1), (airs, 12, 18, 1), (ultras, 65, 95, 1), (gpus, 56, 69, 32))
    return lambda rng: [
        speaking(rng.uniform(low, high), slots) for count, low, high, slots in kinds for _ in range(count)
    ]


def cases() -> dict[str, Case]:
    mixed = [speaking(4), *[speaking(15)] * 4, *[speaking(80)] * 2, speaking(62.5, 32)]
    two = [Machine(1, 0, 0, 0.025 / 100), Machine(1, 0, 0, 0.5 / 100)]
    killed = Terms(killed=0, killed_at_s=3.0)
    named = {
        "five": Case("five hosts, 100 x 5", five(prefill=0), alike(100, 5), most=1.08),
        "prefix": Case(
            "five hosts, prefill 70 % of a first prompt", five(prefill=7 / 3), heavy(100), most=1.12
        ),
        "two": Case("25 ms and 500 ms, 300 x 1", lambda _: two, alike(300, 1), most=1.10, ideal_pays=True),
        "mixed": Case(
            "Pi, 4 laptops, 2 Macs, GPU box, 1,000 x 5",
            lambda _: mixed,
            heavy(1000),
            most=1.06,
            doubled_most=0.01,
        ),
        "uneven": Case(
            "five hosts, answers of 20 to 1,200 tokens", five(prefill=7 / 3), uneven(100), most=1.12
        ),
        "killed": Case(
            "fastest of five killed, back in 1.6 s",
            five(prefill=0),
            alike(100, 5),
            replace(killed, back_s=1.6),
            1.25,
        ),
        "silent": Case(
            "fastest of five killed, back in 16 s",
            five(prefill=0),
            alike(100, 5),
            replace(killed, back_s=16.0),
            1.25,
        ),
    }
    for name, (kinds, study) in STUDY.items():
        for count, ratio in zip((100, 10_000), study, strict=True):
            seeds = 1 if name == "1000" else 99
            title = f"fleet {name}, {count * 5:,} items"
            case = Case(title, study_fleet(*kinds), heavy(count), FREE, study=ratio, seeds=seeds)
            named[f"fleet-{name}-{count * 5}"] = case
    return named


@dataclass(frozen=True, slots=True)
class Seen:
    """One seed's ratios."""

    ratio: float
    doubled: float
    items: float
    papers: float


def measure(case: Case, seed: int) -> Seen:
    rng = random.Random(seed)
    machines, papers = case.fleet(rng), case.papers(rng)
    got = run(machines, papers, case.terms, seed)
    gap_s = case.terms.gap_s if case.ideal_pays else 0.0
    if case.terms.killed is not None:
        # Of what remained, by those that remained.
        left = [one for n, one in enumerate(machines) if n != case.terms.killed]
        ideal_s = bound_s(left, papers, gap_s, got.remaining)
        return Seen((got.makespan_s - case.terms.killed_at_s) / ideal_s, got.doubled, math.nan, math.nan)
    ideal_s = bound_s(machines, papers, gap_s)
    pulled = (pull(machines, papers, case.terms, seed, whole=whole) / ideal_s for whole in (False, True))
    return Seen(got.makespan_s / ideal_s, got.doubled, *pulled)


def figures(case: Case, seeds: int) -> list[Figure]:
    seen = [measure(case, seed) for seed in range(min(seeds, case.seeds))]
    ratios = [one.ratio for one in seen]
    made = [
        Figure(f"{case.title}: makespan / ideal", median(ratios), most=case.most),
        Figure("  lowest", min(ratios)),
        Figure("  highest", max(ratios)),
        Figure("  engine time in vain", median(one.doubled for one in seen), most=case.doubled_most),
    ]
    if case.terms.killed is None:
        made.append(Figure("  pull, item by item / ideal", median(one.items for one in seen)))
        made.append(Figure("  pull, paper by paper / ideal", median(one.papers for one in seen)))
    if case.study is not None:
        made.append(Figure("  the study's best practical policy", case.study))
    return made


def linear(seeds: int) -> list[Figure]:
    """35 equal hosts against one, ten papers each, by work done in a second."""
    rates = []
    for seed in range(seeds):
        rate = []
        for hosts in (1, 35):
            machines, papers = [speaking(15)] * hosts, heavy(10 * hosts)(random.Random(seed))
            work_s = bound_s(machines[:1], papers, 0.0)
            rate.append(work_s / run(machines, papers, Terms(), seed).makespan_s)
        rates.append(rate[1] / rate[0] / 35)
    return [
        Figure("35 equal hosts, 10 papers each: of linear", median(rates), least=0.9),
        Figure("  lowest", min(rates)),
        Figure("  highest", max(rates)),
    ]


def without(*rules: str) -> ExitStack:
    """The policy with these rules switched off."""
    off = ExitStack()
    for rule in rules:
        off.enter_context(patch.multiple(policy, **RULES[rule]))
    return off


def main() -> int:
    options = _parse()
    chosen = options.only or [*cases(), "linear"]
    if options.ablation:
        return _ablation([name for name in chosen if "1000" not in name and "50000" not in name], options)
    made: list[Figure] = []
    with without(*options.without):
        for name in chosen:
            made += linear(options.seeds) if name == "linear" else figures(cases()[name], options.seeds)
    return say(f"schedule, {options.seeds} seeds", made, as_json=options.as_json)


def _ablation(chosen: Sequence[str], options: argparse.Namespace) -> int:
    """Each rule switched off alone: the median ratio of each case, with and without."""
    made = []
    for rule in ("", *RULES):
        with without(*[rule] if rule else []):
            for name in chosen:
                if name != "linear":
                    ratio, _, _, doubled, *_ = figures(cases()[name], options.seeds)
                    title = f"{name}, {'without ' + rule if rule else 'all rules'}"
                    made.append(Figure(f"{title}: makespan / ideal", ratio.value))
                    made.append(Figure("  engine time in vain", doubled.value))
    return say(f"schedule, what each rule is worth, {options.seeds} seeds", made, as_json=options.as_json)


def _parse() -> argparse.Namespace:
    options = parser(__doc__)
    names = [*cases(), "linear"]
    options.add_argument("--only", action="append", choices=names, help="this case (repeatable)")
    options.add_argument("--seeds", type=int, default=5, help="so many (1,000 hosts: one)")
    options.add_argument("--without", action="append", choices=RULES, default=[], help="this rule")
    options.add_argument("--ablation", action="store_true", help="every rule switched off in turn")
    return options.parse_args()


if __name__ == "__main__":
    sys.exit(main())
