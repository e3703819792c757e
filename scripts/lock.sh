#!/usr/bin/env bash
# Resolves pyproject.toml into requirements.lock: exact versions for every Python from 3.11 on, with the hashes of all
# files of each. Where the files come from is left to the configuration of whoever installs them.
#
#   scripts/lock.sh             keeps the versions that are in the lock and still fit
#   scripts/lock.sh --upgrade   takes the newest
set -euo pipefail
cd "$(dirname "$0")/.."

resolver=$(mktemp -d)
trap 'rm -rf "$resolver"' EXIT
python3 -m venv "$resolver"
"$resolver/bin/pip" install --quiet --disable-pip-version-check uv
"$resolver/bin/uv" pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate --quiet --no-config \
    --custom-compile-command "make lock" --output-file requirements.lock "$@"
