"""A benchmark's suite: models and prompts to measure with, and perhaps how (configs/suites/exo-lab.toml). In
place of prompts it may name their lengths (configs/suites/lengths.toml)."""

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tasks.bench.lengths import LEAST, instruction
from tasks.errors import InputError
from tasks.intake.config_files import config_file
from tasks.intake.names import printable
from tasks.intake.prompt_files import faults, read_text
from tasks.intake.prompts import Prompt, distinct
from tasks.intake.suite_files import is_matrix
from worker_agent.config import Host, ModelName
from worker_agent.engines import ENGINES


class _PromptTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)
    name: str = Field(min_length=1)
    template: str = Field(min_length=1)


class BenchSuite(BaseModel):
    """What stands in the file; what the command line says goes before it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    description: str = ""
    models: list[str] = []
    names: dict[str, dict[str, str]] = {}  # of a model, by engine: it counts as one everywhere
    prompt: list[_PromptTable] = []
    lengths: list[Annotated[int, Field(ge=LEAST)]] = []  # of prompts, in tokens
    concurrency: list[Annotated[int, Field(ge=1)]] = []
    requests: int | None = Field(default=None, ge=1)
    warmup: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    results: Literal["exo-lab"] | None = None  # also write benchmark_results.csv

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if bool(self.prompt) == bool(self.lengths):
            raise ValueError("say what is asked: [[prompt]] tables, or lengths = [100, 1000], and not both")
        return self

    @field_validator("names")
    @classmethod
    def _known(cls, names: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        if strange := sorted({engine for own in names.values() for engine in own} - set(ENGINES)):
            raise ValueError(f"no engine is called {', '.join(strange)}; there is {', '.join(ENGINES)}")
        return names

    def named(self, hosts: Iterable[Host]) -> tuple[Host, ...]:
        """The hosts, serving the file's models by the names that their engines have for them. What a host's
        own configuration says of a model goes before that."""
        return tuple(self._named(host) for host in hosts)

    def _named(self, host: Host) -> Host:
        own = {name.fleet: name for name in host.models}
        ours = {model: by[host.engine] for model, by in self.names.items() if host.engine in by}
        own = {model: ModelName(model, local) for model, local in ours.items()} | own
        return replace(host, models=tuple(own.values())) if ours else host

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """One for each length, where these are named."""
        if self.lengths:
            return tuple(map(instruction, dict.fromkeys(self.lengths)))
        return distinct(Prompt(entry.name, entry.template) for entry in self.prompt)


def read_bench_suite(word: str) -> BenchSuite:
    """The suite in a file, or of that name in configs/suites. Raises InputError."""
    path = config_file("suites", "suite", word, lambda text: not is_matrix(text))
    try:
        return BenchSuite.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:  # it says line and column
        raise InputError(f"{printable(path)}: not TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{printable(path)}: {'; '.join(faults(error, BenchSuite))}") from None
