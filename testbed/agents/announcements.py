"""Gratuitous ARPs that are said more than once: a frame may be lost, so RFC 5944 section 4.6 wants it repeated."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.agents.actions import AnnounceAddress
from testbed.agents.deadlines import Deadlines

REPETITIONS = 2
REPETITION_INTERVAL_S = 1.0


class Announcements:
    """The latest announcement of each address, repeated until it is withdrawn or replaced."""

    def __init__(self) -> None:
        self._left: dict[IPv4Address, tuple[AnnounceAddress, int]] = {}
        self._deadlines: Deadlines[IPv4Address] = Deadlines()

    def announce(self, now_s: float, announcement: AnnounceAddress) -> AnnounceAddress:
        """Say it now, and :data:`REPETITIONS` times more later."""
        self._schedule(now_s, announcement, REPETITIONS)
        return announcement

    def withdraw(self, address: IPv4Address) -> None:
        """What was said of ``address`` no longer holds: no more repetitions."""
        self._left.pop(address, None)
        self._deadlines.drop(address)

    def due(self, now_s: float) -> list[AnnounceAddress]:
        """The repetitions whose time has come."""
        repeated = []
        for address in self._deadlines.due(now_s):
            announcement, left = self._left.pop(address)
            repeated.append(announcement)
            self._schedule(now_s, announcement, left - 1)
        return repeated

    def deadline(self) -> float | None:
        return self._deadlines.next()

    def _schedule(self, now_s: float, announcement: AnnounceAddress, left: int) -> None:
        self.withdraw(announcement.address)
        if left > 0:
            self._left[announcement.address] = (announcement, left)
            self._deadlines.set(announcement.address, now_s + REPETITION_INTERVAL_S)
