"""How a mobile node hands its packets to the foreign agent that reverse tunnels them (RFC 3024 3.3): extension 130.

Without it the foreign agent is the default router and takes packets as they are; with it the mobile node encapsulates
what is to be tunnelled. It stands between mobile-home and mobile-foreign authentication, and the foreign agent
consumes it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from testbed.protocol.extensions import ExtensionType, unpack_extension

_LAYOUT = struct.Struct("!BB")


@dataclass(frozen=True, slots=True)
class EncapsulatingDelivery:
    """Type 130: {130, 0}."""

    @property
    def type(self) -> int:
        return ExtensionType.ENCAPSULATING_DELIVERY

    def encode(self) -> bytes:
        return _LAYOUT.pack(self.type, 0)

    @classmethod
    def decode(cls, extension: bytes) -> EncapsulatingDelivery:
        """Read a whole extension of type 130; DecodeError when it is not empty."""
        unpack_extension(_LAYOUT, extension)
        return cls()
