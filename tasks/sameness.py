"""Whether a submit asks what an open run asks.

To read a hundred thousand papers before the first is worked on would be late. So a run is found by what it
asks and the sizes of its files, and compared by the contents of as many as it has read."""

import hashlib
from collections.abc import Iterable

from tasks.intake.papers import PaperFile, digest_bytes
from tasks.intake.prompts import Prompt, names_file
from tasks.work import PROTOCOL, Manifest, digest


def shape(manifest: Manifest, files: tuple[PaperFile, ...]) -> str:
    """What two equal submits have in common, as far as it is known without reading the files."""
    later = (Prompt(stage.name, stage.template) for stage in manifest.stages if stage.template)
    named = any(map(names_file, (*manifest.prompts, *later)))
    papers = [(_size(file), file.name if named else None) for file in files]
    if manifest.bench:  # which hosts were up, and what they had, may be otherwise next time
        asked = [(one.name, one.template) for one in manifest.prompts]
        return digest(PROTOCOL, repr(manifest.bench), asked, repr(manifest.params))
    templates = [prompt.template for prompt in manifest.prompts]
    chain = [repr(manifest.stages), manifest.repeats] if manifest.stages or manifest.repeats > 1 else []
    return digest(PROTOCOL, papers, templates, manifest.models, repr(manifest.params), *chain)


class Contents:
    """The contents of files in their order, as one digest that grows with each."""

    def __init__(self, files: Iterable[PaperFile] = ()) -> None:
        self._sha = hashlib.sha256()
        for file in files:
            self.add(file)

    def add(self, file: PaperFile) -> None:
        self._sha.update(_digest_or_path(file).encode())

    @property
    def digest(self) -> str:
        return self._sha.hexdigest()


def _size(file: PaperFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:  # it ends as a failed result of its own
        return -1


def _digest_or_path(file: PaperFile) -> str:
    try:
        return digest_bytes(file.path)
    except OSError:
        return f"unreadable {file.path}"
