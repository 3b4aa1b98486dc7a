"""What a person says of a benchmark on the command line; its suite says the rest."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tasks.bench.cell import Bench
    from tasks.intake.bench_files import BenchSuite
    from tasks.intake.prompts import Prompt
    from tasks.work import Params
    from worker_agent.config import Host

MOST_TOKENS, WARMUP = 128, 3


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of `llmq bench` that say what is measured; None and empty where nothing was said."""

    hosts: tuple[str, ...]
    models: tuple[str, ...]
    suite: str | None
    prompts: tuple[str, ...]
    prompt_files: tuple[Path, ...]
    concurrency: tuple[int, ...]
    rates: tuple[float, ...]
    arrivals: str
    sweep: bool
    requests: int | None
    warmup: int | None
    max_tokens: int | None
    temperature: float
    seed: int | None
    no_cache_bust: bool
    shared: bool
    name: str | None

    def check(self) -> None:
        """Raises UsageError where one excludes another."""
        if self.rates and (self.sweep or self.concurrency):
            raise click.UsageError(
                "--rate sends requests when they are due: leave out --concurrency and --sweep"
            )
        if self.sweep and self.concurrency:
            raise click.UsageError("--sweep finds the concurrency itself: leave out --concurrency")

    def read_suite(self) -> "BenchSuite":
        """One that says nothing where none is named. Raises InputError."""
        from tasks.intake.bench_files import BenchSuite, read_bench_suite

        return read_bench_suite(self.suite) if self.suite else BenchSuite.model_construct()

    def asks(self, suite: "BenchSuite") -> "tuple[Prompt, ...]":
        """Raises InputError, UsageError."""
        from tasks.bench.asked import PROMPTS
        from tasks.intake.prompt_files import choose_prompts

        if not (self.prompts or self.prompt_files):
            return suite.prompts or PROMPTS
        if suite.lengths:
            raise click.UsageError(
                "this suite makes prompts of set lengths itself: leave out -p and --prompt-file"
            )
        return choose_prompts((), self.prompt_files, self.prompts)

    def names(self, suite: "BenchSuite") -> tuple[str, ...]:
        """The models; none where all are meant."""
        return tuple(dict.fromkeys(self.models or suite.models))

    def params(self, suite: "BenchSuite") -> "Params":
        from tasks.work import Params

        return Params(self.max_tokens or suite.max_tokens or MOST_TOKENS, self.temperature, self.seed)

    def bench(self, suite: "BenchSuite", hosts: "tuple[Host, ...]") -> "Bench":
        from tasks.bench.cell import Bench

        warmup = suite.warmup if self.warmup is None else self.warmup
        return Bench(
            hosts=tuple(host.id for host in hosts),
            models=self.names(suite),
            concurrency=self.concurrency or tuple(suite.concurrency) or (1,),
            rates=self.rates,
            arrivals=self.arrivals,
            requests=self.requests or suite.requests or 0,
            warmup=WARMUP if warmup is None else warmup,
            cache_bust=not self.no_cache_bust,
            shared=self.shared,
            sweep=self.sweep,
            seed=self.seed or 0,
            lengths=tuple(dict.fromkeys(suite.lengths)),
        )
