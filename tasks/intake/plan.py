"""From papers to bundles: which items there are, and which share one answer. Pure."""

from collections.abc import Iterator

from tasks.intake.extract import Paper
from tasks.intake.prompts import render
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
    become copies, in bundles that wait for the original."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._models = manifest.models or (None,)
        self._first: dict[str, tuple[int, int]] = {}
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
            for item in range(len(bundle.prompts)):
                self._first.setdefault(key_of(self._manifest, bundle, item), (self.number, item))
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
        new: list[int] = []
        copies: dict[int, list[tuple[int, tuple[int, int]]]] = {}
        for index in prompts:
            key = self._key(file, paper, model, index)
            if key in self._first:
                copies.setdefault(self._first[key][0], []).append((index, self._first[key]))
            else:
                self._first[key] = (self.number, len(new))
                new.append(index)
        return tuple(new), copies

    def _key(self, file: str | None, paper: str | None, model: str | None, index: int) -> str:
        instruction = render(self._manifest.prompts[index], file)
        return answer_key(paper, instruction, model, self._manifest, "generate")

    def _count(self, bundle: Bundle) -> tuple[Bundle, str]:
        self.number += 1
        return bundle, queue_of(bundle.model)
