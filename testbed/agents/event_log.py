"""What an agent tells about itself: JSON lines on a descriptor, one an event, with monotonic nanoseconds.

It is told for logs and reports. Nobody's verdict rests on it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping

from testbed.agents.limits import TokenBucket

DISCARDS_PER_S = 50.0
DISCARD_BURST = 200


class EventLog:
    """Writes events; of discarded packets no more than whoever reads can be expected to, as they may come in floods."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._discards = TokenBucket(DISCARDS_PER_S, DISCARD_BURST)
        self._suppressed = 0

    def write(self, event: str, fields: Mapping[str, object]) -> None:
        """Write one event; ``suppressed`` in it counts the discards before it that were not told.

        :raises BrokenPipeError: nobody reads any more.
        """
        now_ns = time.monotonic_ns()
        if event.endswith("_discarded") and not self._discards.take(now_ns / 1e9):
            self._suppressed += 1
            return
        told = {"monotonic_ns": now_ns, "event": event, **fields}
        if self._suppressed:
            told["suppressed"] = self._suppressed
            self._suppressed = 0
        line = json.dumps(told, default=str).encode() + b"\n"
        while line:
            line = line[os.write(self._fd, line) :]
