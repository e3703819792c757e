"""The front door: ``python3 -m testbed`` with whatever Python the user has, and the console script ``testbed``.

Where the dependencies are not there, the same command goes on in the checkout's ``.venv``; where there is none, one
line says which command makes it. Everything else is left to :mod:`testbed.cli.app`.

This file is read by Pythons that are too old for the rest of the package, so its syntax is that of Python 3.6.
"""

import os
import re
import sys

OLDEST_PYTHON = (3, 11)
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(CHECKOUT, ".venv")
# As in pyproject.toml (a test compares). Distributions package some of these in versions that are too old.
DEPENDENCIES = {"mininet": "2.3.0", "pyroute2": "0.9.5", "rich": "13", "scapy": "2.6", "typer": "0.12"}
CANNOT_RUN_HERE = 3


def main() -> int:
    """Run the command line; returns its exit code (3: this machine, or this Python, cannot run it)."""
    if sys.version_info < OLDEST_PYTHON:
        major, minor = sys.version_info[:2]
        return _go_on_in_venv(f"Python {major}.{minor} is too old, 3.11 is the oldest that will do")
    missing = [name for name in sorted(DEPENDENCIES) if not _is_installed(name, DEPENDENCIES[name])]
    if missing:
        return _go_on_in_venv("{} lacks {}".format(sys.executable, ", ".join(missing)))
    from testbed.cli.app import main as run_command_line

    return run_command_line()


def _is_installed(name: str, oldest: str) -> bool:
    """Whether the distribution is there in a version that is not older; imports nothing of it."""
    from importlib import metadata

    try:
        return _numbers(metadata.version(name)) >= _numbers(oldest)
    except metadata.PackageNotFoundError:
        return False


def _numbers(version: str) -> "list[int]":
    """``2.3.0.dev6`` as [2, 3, 0]."""
    digits = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in digits.group().split(".")] if digits else []


def _go_on_in_venv(reason: str) -> int:
    """Replace this process by the checkout's own Python; returns only when there is none that could do better."""
    python = os.path.join(VENV, "bin", "python")
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV) and os.access(python, os.X_OK):
        os.execv(python, [python, "-m", "testbed", *sys.argv[1:]])
    print(f"testbed: {reason}; run this first: make -C {CHECKOUT} setup", file=sys.stderr)
    return CANNOT_RUN_HERE


if __name__ == "__main__":
    sys.exit(main())
