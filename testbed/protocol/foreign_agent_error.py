"""A foreign agent's note to the mobile node on a reply that the home agent authenticated (RFC 4636): extension 45.

The foreign agent cannot change the code of such a reply; it appends why it does not go along. It stands behind the
mobile-home authentication and before the mobile-foreign one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from testbed.protocol.extensions import ExtensionType, unpack_extension
from testbed.protocol.fields import UINT8_MAX, require_at_most
from testbed.protocol.reply_codes import reply_code

_LAYOUT = struct.Struct("!BBBB")
_LENGTH = 2
_REGULAR = 0  # the only subtype


@dataclass(frozen=True, slots=True)
class ForeignAgentError:
    """Type 45: {45, 2, 0, status (1)}; ``status`` is a ReplyCode where it has a name, else the plain number."""

    status: int

    def __post_init__(self) -> None:
        require_at_most(self.status, UINT8_MAX, "status of the foreign agent error")

    @property
    def type(self) -> int:
        return ExtensionType.FOREIGN_AGENT_ERROR

    def encode(self) -> bytes:
        return _LAYOUT.pack(self.type, _LENGTH, _REGULAR, self.status)

    @classmethod
    def decode(cls, extension: bytes) -> ForeignAgentError:
        """Read a whole extension of type 45 and subtype 0; DecodeError when its length is not 2."""
        _, _, _, status = unpack_extension(_LAYOUT, extension)
        return cls(reply_code(status))
