"""Deadlines by key, the next one cheap to find: bindings, visitors and pending requests expire by it.

Times are monotonic seconds. A key has one deadline; setting it again moves it.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Deadlines(Generic[Key]):
    """A heap whose outdated entries are left in place and skipped: moving a deadline costs no search."""

    def __init__(self) -> None:
        self._at: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._serial = 0  # tells a key's present entry from its outdated ones, and keeps keys from being compared

    def set(self, key: Key, at_s: float) -> None:
        """``key`` is due at ``at_s``, whatever was set before."""
        self._serial += 1
        self._at[key] = (at_s, self._serial)
        heapq.heappush(self._heap, (at_s, self._serial, key))
        if len(self._heap) > 64 + 2 * len(self._at):
            self._heap = [(at, serial, live) for live, (at, serial) in self._at.items()]
            heapq.heapify(self._heap)

    def drop(self, key: Key) -> None:
        """``key`` is no longer due; unknown keys are ignored."""
        self._at.pop(key, None)

    def next(self) -> float | None:
        """The earliest deadline, or None if nothing is due ever."""
        while self._heap:
            at_s, serial, key = self._heap[0]
            if self._at.get(key) == (at_s, serial):
                return at_s
            heapq.heappop(self._heap)
        return None

    def due(self, now_s: float) -> list[Key]:
        """The keys whose deadline has come, earliest first; they are forgotten here."""
        keys = []
        while (at_s := self.next()) is not None and at_s <= now_s:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            keys.append(key)
        return keys


def earliest(*deadlines: float | None) -> float | None:
    """The first of several deadlines, any of which may be absent."""
    return min((at_s for at_s in deadlines if at_s is not None), default=None)
