"""From what a person asks to a manifest and the files to read. Raises InputError before any work."""

import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.intake.papers import Found, PaperFile, find_papers
from tasks.intake.plan import LAYOUT
from tasks.intake.prompt_files import choose_prompts
from tasks.intake.prompts import Prompt, render, render_later
from tasks.intake.stages import Stage
from tasks.settings import config_folder
from tasks.work import Manifest, Params
from worker_agent.version import git_sha, llmq_version, python_version

COMMAND_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A run about to be: its manifest, and the files in order."""

    manifest: Manifest
    files: tuple[PaperFile, ...]


def asked(
    paths: Sequence[Path],
    *,
    presets: Sequence[str] = (),
    prompts: Sequence[str] = (),
    prompt_files: Sequence[Path] = (),
    models: Sequence[str] = (),
    params: Params | None = None,
    name: str | None = None,
    max_concurrent: int | None = None,
    priority: str = "normal",
    limit: int | None = None,
    stages: Sequence[Stage] = (),
    repeats: int = 1,
    otherwise: Sequence[Prompt] = (),
) -> Asked:
    """Check and gather. Where nobody names a prompt: `otherwise`, or with stages what the first one's
    template asks, or with papers the preset `research`."""
    named = bool(presets or prompts or prompt_files)
    if stages and stages[0].template and not named:
        prompts = [stages[0].template]
    stages = [replace(stage, template=None) if stage.after is None else stage for stage in stages]
    _check_words(paths, presets, bool(prompts or prompt_files or otherwise), name)
    found = find_papers(paths) if paths else Found((), ())
    chosen = tuple(otherwise) if not named else ()
    chosen = chosen or choose_prompts(presets, prompt_files, prompts, preset_folders())
    _check_placeholders(chosen, stages, about_papers=bool(paths))
    manifest = Manifest(
        run_id=uuid.uuid4().hex[:10],
        prompts=chosen,
        models=tuple(dict.fromkeys(models)),
        params=params or Params(),
        name=name,
        paperless=not paths,
        skipped=tuple(f"{one.name}: {one.reason}" for one in found.skipped),
        max_concurrent=max_concurrent,
        priority=priority,
        stages=tuple(stages),
        repeats=repeats,
        layout=LAYOUT,
        **submitter(),
    )
    return Asked(manifest, found.papers[:limit])


def _check_words(paths: Sequence[Path], presets: Sequence[str], prompts: bool, name: str | None) -> None:
    if not (paths or prompts):
        raise InputError("nothing to ask: name papers (a file or folder), or a prompt with -p TEXT")
    if presets and not paths:
        raise InputError(f"the preset {presets[0]} asks about papers: name a file or folder")
    if name == "latest":
        raise InputError("a run cannot be named `latest`: that word means the newest run")


def _check_placeholders(prompts: Sequence[Prompt], stages: Sequence[Stage], *, about_papers: bool) -> None:
    """None that nothing fills in."""
    filename = "paper" if about_papers else None
    for prompt in prompts:
        render(prompt, filename)
    for stage in stages:
        if stage.template:
            render_later(Prompt(stage.name, stage.template), filename)


def preset_folders() -> list[Path]:
    """Where a user's own presets lie, nearest first."""
    return [Path("presets"), config_folder() / "presets"]


def submitter() -> dict[str, Any]:
    """What a Manifest says of the llmq that submits it."""
    said = {"llmq": llmq_version(), "git": git_sha(), "python": python_version()}
    return {**said, "command": _command()}


def _command() -> tuple[str, ...]:
    """What was typed, a long list of files without its end."""
    words = (Path(sys.argv[0]).name, *sys.argv[1:])
    lengths = accumulate(len(word) + 1 for word in words)
    kept = tuple(word for word, length in zip(words, lengths, strict=True) if length <= COMMAND_CHARS)
    return kept if len(kept) == len(words) else (*kept, "…")
