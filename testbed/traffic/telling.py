"""What the traffic programs have in common: JSON lines on standard output, and an orderly end on SIGTERM."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

LONGEST_WAIT_S = 0.05  # how late a program may notice that it shall end

Address = tuple[str, int]  # address and port, as sockets take them


def tell(event: str, **facts: Any) -> None:
    """One line; ``monotonic_ns`` is when it was written."""
    line = json.dumps({"monotonic_ns": time.monotonic_ns(), "event": event, **facts})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Ending:
    """Becomes true with the first SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked
