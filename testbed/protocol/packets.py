"""What lies below the messages: IPv4, UDP and the Internet checksum; Ethernet and ARP come from ``link_layer``.

Enough to put a message into a frame and to get it out of one, strictly: a length or checksum that does not hold is a
DecodeError. Bytes behind the length that a header names are padding of the link and are dropped; apart from them
``decode(b).encode() == b``. Fragments are not put together, tunnels not opened; evidence of what passes on the wire is
read elsewhere, by other code.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.fields import UINT8_MAX, UINT16_MAX, require_at_most
from testbed.protocol.link_layer import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ArpMessage,
    ArpOperation,
    EthernetFrame,
    MacAddress,
)

__all__ = [
    "ETHERTYPE_ARP",
    "ETHERTYPE_IPV4",
    "PROTOCOL_ICMP",
    "PROTOCOL_IPIP",
    "PROTOCOL_UDP",
    "ArpMessage",
    "ArpOperation",
    "EthernetFrame",
    "Ipv4Packet",
    "MacAddress",
    "UdpDatagram",
    "internet_checksum",
]

PROTOCOL_ICMP = 1
PROTOCOL_IPIP = 4
PROTOCOL_UDP = 17

_IPV4 = struct.Struct("!BBHHHBBHII")
_MOST_OPTIONS = 40
_RESERVED_FLAG, _DONT_FRAGMENT, _MORE_FRAGMENTS, _OFFSET_MASK = 0x8000, 0x4000, 0x2000, 0x1FFF
_UDP = struct.Struct("!HHHH")
_PSEUDO_HEADER = struct.Struct("!IIHH")


def internet_checksum(octets: bytes) -> int:
    """The 16-bit one's complement of the one's complement sum of ``octets`` (RFC 1071).

    The sum of 16-bit words with carries added back in is the number itself modulo 0xffff, with 0 for nothing but
    zeros and 0xffff otherwise: one division instead of a loop.
    """
    number = int.from_bytes(octets, "big")
    if len(octets) % 2:
        number <<= 8
    folded = number % 0xFFFF
    return 0xFFFF if number == 0 else (0xFFFF - folded) % 0xFFFF


@dataclass(frozen=True, slots=True)
class Ipv4Packet:
    """An IPv4 packet (RFC 791); ``fragment_offset`` counts 8 bytes each, ``options`` is a multiple of 4 bytes."""

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    payload: bytes
    ttl: int = 64
    identification: int = 0
    tos: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    options: bytes = b""

    def __post_init__(self) -> None:
        require_at_most(self.protocol, UINT8_MAX, "IPv4 protocol")
        require_at_most(self.ttl, UINT8_MAX, "TTL")
        require_at_most(self.identification, UINT16_MAX, "IPv4 identification")
        require_at_most(self.tos, UINT8_MAX, "type of service")
        require_at_most(self.fragment_offset, _OFFSET_MASK, "fragment offset")
        if len(self.options) > _MOST_OPTIONS or len(self.options) % 4:
            raise EncodeError(f"IPv4 options have {len(self.options)} bytes, expected a multiple of 4 up to 40")
        require_at_most(_IPV4.size + len(self.options) + len(self.payload), UINT16_MAX, "total length")

    @property
    def is_fragment(self) -> bool:
        """Whether it holds only a part of what was sent."""
        return self.more_fragments or self.fragment_offset > 0

    def encode(self) -> bytes:
        """The whole packet, header checksum included."""
        return self._header(internet_checksum(self._header(0))) + self.payload

    def _header(self, checksum: int) -> bytes:
        header_length = _IPV4.size + len(self.options)
        flags = self.dont_fragment * _DONT_FRAGMENT | self.more_fragments * _MORE_FRAGMENTS
        fixed = _IPV4.pack(
            0x40 | header_length // 4,
            self.tos,
            header_length + len(self.payload),
            self.identification,
            flags | self.fragment_offset,
            self.ttl,
            self.protocol,
            checksum,
            int(self.source),
            int(self.destination),
        )
        return fixed + self.options

    @classmethod
    def decode(cls, octets: bytes) -> Ipv4Packet:
        """Read the payload of a frame; DecodeError when version, a length, a flag or the checksum does not hold."""
        if len(octets) < _IPV4.size:
            raise DecodeError(f"an IPv4 packet has {len(octets)} bytes, expected at least {_IPV4.size}")
        first, tos, total_length, identification, flags, ttl, protocol, checksum, source, destination = (
            _IPV4.unpack_from(octets)
        )
        header_length = (first & 0x0F) * 4
        if first >> 4 != 4 or header_length < _IPV4.size:
            raise DecodeError(f"an IP packet begins with {first:#04x}, expected version 4 and a header of 20 bytes up")
        if not header_length <= total_length <= len(octets):
            raise DecodeError(f"IPv4 total length is {total_length}, expected {header_length}..{len(octets)}")
        if flags & _RESERVED_FLAG:
            raise DecodeError("the reserved flag of an IPv4 packet is set, expected zero (RFC 791 3.1)")
        expected = internet_checksum(octets[:10] + bytes(2) + octets[12:header_length])
        if checksum != expected:
            raise DecodeError(f"IPv4 header checksum is {checksum:#06x}, expected {expected:#06x}")
        return cls(
            IPv4Address(source),
            IPv4Address(destination),
            protocol,
            octets[header_length:total_length],
            ttl,
            identification,
            tos,
            bool(flags & _DONT_FRAGMENT),
            bool(flags & _MORE_FRAGMENTS),
            flags & _OFFSET_MASK,
            octets[_IPV4.size : header_length],
        )


@dataclass(frozen=True, slots=True)
class UdpDatagram:
    """A UDP datagram (RFC 768); ``has_checksum`` False is the checksum field zero: the sender computed none."""

    source_port: int
    destination_port: int
    payload: bytes
    has_checksum: bool = True

    def __post_init__(self) -> None:
        require_at_most(self.source_port, UINT16_MAX, "UDP source port")
        require_at_most(self.destination_port, UINT16_MAX, "UDP destination port")
        require_at_most(_UDP.size + len(self.payload), UINT16_MAX, "UDP length")

    def encode(self, source: IPv4Address, destination: IPv4Address) -> bytes:
        """The whole datagram; the addresses of the packet around it are part of the checksum."""
        length = _UDP.size + len(self.payload)
        ports_and_length = (self.source_port, self.destination_port, length)
        if not self.has_checksum:
            return _UDP.pack(*ports_and_length, 0) + self.payload
        unsummed = _UDP.pack(*ports_and_length, 0) + self.payload
        return _UDP.pack(*ports_and_length, _udp_checksum(unsummed, source, destination)) + self.payload

    @classmethod
    def decode(
        cls, octets: bytes, source: IPv4Address, destination: IPv4Address, *, checksum_ready: bool = True
    ) -> UdpDatagram:
        """Read the payload of an IPv4 packet; DecodeError when its length or its checksum does not hold.

        Checksum zero is accepted (rule M7). ``checksum_ready`` False: a local sender left the checksum to a device
        that the packet never met, so that the field says nothing; it is not looked at.
        """
        if len(octets) < _UDP.size:
            raise DecodeError(f"a UDP datagram has {len(octets)} bytes, expected at least {_UDP.size}")
        source_port, destination_port, length, checksum = _UDP.unpack_from(octets)
        if not _UDP.size <= length <= len(octets):
            raise DecodeError(f"UDP length is {length}, expected {_UDP.size}..{len(octets)}")
        if checksum and checksum_ready:
            expected = _udp_checksum(octets[:6] + bytes(2) + octets[8:length], source, destination)
            if checksum != expected:
                raise DecodeError(f"UDP checksum is {checksum:#06x}, expected {expected:#06x}")
        return cls(source_port, destination_port, octets[_UDP.size : length], has_checksum=checksum != 0)


def _udp_checksum(unsummed: bytes, source: IPv4Address, destination: IPv4Address) -> int:
    """The checksum of a datagram whose checksum field is zero; a sum of zero is sent as 0xffff (RFC 768)."""
    pseudo_header = _PSEUDO_HEADER.pack(int(source), int(destination), PROTOCOL_UDP, len(unsummed))
    return internet_checksum(pseudo_header + unsummed) or 0xFFFF
