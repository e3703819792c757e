"""Measuring in a private world of its own, so that one benchmark's leftovers cannot slow the next one down."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TypeVar

from testbed.errors import LabError
from testbed.network.world import run_in_world

T = TypeVar("T")


def in_world(measure: Callable[[], T]) -> T:
    """What ``measure`` returns, called in a process in a new private world; it must be plain data (JSON).

    Raises ``LabError`` with what was raised there, ``MachineError`` where no world can be made.
    """
    reader, writer = os.pipe()

    def main() -> int:
        os.close(reader)
        answer = measure()
        with os.fdopen(writer, "w") as report:
            json.dump(answer, report)
        return 0

    try:
        status = run_in_world(main)
    finally:
        os.close(writer)
    with os.fdopen(reader) as report:
        text = report.read()
    if status or not text:
        raise LabError(f"a measurement broke off with status {status}; what it said is above")
    answer: T = json.loads(text)
    return answer
