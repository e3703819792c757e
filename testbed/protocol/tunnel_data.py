"""What goes through a UDP tunnel: packets behind a header of four bytes, and keepalives (RFC 3519 3.3, 4.8, 4.9).

A keepalive is an ICMP echo request to the home agent inside such a packet; its answer is an echo reply the same way
back. Fragments, checks of addresses and ports, and when to send one, are for the agents and the tunnels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import ClassVar

from testbed.errors import DecodeError
from testbed.protocol.fields import UINT8_MAX, UINT16_MAX, require_at_most
from testbed.protocol.icmp import require_icmp, with_checksum
from testbed.protocol.message_types import MessageType, require_message
from testbed.protocol.packets import PROTOCOL_ICMP, Ipv4Packet
from testbed.protocol.udp_tunnelling import TunnelledProtocol

_HEADER = struct.Struct("!BBH")
_ECHO = struct.Struct("!BBHHH")
_ECHO_REPLY, _ECHO_REQUEST = 0, 8


@dataclass(frozen=True, slots=True)
class TunnelData:
    """A packet in a UDP tunnel: {4, next header (1), reserved (2)}, then what ``next_header`` names (IP protocol)."""

    TYPE: ClassVar = MessageType.TUNNEL_DATA

    next_header: int
    payload: bytes
    reserved: int = 0

    def __post_init__(self) -> None:
        require_at_most(self.next_header, UINT8_MAX, "next header of the tunnel data")
        require_at_most(self.reserved, UINT16_MAX, "reserved field of the tunnel data")

    def encode(self) -> bytes:
        """The whole UDP payload."""
        return _HEADER.pack(self.TYPE, self.next_header, self.reserved) + self.payload

    @classmethod
    def decode(cls, udp_payload: bytes) -> TunnelData:
        """Read a whole UDP payload; DecodeError when it is not tunnel data. What is inside is not judged."""
        require_message(udp_payload, cls.TYPE, _HEADER.size)
        _, next_header, reserved = _HEADER.unpack_from(udp_payload)
        return cls(next_header, udp_payload[_HEADER.size :], reserved)


@dataclass(frozen=True, slots=True)
class Keepalive:
    """An ICMP echo request, or with ``is_answer`` the reply to one, as it goes through a UDP tunnel."""

    source: IPv4Address
    destination: IPv4Address
    identifier: int
    sequence: int
    is_answer: bool = False
    payload: bytes = b""

    def __post_init__(self) -> None:
        require_at_most(self.identifier, UINT16_MAX, "identifier of the keepalive")
        require_at_most(self.sequence, UINT16_MAX, "sequence number of the keepalive")

    def answer(self) -> Keepalive:
        """The reply to this request: addresses swapped, the rest as it came."""
        return Keepalive(self.destination, self.source, self.identifier, self.sequence, True, self.payload)

    def encapsulated(self) -> TunnelData:
        """The message on port 434."""
        icmp_type = _ECHO_REPLY if self.is_answer else _ECHO_REQUEST
        echo = with_checksum(_ECHO.pack(icmp_type, 0, 0, self.identifier, self.sequence) + self.payload)
        packet = Ipv4Packet(self.source, self.destination, PROTOCOL_ICMP, echo)
        return TunnelData(TunnelledProtocol.IPIP, packet.encode())


def keepalive_in(message: TunnelData) -> Keepalive | None:
    """The keepalive in ``message``, or None where it holds anything else, damaged keepalives included."""
    if message.next_header != TunnelledProtocol.IPIP:
        return None
    try:
        packet = Ipv4Packet.decode(message.payload)
        if packet.protocol != PROTOCOL_ICMP or packet.is_fragment or packet.payload[:1] not in (b"\x00", b"\x08"):
            return None
        icmp_type = packet.payload[0]
        require_icmp(packet.payload, icmp_type, (0,), _ECHO.size)
    except DecodeError:
        return None
    _, _, _, identifier, sequence = _ECHO.unpack_from(packet.payload)
    return Keepalive(
        packet.source,
        packet.destination,
        identifier,
        sequence,
        icmp_type == _ECHO_REPLY,
        packet.payload[_ECHO.size :],
    )
