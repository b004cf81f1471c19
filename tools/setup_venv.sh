#!/bin/sh
# Makes .venv and installs into it the locked packages and then this project. `make` runs this; it can be run again
# at any time, and continues where an interrupted run stopped.
#
#   PYTHON   the interpreter to build on (default: the first of python3, python3.13, ... that is new enough)
#
# uv installs the packages, in a tenth of pip's time: the one on the PATH, or one that pip brings into .venv. Where it
# cannot (a mirror that only pip is told of), pip does; both install the same files, checked by hash.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
candidates="python3 python3.13 python3.12 python3.11 python3.14 python"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 2; }
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || echo "not a working Python"; }
has_uv() { uv --version >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 || fail "PYTHON=$PYTHON: no such program"
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is $(version_of "$PYTHON"); Python 3.11 or newer is needed"
        return
    fi
    for candidate in $candidates; do
        if is_new_enough "$candidate"; then
            PYTHON=$candidate
            return
        fi
    done
    if has_uv; then
        PYTHON='>=3.11' # uv looks further than the PATH, and can fetch an interpreter
        return
    fi
    found="no Python was found"
    if command -v python3 >/dev/null 2>&1; then found="python3 is $(version_of python3)"; fi
    fail "Python 3.11 or newer is needed, but $found. Install one (Debian, Ubuntu: apt install python3 python3-venv;" \
        "macOS: brew install python; or conda, or uv), or say where it is: make PYTHON=/path/to/python3.12"
}

make_venv() {
    find_python
    if has_uv; then
        say "making $venv with uv ($PYTHON)"
        uv venv --quiet --clear --python "$PYTHON" "$venv"
        return
    fi
    version=$(version_of "$PYTHON")
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || fail "$PYTHON ($version) has no venv and ensurepip modules." \
        "Debian and Ubuntu keep them in a package of their own: apt install python${version%.*}-venv"
    say "making $venv with $PYTHON ($version)"
    "$PYTHON" -m venv --clear "$venv"
}

# What is there is kept if it runs, is new enough, and has an installer to go with it.
has_pip() { "$venv/bin/python" -m pip --version >/dev/null 2>&1; }
is_usable() {
    is_new_enough "$venv/bin/python" || return 1
    has_uv || has_pip
}

quiet=-qq
if [ -t 1 ]; then quiet=; fi # progress on a terminal; in a log, errors alone
# shellcheck disable=SC2086  # no word at all where it is empty
with_pip() {
    "$venv/bin/python" -m pip install $quiet --disable-pip-version-check --no-input --no-deps \
        --use-pep517 --no-build-isolation "$@"
}
# shellcheck disable=SC2086
install() {
    if "$uv" pip install $quiet --python "$venv/bin/python" --no-deps --no-build-isolation "$@"; then return; fi
    has_pip || exit 1
    say "uv could not install them; pip tries it with its own settings"
    with_pip "$@"
}

unset PIP_USER PIP_TARGET PIP_PREFIX # they would send the packages past the environment
is_usable || make_venv
say "installing $(grep -c '==' requirements/all.lock) pinned packages (some 500 MB to fetch the first time)"
# The build backend goes first, and --no-build-isolation keeps to it: nothing that is not in a lock is fetched.
uv=uv
if has_uv; then
    install --require-hashes -r requirements/build.lock
else
    with_pip --require-hashes -r requirements/build.lock
    uv=$venv/bin/uv
fi
install --require-hashes -r requirements/all.lock
install --no-index --editable .
say "installed: $venv/bin/nasicon-ml"
