"""Saying that one takes part in revocation (RFC 3543 3.2): extension 137 of requests and replies.

Its timestamp starts the order in which revocations of this registration must come (``revocation_order``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from testbed.protocol.extensions import ExtensionType, unpack_extension
from testbed.protocol.fields import UINT16_MAX, UINT32_MAX, require_at_most

_LAYOUT = struct.Struct("!BBHI")
_LENGTH = 6


class RevocationSupportFlags(IntFlag):
    """The flags; the fifteen bits below are reserved."""

    INFORM = 0x8000  # I: the bit of that name in revocations is understood


@dataclass(frozen=True, slots=True)
class RevocationSupport:
    """Type 137: {137, 6, I and reserved (2), timestamp (4)}."""

    flags: RevocationSupportFlags
    timestamp: int

    def __post_init__(self) -> None:
        require_at_most(self.flags, UINT16_MAX, "flags of revocation support")
        require_at_most(self.timestamp, UINT32_MAX, "timestamp of revocation support")

    @property
    def type(self) -> int:
        return ExtensionType.REVOCATION_SUPPORT

    def encode(self) -> bytes:
        return _LAYOUT.pack(self.type, _LENGTH, self.flags, self.timestamp)

    @classmethod
    def decode(cls, extension: bytes) -> RevocationSupport:
        """Read a whole extension of type 137; DecodeError when its length is not 6."""
        _, _, flags, timestamp = unpack_extension(_LAYOUT, extension)
        return cls(RevocationSupportFlags(flags), timestamp)
