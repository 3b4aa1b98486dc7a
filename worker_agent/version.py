"""Which llmq this is, so that a result can say what made it."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


@cache
def llmq_version() -> str | None:
    """As installed; None in a bare checkout."""
    try:
        return version("llmq-fleet")
    except PackageNotFoundError:
        return None


@cache
def git_sha() -> str | None:
    """The commit of the checkout that this runs from, with `-dirty` where files differ from it; None where
    llmq is installed, or there is no git to ask."""
    if not (CHECKOUT / ".git").exists():
        return None
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.strip() or None


@cache
def python_version() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"
