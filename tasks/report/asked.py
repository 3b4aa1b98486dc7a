"""What stands beside each other and was not asked alike: other parameters, or another file under one model's
name. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from tasks.report.sample import PARAMS, Sample
from tasks.report.wording import some

SHOWN_CHARS = 12  # of a digest


def not_alike(samples: Iterable[Sample]) -> Iterator[str]:
    """Notes on samples of like terms."""
    answered = [sample for sample in samples if sample.requests]
    for name in PARAMS:
        values = sorted({value for sample in answered for known, value in sample.asked if known == name})
        if len(values) > 1:
            said = " and ".join(f"{value:g}" for value in values)
            yield f"asked with --{name.replace('_', '-')} {said}: other answers, and other times for it"
    for model in sorted({model for sample in answered for model, _ in sample.files}):
        files = sorted({digest for sample in answered for known, digest in sample.files if known == model})
        if len(files) > 1:
            yield f"{model} is not one file: {'; '.join(_whose(answered, model, one) for one in files)}"


def _whose(samples: Sequence[Sample], model: str, digest: str) -> str:
    """`3f9a51c07d2e on mac-1, mac-2`"""
    names = sorted(
        sample.cell.host or sample.cell.who for sample in samples if (model, digest) in sample.files
    )
    return f"{digest.removeprefix('sha256:')[:SHOWN_CHARS]} on {some(list(dict.fromkeys(names)))}"
