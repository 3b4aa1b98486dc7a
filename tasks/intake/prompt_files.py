"""Presets and prompt files: finds them, checks them, and turns them into prompts.

A preset is a TOML file named after the preset:

    description = "What it is for"
    [[prompt]]
    name = "methods"
    template = "How was the study done?"

A prompt file is one of these too, or any other text file: then the whole file is one prompt.
"""

import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tasks.errors import InputError
from tasks.intake.names import printable
from tasks.intake.prompts import Preset, Prompt, distinct, named
from worker_agent.wording import keys_at, told

BUILT_IN = Path(__file__).parent / "presets"
DEFAULT_PRESET = "research"


class _PromptTable(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: str = Field(min_length=1)
    template: str = Field(min_length=1)


class _PresetTable(BaseModel):
    model_config = ConfigDict(extra="forbid")
    description: str = ""
    prompt: list[_PromptTable] = Field(min_length=1)


def choose_prompts(
    presets: Sequence[str] = (),
    files: Sequence[Path] = (),
    texts: Sequence[str] = (),
    folders: Sequence[Path] = (),
) -> tuple[Prompt, ...]:
    """All prompts that were asked for, in this order and with unique names; those of DEFAULT_PRESET
    where nothing was. `folders`: where the user's presets lie, nearest first. Raises InputError."""
    if not (presets or files or texts):
        presets = [DEFAULT_PRESET]
    chosen = [prompt for name in presets for prompt in load_preset(name, folders).prompts]
    chosen += [prompt for file in files for prompt in load_prompts(file)]
    return distinct([*chosen, *named(texts)])


def load_preset(name: str, folders: Sequence[Path] = ()) -> Preset:
    """The preset of this name, or in this `.toml` file. Raises InputError that names what
    there is, or the place of a mistake in the file."""
    if name.endswith(".toml"):
        return _read_preset(Path(name))
    known = _preset_files(folders)
    if name not in known:
        close = get_close_matches(name, known, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise InputError(f"no preset {name!r}.{guess} There are: {', '.join(sorted(known))}")
    return _read_preset(known[name])


def preset_names(folders: Sequence[Path] = ()) -> list[str]:
    """The names there are, whether their files can be read or not."""
    return sorted(_preset_files(folders))


def load_prompts(path: Path) -> tuple[Prompt, ...]:
    """The prompts of a prompt file. Raises InputError that says where it is wrong."""
    if path.suffix.lower() == ".toml":
        return _read_preset(path).prompts
    text = read_text(path).strip()
    if not text:
        raise InputError(f"{printable(path)}: the prompt file is empty")
    return (Prompt(printable(path.stem), text),)


def _preset_files(folders: Iterable[Path]) -> dict[str, Path]:
    """By name; a user's preset goes before ours, an earlier folder before a later one."""
    found: dict[str, Path] = {}
    for folder in (*folders, BUILT_IN):
        for path in folder.glob("*.toml"):
            found.setdefault(path.stem, path)
    return found


def _read_preset(path: Path) -> Preset:
    try:
        table = _PresetTable.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:  # it says line and column
        raise InputError(f"{printable(path)}: not TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{printable(path)}: {'; '.join(faults(error, _PresetTable))}") from None
    prompts = distinct(Prompt(entry.name, entry.template) for entry in table.prompt)
    return Preset(path.stem, table.description, prompts)


def faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """What is wrong with a TOML file of that `model`, and where."""
    return [_fault(fault, model) for fault in error.errors()]


def _fault(fault: ErrorDetails, model: type[BaseModel]) -> str:
    unknown = fault["type"] == "extra_forbidden"  # it names its key itself
    place = _place(fault["loc"][:-1] if unknown else fault["loc"])
    said = told(fault, keys_at(model, fault["loc"][:-1]))
    return f"{place}: {said}" if place else said


def _place(loc: tuple[int | str, ...]) -> str:
    """("prompt", 1, "template") as `prompt 2, template`, counting as people do."""
    words = [f" {part + 1}" if isinstance(part, int) else f", {part}" for part in loc]
    return "".join(words).removeprefix(", ")


def read_text(path: Path) -> str:
    """A file that a person wrote. Raises InputError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{printable(path)}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read: {error.strerror}") from None
