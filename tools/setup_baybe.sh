#!/bin/sh
# Makes build/baybe, an environment of its own for BayBE (its torch takes some 5 GB): only `make benchmark-baybe` uses it.
set -eu
cd "$(dirname "$0")/.."
if uv --version >/dev/null 2>&1; then
    uv venv --quiet build/baybe
    uv pip install --quiet --python build/baybe/bin/python "baybe==0.15.0"
else
    "${PYTHON:-python3}" -m venv build/baybe
    build/baybe/bin/python -m pip install --quiet "baybe==0.15.0"
fi
