"""Presets and prompt files: those that ship, a user's own, and those with mistakes in them."""

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.intake.prompt_files import choose_prompts, load_preset, load_prompts, preset_names
from tasks.intake.prompts import render

MINE = '[[prompt]]\nname = "one"\ntemplate = "Ask {content}"\n'


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_presets_that_ship() -> None:
    """research, summary and critical are there, described, with five, three and three prompts."""
    presets = {name: load_preset(name) for name in preset_names()}
    assert {name: len(preset.prompts) for name, preset in presets.items()} == {
        "research": 5,
        "summary": 3,
        "critical": 3,
    }
    assert all(preset.description for preset in presets.values())
    assert all(render(prompt, "a.pdf") == prompt.template for p in presets.values() for prompt in p.prompts)


def test_user_preset_goes_first(tmp_path: Path) -> None:
    """A preset of the working folder hides that of the user's folder, and both hide ours."""
    write(tmp_path / "here", "summary.toml", MINE)
    write(tmp_path / "user", "summary.toml", MINE * 2)
    write(tmp_path / "user", "extra.toml", MINE)
    folders = [tmp_path / "here", tmp_path / "user", tmp_path / "missing"]
    assert len(load_preset("summary", folders).prompts) == 1
    assert preset_names(folders) == ["critical", "extra", "research", "summary"]


def test_preset_by_path(tmp_path: Path) -> None:
    """A path to a TOML file works wherever a preset's name does."""
    preset = load_preset(str(write(tmp_path, "mine.toml", MINE)))
    assert (preset.name, preset.prompts[0].template) == ("mine", "Ask {content}")


def test_unknown_preset_names_those_there_are() -> None:
    """A typo is met with the close match and the list."""
    with pytest.raises(InputError, match=r"'sumary'.*'summary'\? There are: critical, research, summary"):
        load_preset("sumary")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[[prompt]\n", r"bad\.toml: not TOML: .*line 1"),
        ("description = 'x'\n", r"bad\.toml: prompt: missing"),
        (MINE + "[[prompt]]\nname = 'two'\n", r"bad\.toml: prompt 2, template: missing"),
        (
            MINE + "[[prompt]]\nname = 'two'\ntemplate = ' '\n",
            r"bad\.toml: prompt 2, template: expected a text, got ' '",
        ),
        (
            MINE + "temperature = 1\n",
            r"bad\.toml: prompt 1: unknown key 'temperature'; did you mean 'template'\?",
        ),
    ],
)
def test_mistakes_are_located(tmp_path: Path, text: str, place: str) -> None:
    """A malformed preset says which file, and where in it."""
    write(tmp_path, "bad.toml", text)
    with pytest.raises(InputError, match=place):
        load_preset("bad", [tmp_path])


def test_broken_preset_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """Asking for another preset works as before."""
    write(tmp_path, "bad.toml", "[[")
    assert load_preset("summary", [tmp_path]).prompts


def test_prompt_file_is_one_prompt(tmp_path: Path) -> None:
    """The whole text is the template, the file's name its name; a TOML file holds several."""
    (prompt,) = load_prompts(write(tmp_path, "ask me.txt", "First line.\n\nSecond {x}.\n"))
    assert (prompt.name, prompt.template) == ("ask me", "First line.\n\nSecond {x}.")
    assert [p.name for p in load_prompts(write(tmp_path, "two.toml", MINE * 2))] == ["one", "one-2"]


@pytest.mark.parametrize(
    ("raw", "fault"), [(b" \n", "is empty"), (b"\xff", "not UTF-8"), (None, "cannot be read")]
)
def test_prompt_file_faults(tmp_path: Path, raw: bytes | None, fault: str) -> None:
    """An empty, unreadable or missing prompt file is an input error that names it."""
    path = tmp_path / "p.txt"
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(InputError, match=rf"p\.txt: .*{fault}"):
        load_prompts(path)


def test_choice_of_prompts(tmp_path: Path) -> None:
    """Presets, files and bare prompts add up in this order; with none of them it is `research`."""
    file = write(tmp_path, "summary.txt", "Mine.")
    chosen = choose_prompts(["summary"], [file], ["What else?"])
    assert [p.name for p in chosen] == ["summary", "points", "argument", "summary-2", "what-else"]
    assert choose_prompts() == load_preset("research").prompts
