"""From the bytes of a frame to its headers: Ethernet, ARP, a chain of IPv4 headers, UDP, TCP, ICMP.

Written for speed (a run has tens of thousands of frames) and for hostile input: no byte string makes it raise. What
does not hold is said in ``Layers.malformed`` and dissection stops there. It is no judge of Mobile IP messages (that is
``mobile_ip.py``) and knows nothing of nodes, files or times (that is ``packets.py``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806

PROTOCOL_ICMP = 1
PROTOCOL_IPIP = 4
PROTOCOL_TCP = 6
PROTOCOL_UDP = 17
PROTOCOL_NAMES = {1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 47: "GRE", 55: "MINIMAL"}

# libpcap link types (pcap-linktype(7)): plain Ethernet, and bare IPv4 as it is captured on ipip and tun devices.
LINKTYPE_ETHERNET = 1
LINKTYPES_RAW = (12, 101, 228)

_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_UDP = struct.Struct("!HHHH")
_TCP = struct.Struct("!HHIIBBHH")
_ICMP = struct.Struct("!BBH4s")

_DEEPEST_CHAIN = 8  # a hostile packet of nested headers must not cost more than this


class Ipv4Header(NamedTuple):
    """One IPv4 header. Offsets count bytes from the start of the frame."""

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    identification: int
    ttl: int
    tos: int
    flags_and_fragment: int
    total_length: int
    checksum: int
    offset: int
    payload_offset: int
    end: int  # first byte after the packet, or the end of the frame where that comes first

    @property
    def dont_fragment(self) -> bool:
        return bool(self.flags_and_fragment & 0x4000)

    @property
    def more_fragments(self) -> bool:
        return bool(self.flags_and_fragment & 0x2000)

    @property
    def fragment_offset(self) -> int:
        """In bytes."""
        return (self.flags_and_fragment & 0x1FFF) * 8


class ArpMessage(NamedTuple):
    """An ARP message for IPv4 over Ethernet (RFC 826)."""

    operation: int  # 1 request, 2 reply
    sender_mac: bytes
    sender: IPv4Address
    target_mac: bytes
    target: IPv4Address

    @property
    def gratuitous(self) -> bool:
        """An announcement: sender and target address are the same (RFC 5944, 4.6)."""
        return self.sender == self.target


class UdpHeader(NamedTuple):
    source_port: int
    destination_port: int
    length: int
    checksum: int


class TcpHeader(NamedTuple):
    source_port: int
    destination_port: int
    sequence: int
    acknowledgement: int
    flags: int
    window: int
    checksum: int

    @property
    def reset(self) -> bool:
        return bool(self.flags & 0x04)


class IcmpHeader(NamedTuple):
    type: int
    code: int
    checksum: int
    rest: bytes  # the four bytes after the checksum

    @property
    def is_error(self) -> bool:
        """Destination unreachable, source quench, redirect, time exceeded or parameter problem: quotes a packet."""
        return self.type in (3, 4, 5, 11, 12)


Transport = UdpHeader | TcpHeader | IcmpHeader


class Layers(NamedTuple):
    """All that was found in one frame."""

    ether_source: bytes  # empty on links without addresses
    ether_destination: bytes
    ethertype: int
    arp: ArpMessage | None
    headers: tuple[Ipv4Header, ...]  # outermost first
    transport: Transport | None  # of the innermost header; None also for fragments after the first
    payload_offset: int
    payload_end: int
    malformed: str | None


@lru_cache(maxsize=65536)
def _address(packed: bytes) -> IPv4Address:
    return IPv4Address(packed)


def dissect(frame: bytes, linktype: int = LINKTYPE_ETHERNET) -> Layers:
    """The layers of a captured frame. Never raises; see ``Layers.malformed``."""
    size = len(frame)
    if linktype != LINKTYPE_ETHERNET:
        if linktype in LINKTYPES_RAW:
            return _dissect_ipv4(frame, 0, size, b"", b"")
        return Layers(b"", b"", 0, None, (), None, 0, size, f"link type {linktype} is not known")
    if size < 14:
        return Layers(b"", b"", 0, None, (), None, 0, size, f"frame of {size} bytes")
    destination, source, ethertype = _ETHERNET.unpack_from(frame)
    if ethertype == ETHERTYPE_IPV4:
        return _dissect_ipv4(frame, 14, size, source, destination)
    if ethertype == ETHERTYPE_ARP:
        return _dissect_arp(frame, source, destination)
    return Layers(source, destination, ethertype, None, (), None, 14, size, None)


def dissect_ipv4(packet: bytes) -> Layers:
    """The layers of bytes that begin with an IPv4 header, such as the packet that an ICMP error quotes."""
    return _dissect_ipv4(packet, 0, len(packet), b"", b"")


def _dissect_arp(frame: bytes, source: bytes, destination: bytes) -> Layers:
    size = len(frame)
    if size < 42:
        return Layers(source, destination, ETHERTYPE_ARP, None, (), None, 14, size, f"ARP in a frame of {size} bytes")
    hardware, protocol, hardware_size, protocol_size, operation, *addresses = _ARP.unpack_from(frame, 14)
    if (hardware, protocol, hardware_size, protocol_size) != (1, ETHERTYPE_IPV4, 6, 4):
        return Layers(source, destination, ETHERTYPE_ARP, None, (), None, 14, size, "ARP for other kinds of address")
    sender_mac, sender, target_mac, target = addresses
    arp = ArpMessage(operation, sender_mac, _address(sender), target_mac, _address(target))
    return Layers(source, destination, ETHERTYPE_ARP, arp, (), None, 42, size, None)


def _dissect_ipv4(frame: bytes, offset: int, end: int, source: bytes, destination: bytes) -> Layers:
    header, malformed = _ipv4_header(frame, offset, end)
    if header is None:
        return Layers(source, destination, ETHERTYPE_IPV4, None, (), None, offset, end, malformed)
    headers: tuple[Ipv4Header, ...] = (header,)
    decapsulate = _DECAPSULATORS.get(header.protocol)
    while decapsulate is not None and not header.flags_and_fragment & 0x1FFF and len(headers) < _DEEPEST_CHAIN:
        inner, inner_malformed = decapsulate(frame, header)
        malformed = malformed or inner_malformed
        if inner is None:
            break
        header = inner
        headers += (header,)
        decapsulate = _DECAPSULATORS.get(header.protocol)
    transport, payload_offset, transport_malformed = _transport(frame, header)
    return Layers(
        source,
        destination,
        ETHERTYPE_IPV4,
        None,
        headers,
        transport,
        payload_offset,
        header.end,
        malformed or transport_malformed,
    )


def _ipv4_header(frame: bytes, offset: int, limit: int) -> tuple[Ipv4Header | None, str | None]:
    if limit - offset < 20:
        return None, f"IPv4 header in {limit - offset} bytes"
    version, tos, total, ident, fragment, ttl, protocol, checksum, source, destination = _IPV4.unpack_from(
        frame, offset
    )
    header_length = (version & 0x0F) * 4
    if version >> 4 != 4 or header_length < 20:
        return None, f"IPv4 header begins with {version:#04x}"
    # A total length of zero is what the kernel shows of a segment larger than 64 KiB before it is cut up.
    end = offset + total if total else limit
    malformed = None
    if end > limit:
        malformed = f"IPv4 total length {total}, but {limit - offset} bytes present"
        end = limit
    if end < offset + header_length:
        return None, f"IPv4 total length {total} is shorter than its header"
    header = Ipv4Header(
        _address(source),
        _address(destination),
        protocol,
        ident,
        ttl,
        tos,
        fragment,
        total,
        checksum,
        offset,
        offset + header_length,
        end,
    )
    return header, malformed


def _decapsulate_ipip(frame: bytes, outer: Ipv4Header) -> tuple[Ipv4Header | None, str | None]:
    return _ipv4_header(frame, outer.payload_offset, outer.end)


# The seam for the other encapsulations: protocol number -> the inner header. For GRE (47) and UDP port 434 it follows a
# shim; for minimal encapsulation (55) it is put together from the outer header and the shim.
_DECAPSULATORS: dict[int, Callable[[bytes, Ipv4Header], tuple[Ipv4Header | None, str | None]]] = {
    PROTOCOL_IPIP: _decapsulate_ipip,
}


def _transport(frame: bytes, header: Ipv4Header) -> tuple[Transport | None, int, str | None]:
    """The transport header behind the innermost IPv4 header, and where its payload begins."""
    offset, size, protocol = header.payload_offset, header.end - header.payload_offset, header.protocol
    if header.flags_and_fragment & 0x1FFF:
        return None, offset, None
    if protocol == PROTOCOL_UDP:
        if size < 8:
            return None, offset, f"UDP header in {size} bytes"
        return UdpHeader(*_UDP.unpack_from(frame, offset)), offset + 8, None
    if protocol == PROTOCOL_TCP:
        return _tcp(frame, offset, size)
    if protocol == PROTOCOL_ICMP:
        if size < 8:
            return None, offset, f"ICMP header in {size} bytes"
        return IcmpHeader(*_ICMP.unpack_from(frame, offset)), offset + 8, None
    return None, offset, None


def _tcp(frame: bytes, offset: int, size: int) -> tuple[TcpHeader | None, int, str | None]:
    if size < 20:
        return None, offset, f"TCP header in {size} bytes"
    source, destination, sequence, acknowledgement, length, flags, window, checksum = _TCP.unpack_from(frame, offset)
    header_length = (length >> 4) * 4
    if not 20 <= header_length <= size:
        return None, offset, f"TCP header says that it has {header_length} bytes"
    header = TcpHeader(source, destination, sequence, acknowledgement, flags, window, checksum)
    return header, offset + header_length, None
