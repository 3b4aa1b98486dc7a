"""The files of configs/, found by name: those of the working folder, and those that come with llmq, in a
checkout as in an installed wheel."""

from pathlib import Path

OURS = Path(__file__).parents[1] / "configs"


def find(kind: str, word: str) -> Path | None:
    """The file that a person means. A path is that file; one below configs/ that is not in the working folder
    is ours. A name stands for a file of configs/KIND. None: there is no such name."""
    path = Path(word)
    if path.suffix == ".toml" or len(path.parts) > 1 or path.is_file():
        ours = OURS.parent / path
        return ours if path.parts[:1] == (OURS.name,) and ours.is_file() and not path.exists() else path
    return next((one for one in files(kind) if one.stem == word), None)


def files(kind: str) -> list[Path]:
    """All there are; those of the working folder go before ours."""
    folders = (Path(OURS.name) / kind, OURS / kind)
    return [path for folder in folders for path in sorted(folder.glob("*.toml"))]
