"""Replay protection of revocations: timestamps of 32 bits that only grow, and the A bit (RFC 3543 3.2, 3.3, 5).

Each end of a registration stamps its support extension and its revocations off one clock. The receiver accepts a
revocation only if it is newer than the registration and than any revocation before, and only if bit A says that it
comes from the other side: else one's own revocation could be sent back. RFC 3543 leaves the unit open; ours are
seconds since 1900, one more where the second is taken. Differences are taken modulo 2^32.
"""

from __future__ import annotations

from enum import Enum

from testbed.protocol.fields import UINT32_MAX
from testbed.protocol.identification import ntp_timestamp
from testbed.protocol.revocation import Revocation

_CIRCLE = UINT32_MAX + 1


class RevocationVerdict(Enum):
    """What the receiver makes of a revocation whose authenticator is right; all but OK are silently discarded."""

    OK = "ok"
    REFLECTED = "reflected"  # bit A says that it was sent by an agent of the receiver's own kind
    REPLAYED = "replayed"  # not newer than the registration or an earlier revocation
    UNEXPECTED = "unexpected"  # the sender never said, in this registration, that it takes part


class RevocationStamps:
    """The sender's side, for one registration: timestamps and identifiers, each newer than the one before."""

    def __init__(self) -> None:
        self._latest: int | None = None

    def next(self, clock_s: float) -> int:
        """The stamp of a support extension or a revocation sent at Unix time ``clock_s``; a retransmission is new."""
        stamp = ntp_timestamp(clock_s) >> 32
        if self._latest is not None and not _is_newer(stamp, self._latest):
            stamp = (self._latest + 1) % _CIRCLE
        self._latest = stamp
        return stamp


class RevocationReplayProtection:
    """The receiver's side, for one registration; ``is_home_agent`` says which kind of agent the receiver is."""

    def __init__(self, *, is_home_agent: bool) -> None:
        self._is_home_agent = is_home_agent
        self._newest: int | None = None

    def registered(self, timestamp: int) -> None:
        """The other side's support extension, in a registration that was accepted, has this timestamp."""
        self._newest = timestamp

    def check(self, revocation: Revocation) -> RevocationVerdict:
        """Judge a revocation whose authenticator is right; changes nothing."""
        if revocation.from_home_agent is self._is_home_agent:
            return RevocationVerdict.REFLECTED
        if self._newest is None:
            return RevocationVerdict.UNEXPECTED
        return RevocationVerdict.OK if _is_newer(revocation.identifier, self._newest) else RevocationVerdict.REPLAYED

    def accept(self, revocation: Revocation) -> None:
        """This revocation was found to be OK and is followed: it will not be so again."""
        self._newest = revocation.identifier


def _is_newer(later: int, earlier: int) -> bool:
    return 0 < (later - earlier) % _CIRCLE < _CIRCLE // 2
