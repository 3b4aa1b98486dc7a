"""Is there a wheel of every pinned package for every platform llmq names? Prints a table and what is missing.

Nobody should need a compiler to install llmq. Needs uv on the PATH; downloads only the index's metadata.

    python requirements/check_wheels.py [FILE...]        exit code 1 if something has no wheel
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FILES = ("base.txt", "master.txt", "dev.txt", "build.txt", "gpu.txt")
PYTHONS = ("3.11", "3.12", "3.13")
# Linux as old as glibc 2.28: Debian 10, Ubuntu 20.04, every 64-bit Raspberry Pi OS since.
PLATFORMS = {
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_28",
    "macOS arm64": "aarch64-apple-darwin",
}


def installable(lines: list[str], platform: str, python: str) -> bool:
    """Whether wheels alone satisfy the requirements on that platform (markers are those of the platform)."""
    command = ["uv", "pip", "compile", "-", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--python-platform", platform, "--python-version", python]
    return not subprocess.run(command, input="\n".join(lines), text=True, capture_output=True).returncode


def missing(lines: list[str], platform: str, python: str) -> list[str]:
    if installable(lines, platform, python):
        return []
    return [line for line in lines if not installable([line], platform, python)]


def pinned(file: Path) -> list[str]:
    """The `name==version ; marker` lines, without hashes."""
    return re.findall(r"^([A-Za-z0-9].*?)(?: \\)?$", file.read_text(), re.MULTILINE)


def main(names: list[str]) -> int:
    exceptions = []
    print("file (packages)", *(f"{name} {python}" for name in PLATFORMS for python in PYTHONS), sep=" | ")
    for name in names or FILES:
        lines = pinned(HERE / name)
        cells = []
        for platform, tag in PLATFORMS.items():
            for python in PYTHONS:
                without = missing(lines, tag, python)
                exceptions += [f"{name}: no wheel on {platform}, Python {python}: {line}" for line in without]
                cells.append(f"{len(without)} missing" if without else "all")
        print(f"{name} ({len(lines)})", *cells, sep=" | ")
    print(*(exceptions or ["every package has a wheel everywhere"]), sep="\n")
    return 1 if exceptions else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
