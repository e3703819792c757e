"""Tests that run in a private world of their own: a fresh root namespace each, and nothing left when they end."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from typing import ParamSpec

import pytest

from testbed.network.world import run_in_world

P = ParamSpec("P")
_LONGEST_REPORT = 60_000  # bytes; a pipe takes this much without a reader


def in_world(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test function, with the fixtures it asked for, inside a new private world."""

    @functools.wraps(test)
    def outside(*arguments: P.args, **fixtures: P.kwargs) -> None:
        reader, writer = os.pipe()

        def main() -> int:
            try:
                test(*arguments, **fixtures)
            except pytest.skip.Exception as skipped:
                os.write(writer, f"skip\n{skipped}".encode())
            except BaseException:  # noqa: BLE001 - reported by the process that pytest runs in
                os.write(writer, f"fail\n{traceback.format_exc()}".encode()[:_LONGEST_REPORT])
            else:
                return 0
            return 1

        status = run_in_world(main)
        os.close(writer)
        with os.fdopen(reader) as report:
            kind, _, text = report.read().partition("\n")
        if kind == "skip":
            pytest.skip(text)
        if kind == "fail" or status:
            pytest.fail(text or f"the test's process ended with status {status}", pytrace=False)

    return outside
