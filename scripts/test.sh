#!/usr/bin/env bash
# What `make test` runs, the quick parts first; stops at the first that fails. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

stage() { echo "== $(date +%T) $*"; }
as_root=()
if [[ $(id -u) -ne 0 ]] && command -v sudo >/dev/null; then as_root=(sudo); fi

stage ruff check
.venv/bin/ruff check .
stage ruff format --check
.venv/bin/ruff format --check .
stage mypy --strict
.venv/bin/mypy
stage "eBPF object: rebuild and compare"
.venv/bin/python -m testbed.tunnels.build --check
stage pytest
# Nothing of the tests reaches the host: they run in the private world. No cache folder: root's files would be in an
# ordinary user's way the next time.
"${as_root[@]}" env TESTBED_STAGE="the kernel at hand" PYTHONUNBUFFERED=1 \
    .venv/bin/python -m testbed.network.world "$PWD/.venv/bin/python" -m pytest -p no:cacheprovider "$@"
