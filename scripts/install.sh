#!/usr/bin/env bash
# Makes or refreshes an environment.   scripts/install.sh VENV WHAT...
# WHAT goes to pip as it is, after torch.
#
#   LOCK         the versions to use (default: constraints.txt)
#   TORCH        another torch than the lock's, as a range: '==2.14.1' or '>=2.13'
#   PYTHON       the interpreter to use (default: the first of python3, python3.13 ... >= 3.11)
#   TORCH_INDEX  where to look for torch beside pip's own index.
#
# Why TORCH_INDEX: the lock says only `torch==X`, with no local tag, so that one lock serves all
# machines. What that means is up to the index. On Linux x86_64 the common default index serves
# the CUDA build (gigabytes), which is right with an NVIDIA device and waste without one. PyTorch
# publishes an index of CPU wheels; its address is in PyTorch's own install guide and is not
# written here, so that mirrors and offline machines are served alike. pip ranks `X+cpu` above
# `X`, so naming the CPU index is enough. With an NVIDIA device TORCH_INDEX is not used.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
shift
started=$SECONDS

say() { printf '%s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

has_nvidia() {
    [ -e /dev/nvidia0 ] || { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }
}

step() { # step TITLE REMARK COMMAND...
    local title=$1 since=$SECONDS
    say "  installing $title$2 ..."
    shift 2
    "$@" || die "could not install $title; the lines above say why"
    say "  $title: $((SECONDS - since)) s"
}

# An environment that was moved or half made is made again.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python) || die "Basin needs Python 3.11 or newer${PYTHON:+, and $PYTHON is not}; install it or name one with PYTHON=/path/to/python3"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "this Python has no venv module; on Debian or Ubuntu: apt-get install python3-venv"
    rm -rf "$venv"
    say "$venv: Python $("$python" -c 'import platform; print(platform.python_version())')"
    "$python" -m venv "$venv" || die "could not make $venv"
fi

lock=${LOCK:-constraints.txt}
torch=(torch)
if [ -n "${TORCH:-}" ]; then
    grep -v '^torch==' "$lock" >"$venv/constraints.txt"
    echo "torch$TORCH" >>"$venv/constraints.txt"
    lock=$venv/constraints.txt
fi
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$lock")
remark=" (ordinary build: an NVIDIA device is here)"
if ! has_nvidia; then
    remark=" (CPU build: no NVIDIA device here)"
    if [ -n "${TORCH_INDEX:-}" ]; then
        torch+=(--extra-index-url "$TORCH_INDEX")
    elif [ "$(uname -sm)" = "Linux x86_64" ]; then
        remark=" (no NVIDIA device here: if this fetches gigabytes, set TORCH_INDEX to PyTorch's CPU wheel index)"
    fi
fi
step torch "$remark" "${pip[@]}" "${torch[@]}"
step "everything else" "" "${pip[@]}" "$@"
say "$venv is ready after $((SECONDS - started)) s"
