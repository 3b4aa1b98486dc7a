"""From papers to bundles: which items there are, and which share one answer. Pure."""

import hashlib
from collections.abc import Iterator

from tasks.intake.extract import Paper
from tasks.intake.prompts import names_file, render
from tasks.work import Bundle, Manifest, digest, queue_of

CHARACTERS_A_TOKEN = 4  # roughly, and only to compare papers
LAYOUT = 1  # of system text and prompt; a change makes other answers


def answer_key(
    paper_id: str | None, instruction: str, model: str | None, manifest: Manifest, stage: str
) -> str:
    """Everything that decides an answer. Two items with one key may share it."""
    p, layout = manifest.params, manifest.layout
    return digest(
        layout, paper_id, instruction, model, p.max_tokens, p.temperature, p.seed, p.overflow, stage, None
    )


def key_of(manifest: Manifest, bundle: Bundle, item: int) -> str:
    """The answer key of an item of a bundle."""
    instruction = render(manifest.prompts[bundle.prompts[item]], bundle.file)
    return answer_key(bundle.paper, instruction, bundle.model, manifest, "generate")


class Planner:
    """Hands out bundles in order, numbered from 0. Items whose answer key has come before in this run
    become copies, in bundles that wait for the original.

    Within a run, answer keys are equal where paper, model and instruction are. Most papers come once, so
    what is kept of each is where it was first asked about; instructions are compared when it comes again."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._models = manifest.models or (None,)
        self._once: dict[bytes, tuple[int, str | None, tuple[int, ...]]] = {}  # number, file and prompts
        self._again: dict[bytes, dict[str, tuple[int, int]]] = {}  # of what came twice, by instruction
        self._fixed: dict[int, str] = {}  # instructions that are the same for every file
        self.number = 0

    def paper(self, paper: Paper) -> Iterator[tuple[Bundle, str]]:
        """A paper's bundles, each with its queue."""
        every = tuple(range(len(self._manifest.prompts)))
        for model in self._models:
            if paper.error:
                error = (paper.error.kind, str(paper.error))
                yield self._count(Bundle(paper.name, None, model, every, error=error))
            else:
                tokens = len(paper.text or "") // CHARACTERS_A_TOKEN
                yield from self._bundles(paper.name, paper.id, model, every, tokens)

    def prompts(self) -> Iterator[tuple[Bundle, str]]:
        """Without papers: each prompt, for each model, is a bundle of one item."""
        for index in range(len(self._manifest.prompts)):
            for model in self._models:
                tokens = len(self._manifest.prompts[index].template) // CHARACTERS_A_TOKEN
                yield from self._bundles(None, None, model, (index,), tokens)

    def recall(self, bundle: Bundle) -> None:
        """Count a bundle that an interrupted submit has already added."""
        if not bundle.copies and not bundle.error:
            mark = _mark(bundle.paper, bundle.model)
            if mark in self._once:
                originals = self._originals(mark)
                for item, index in enumerate(bundle.prompts):
                    originals.setdefault(self._instruction(index, bundle.file), (self.number, item))
            else:
                self._once[mark] = self.number, bundle.file, bundle.prompts
        self.number += 1

    def _bundles(
        self, file: str | None, paper: str | None, model: str | None, prompts: tuple[int, ...], tokens: int
    ) -> Iterator[tuple[Bundle, str]]:
        new, copies = self._sort(file, paper, model, prompts)
        if new:
            yield self._count(Bundle(file, paper, model, new, tokens=tokens))
        for originals in copies.values():
            indices = tuple(index for index, _ in originals)
            pairs = tuple(pair for _, pair in originals)
            yield self._count(Bundle(file, paper, model, indices, copies=pairs))

    def _sort(
        self, file: str | None, paper: str | None, model: str | None, prompts: tuple[int, ...]
    ) -> tuple[tuple[int, ...], dict[int, list[tuple[int, tuple[int, int]]]]]:
        """Prompts to answer, and those that copy, by the bundle they copy from."""
        mark = _mark(paper, model)
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
        return bundle, queue_of(bundle.model)


def _mark(paper: str | None, model: str | None) -> bytes:
    """Stands for a paper and a model in a third of the bytes."""
    return hashlib.blake2b(repr((paper, model)).encode(), digest_size=16).digest()
