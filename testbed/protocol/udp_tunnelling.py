"""Asking for a tunnel through network address translation, and the answer (RFC 3519 3.1, 3.2): extensions 144 and 44.

What then goes through the tunnel is in ``tunnel_data``. Whether to ask, to assent or to refuse is for the agents.
Reserved bits are sent as zero; what others put there is kept and has no meaning.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from testbed.protocol.extensions import ExtensionType, unpack_extension
from testbed.protocol.fields import UINT8_MAX, UINT16_MAX, require_at_most

DEFAULT_KEEPALIVE_S = 110  # RFC 3519 4.8 and 4.9
LEAST_KEEPALIVE_S = 10

_REGULAR = 0  # the only subtype of either extension
_LENGTH = 6
_REQUEST = struct.Struct("!BBBBBBH")
_REPLY = struct.Struct("!BBBBHH")


class TunnelledProtocol(IntEnum):
    """What may stand in a UDP tunnel, by its IP protocol number."""

    IPIP = 4
    GRE = 47
    MINIMAL = 55


class UdpTunnelRequestFlags(IntFlag):
    """The flags of a request; the six bits below are reserved."""

    FORCED = 0x80  # even where no translation is found on the way
    THROUGH_FOREIGN_AGENT = 0x40  # R: the foreign agent demands registration through it


class UdpTunnelReplyFlags(IntFlag):
    """The flags of a reply; the fifteen bits below are reserved."""

    FORCED = 0x8000


class UdpTunnelCode(IntEnum):
    """Whether the home agent assents."""

    ASSENTED = 0
    DECLINED = 64


@dataclass(frozen=True, slots=True)
class UdpTunnelRequest:
    """Type 144: {144, 6, 0, reserved 1 (1), F R and reserved 2 (1), encapsulation (1), reserved 3 (2)}.

    ``encapsulation`` is an IP protocol number, known or not: an unknown one is refused by the home agent (code 142).
    """

    flags: UdpTunnelRequestFlags = UdpTunnelRequestFlags(0)
    encapsulation: int = TunnelledProtocol.IPIP
    reserved_1: int = 0
    reserved_3: int = 0

    def __post_init__(self) -> None:
        require_at_most(self.flags, UINT8_MAX, "flags of the UDP tunnel request")
        require_at_most(self.encapsulation, UINT8_MAX, "encapsulation of the UDP tunnel request")
        require_at_most(self.reserved_1, UINT8_MAX, "reserved field 1 of the UDP tunnel request")
        require_at_most(self.reserved_3, UINT16_MAX, "reserved field 3 of the UDP tunnel request")

    @property
    def type(self) -> int:
        return ExtensionType.UDP_TUNNEL_REQUEST

    def encode(self) -> bytes:
        return _REQUEST.pack(
            self.type, _LENGTH, _REGULAR, self.reserved_1, self.flags, self.encapsulation, self.reserved_3
        )

    @classmethod
    def decode(cls, extension: bytes) -> UdpTunnelRequest:
        """Read a whole extension of type 144 and subtype 0; DecodeError when its length is not 6."""
        _, _, _, reserved_1, flags, encapsulation, reserved_3 = unpack_extension(_REQUEST, extension)
        return cls(UdpTunnelRequestFlags(flags), encapsulation, reserved_1, reserved_3)


@dataclass(frozen=True, slots=True)
class UdpTunnelReply:
    """Type 44: {44, 6, 0, code (1), F and reserved (2), keepalive interval in seconds (2)}.

    ``keepalive_s`` 0 leaves the interval to the other side. A reply without this extension grants no UDP tunnel.
    """

    code: int = UdpTunnelCode.ASSENTED
    flags: UdpTunnelReplyFlags = UdpTunnelReplyFlags(0)
    keepalive_s: int = 0

    def __post_init__(self) -> None:
        require_at_most(self.code, UINT8_MAX, "code of the UDP tunnel reply")
        require_at_most(self.flags, UINT16_MAX, "flags of the UDP tunnel reply")
        require_at_most(self.keepalive_s, UINT16_MAX, "keepalive interval of the UDP tunnel reply")

    @property
    def type(self) -> int:
        return ExtensionType.UDP_TUNNEL_REPLY

    @property
    def assented(self) -> bool:
        """Whether there is to be a UDP tunnel; a code that we never heard of grants none."""
        return self.code == UdpTunnelCode.ASSENTED

    def encode(self) -> bytes:
        return _REPLY.pack(self.type, _LENGTH, _REGULAR, self.code, self.flags, self.keepalive_s)

    @classmethod
    def decode(cls, extension: bytes) -> UdpTunnelReply:
        """Read a whole extension of type 44 and subtype 0; DecodeError when its length is not 6."""
        _, _, _, code, flags, keepalive_s = unpack_extension(_REPLY, extension)
        return cls(code, UdpTunnelReplyFlags(flags), keepalive_s)
