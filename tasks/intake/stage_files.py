"""Stages as people write them: `MODEL@HOST` on a command line, or a TOML file of `[[stage]]` tables.

[[stage]]
name = "generate"
model = "small-model"
host = "pi-shelf"           # optional: only this host
template = "What is new?"   # of the first: where the command line has no prompt
max_tokens = 400            # optional

[[stage]]
name = "summarize"
model = "large-model"
template = "Summarize {content} in two lines."
after = "generate"          # optional: else the stage before it
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import InputError
from tasks.intake.names import printable
from tasks.intake.prompt_files import faults, read_text
from tasks.intake.stages import MOST_DEEP, Stage, depth

SUMMARIZE = "Summarize the text in two lines."
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"  # it heads columns


class _StageTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)
    name: str = Field(pattern=NAME)
    model: str | None = Field(default=None, min_length=1)
    host: str | None = Field(default=None, min_length=1)
    template: str | None = Field(default=None, min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    after: str | None = None


class _StagesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    stage: list[_StageTable] = Field(min_length=2)


def read_stages(path: Path) -> tuple[Stage, ...]:
    """The stages of a file, in its order. Raises InputError that names the file and every faulty key."""
    try:
        tables = _StagesFile.model_validate(tomllib.loads(read_text(path))).stage
    except tomllib.TOMLDecodeError as error:  # it says line and column
        raise InputError(f"{printable(path)}: not TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{printable(path)}: {'; '.join(faults(error, _StagesFile))}") from None
    try:
        return _linked(tables)
    except InputError as error:
        raise InputError(f"{printable(path)}: {error}") from None


def pair(generate: str, summarize: str, template: str | None = None) -> tuple[Stage, ...]:
    """`--generate` and `--summarize`, each MODEL or MODEL@HOST. Raises InputError."""
    first, second = _asked(generate), _asked(summarize)
    return (
        Stage("generate", *first),
        Stage("summarize", *second, after=0, template=template or SUMMARIZE),
    )


def _asked(text: str) -> tuple[str, str | None]:
    """Model and host. An `@` that belongs to the model's name is followed by another, `name@q8@`."""
    model, _, host = text.rpartition("@") if "@" in text else (text, "", "")
    if not model.strip():
        raise InputError(f"{text!r} names no model: write MODEL or MODEL@HOST")
    return model.strip(), host.strip() or None


def _linked(tables: Sequence[_StageTable]) -> tuple[Stage, ...]:
    indices: dict[str, int] = {}
    stages: list[Stage] = []
    for number, table in enumerate(tables, 1):
        where = f"stage {number}"
        if table.name in indices:
            raise InputError(
                f"{where}, name: {table.name!r} is the name of stage {indices[table.name] + 1} too"
            )
        if table.after is not None and table.after not in indices:
            known = ", ".join(indices) or "it is the first"
            raise InputError(f"{where}, after: no stage {table.after!r} comes before it ({known})")
        after = indices[table.after] if table.after is not None else number - 2 if number > 1 else None
        if after is not None and table.template is None:
            raise InputError(f"{where}, template: missing; say what to do with the answer before it")
        indices[table.name] = number - 1
        own = table.name, table.model, table.host, after, table.template, table.max_tokens
        stages.append(Stage(*own))
    if depth(stages) > MOST_DEEP:
        raise InputError(f"stage {len(stages)}: at most {MOST_DEEP} stages may come before one")
    return tuple(stages)
