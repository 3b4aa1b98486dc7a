"""From papers to bundles: which items there are, and which share one answer. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from tasks.intake.extract import Paper
from tasks.intake.prompts import names_file, reads_paper, render, render_later
from tasks.intake.stages import FIRST, Later, below
from tasks.work import Bundle, Manifest, Params, digest

CHARACTERS_A_TOKEN = 4  # roughly, and only to compare papers
LAYOUT = 1  # of system text and prompt; a change makes other answers


def answer_key(
    paper_id: str | None,
    instruction: str,
    model: str | None,
    manifest: Manifest,
    stage: str,
    *,
    params: Params | None = None,
    parent: object = None,
) -> str:
    """Everything that decides an answer. Two items with one key may share it."""
    p, layout = params or manifest.params, manifest.layout
    return digest(
        layout, paper_id, instruction, model, p.max_tokens, p.temperature, p.seed, p.overflow, stage, parent
    )


def key_of(manifest: Manifest, bundle: Bundle, item: int, content: str | None = None) -> str:
    """The answer key of an item of a bundle; in a later stage `content` stands for the answer it reads."""
    stage, params = manifest.stage_of(bundle), manifest.params_of(bundle)
    prompt = manifest.prompt_of(bundle, item)
    asked = f"{bundle.model or ''}@{bundle.host}" if bundle.host else bundle.model
    if bundle.parent is None:
        paper, name, instruction = bundle.paper, FIRST, render(prompt, bundle.file)
    else:
        paper = bundle.paper if reads_paper(prompt.template) else None
        name, instruction = stage.name, render_later(prompt, bundle.file)
    parent = [content, bundle.repeat] if bundle.repeat else content
    return answer_key(paper, instruction, asked, manifest, name, params=params, parent=parent)


class Planner:
    """Hands out bundles in order, numbered from 0. Items whose answer key has come before in this run
    become copies, in bundles that wait for the original. Behind each bundle of a first stage come those of
    the stages below it.

    Within a first stage, answer keys are equal where paper, model, repeat and instruction are. Most papers
    come once, so what is kept of each is where it was first asked about; instructions are compared when it
    comes again."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        stages = enumerate(manifest.all_stages)
        self._firsts = [(index, stage) for index, stage in stages if stage.after is None]
        self._below: dict[int, tuple[Later, ...]] = {
            index: below(manifest.stages, index) for index, _ in self._firsts if manifest.stages
        }
        self._once: dict[bytes, tuple[int, str | None, tuple[int, ...]]] = {}  # number, file and prompts
        self._again: dict[bytes, dict[str, tuple[int, int]]] = {}  # of what came twice, by instruction
        self._fixed: dict[int, str] = {}  # instructions that are the same for every file
        self.number = 0

    def paper(self, paper: Paper) -> Iterator[tuple[Bundle, str]]:
        """A paper's bundles, each with its queue."""
        every = tuple(range(len(self._manifest.prompts)))
        tokens = len(paper.text or "") // CHARACTERS_A_TOKEN
        for first in self._first_bundles(paper.name, None if paper.error else paper.id, every, tokens):
            if paper.error:
                error = (paper.error.kind, str(paper.error))
                yield from self._chain(replace(first, tokens=0, error=error))
            else:
                yield from self._bundles(first)

    def prompts(self) -> Iterator[tuple[Bundle, str]]:
        """Without papers: each prompt, for each model, is a bundle of one item."""
        for index in range(len(self._manifest.prompts)):
            tokens = len(self._manifest.prompts[index].template) // CHARACTERS_A_TOKEN
            for first in self._first_bundles(None, None, (index,), tokens):
                yield from self._bundles(first)

    def recall(self, bundle: Bundle) -> None:
        """Count a bundle that an interrupted submit has already added."""
        if bundle.parent is None and not bundle.copies and not bundle.error:
            mark = _mark(bundle)
            if mark in self._once:
                originals = self._originals(mark)
                for item, index in enumerate(bundle.prompts):
                    originals.setdefault(self._instruction(index, bundle.file), (self.number, item))
            else:
                self._once[mark] = self.number, bundle.file, bundle.prompts
        self.number += 1

    def _first_bundles(
        self, file: str | None, paper: str | None, prompts: tuple[int, ...], tokens: int
    ) -> Iterator[Bundle]:
        """What is asked first, by whom and how often."""
        staged = bool(self._manifest.stages)
        for index, stage in self._firsts:
            asked = Bundle(
                file,
                paper,
                stage.model,
                prompts,
                tokens=tokens,
                stage=index if staged else 0,
                host=stage.host,
            )
            yield asked
            for repeat in range(1, self._manifest.repeats):
                yield replace(asked, repeat=repeat)

    def _bundles(self, asked: Bundle) -> Iterator[tuple[Bundle, str]]:
        new, copies = self._sort(asked)
        if new:
            yield from self._chain(asked if new is asked.prompts else replace(asked, prompts=new))
        for originals in copies.values():
            indices = tuple(index for index, _ in originals)
            pairs = tuple(pair for _, pair in originals)
            yield from self._chain(replace(asked, prompts=indices, copies=pairs, tokens=0))

    def _chain(self, first: Bundle) -> Iterator[tuple[Bundle, str]]:
        """A first stage's bundle, and those of the stages below it. What is below a copy copies what is below
        its original, down to an instruction that names the file."""
        number = self.number
        yield self._count(first)
        copied = {0} if first.copies else set()
        for later in self._below.get(first.stage, ()):
            stage = self._manifest.stages[later.stage]
            template = stage.template or ""
            if later.parent in copied and "{filename}" not in template:
                copied.add(later.place)
            copies = first.copies if later.place in copied else ()
            yield self._count(
                replace(
                    first,
                    model=stage.model,
                    host=stage.host,
                    error=None,
                    copies=tuple((original + later.place, item) for original, item in copies),
                    tokens=first.tokens if reads_paper(template) and first.paper else 0,
                    stage=later.stage,
                    depth=later.depth,
                    parent=number + later.parent,
                )
            )

    def _sort(self, asked: Bundle) -> tuple[tuple[int, ...], dict[int, list[tuple[int, tuple[int, int]]]]]:
        """Prompts to answer, and those that copy, by the bundle they copy from."""
        mark, file, prompts = _mark(asked), asked.file, asked.prompts
        originals = self._originals(mark) if mark in self._once else {}
        new: list[int] = []
        copies: dict[int, list[tuple[int, tuple[int, int]]]] = {}
        for index in prompts:
            instruction = self._instruction(index, file)
            if original := originals.get(instruction):
                copies.setdefault(original[0], []).append((index, original))
            else:
                originals[instruction] = (self.number, len(new))
                new.append(index)
        every = prompts if len(new) == len(prompts) else tuple(new)  # one tuple for all papers
        self._once.setdefault(mark, (self.number, file, every))
        return every, copies

    def _originals(self, mark: bytes) -> dict[str, tuple[int, int]]:
        """What has been asked about a paper, and where: (bundle, item) by instruction."""
        if mark not in self._again:
            number, file, prompts = self._once[mark]
            self._again[mark] = {
                self._instruction(index, file): (number, item) for item, index in enumerate(prompts)
            }
        return self._again[mark]

    def _instruction(self, index: int, file: str | None) -> str:
        prompt = self._manifest.prompts[index]
        if names_file(prompt):
            return render(prompt, file)
        if index not in self._fixed:
            self._fixed[index] = render(prompt, file)
        return self._fixed[index]

    def _count(self, bundle: Bundle) -> tuple[Bundle, str]:
        self.number += 1
        return bundle, bundle.queue


def _mark(bundle: Bundle) -> bytes:
    """Stands for what its answer keys share in a third of the bytes."""
    shared = (bundle.paper, bundle.model, bundle.stage, bundle.repeat)
    return hashlib.blake2b(repr(shared).encode(), digest_size=16).digest()
