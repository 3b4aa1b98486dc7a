"""A suite: which models answer which prompts, and which then work on each of these answers. A TOML file
(configs/suites/p2p.toml)."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import InputError
from tasks.intake.names import printable
from tasks.intake.prompt_files import faults, read_text
from tasks.intake.prompts import Prompt, distinct
from tasks.intake.stage_files import SUMMARIZE, pair
from tasks.intake.stages import Stage


class _PromptTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)
    name: str = Field(min_length=1)
    template: str = Field(min_length=1)


class _SuiteFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    description: str = ""
    generate: list[str] = Field(min_length=1)
    summarize: list[str] = Field(min_length=1)
    template: str = Field(default=SUMMARIZE, min_length=1)
    repeats: int = Field(default=1, ge=1)
    prompt: list[_PromptTable] = []


@dataclass(frozen=True, slots=True)
class Suite:
    """What a file asks. `prompts` are empty where the command line has them."""

    stages: tuple[Stage, ...]
    prompts: tuple[Prompt, ...]
    repeats: int


def is_matrix(text: str) -> bool:
    """Whether it is a suite of `llmq matrix`; the others are of `llmq bench`."""
    return re.search(r"^generate\b", text, re.MULTILINE) is not None


def read_suite(path: Path) -> Suite:
    """Raises InputError that names the file and every faulty key."""
    try:
        table = _SuiteFile.model_validate(tomllib.loads(read_text(path)))
        stages = matrix(table.generate, table.summarize, table.template)
    except tomllib.TOMLDecodeError as error:  # it says line and column
        raise InputError(f"{printable(path)}: not TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{printable(path)}: {'; '.join(faults(error, _SuiteFile))}") from None
    prompts = distinct(Prompt(entry.name, entry.template) for entry in table.prompt)
    return Suite(stages, prompts, table.repeats)


def matrix(generate: Sequence[str], summarize: Sequence[str], template: str) -> tuple[Stage, ...]:
    """Every generator, and behind each every summarizer; written MODEL or MODEL@HOST. Raises InputError."""
    stages: list[Stage] = []
    for writer in dict.fromkeys(generate):
        first = len(stages)
        for reader in dict.fromkeys(summarize):
            root, later = pair(writer, reader, template)
            stages += [root] if len(stages) == first else []
            stages.append(Stage(later.name, later.model, later.host, first, later.template))
    return tuple(stages)
