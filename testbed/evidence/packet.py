"""One packet as one capture saw it: node, interface, direction, number, time and headers.

Reads no files: that is ``packets.py``. A frame is dissected when one of its headers is first asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from testbed.evidence.dissect import (
    LINKTYPE_ETHERNET,
    PROTOCOL_NAMES,
    ArpMessage,
    IcmpHeader,
    Ipv4Header,
    Layers,
    TcpHeader,
    Transport,
    UdpHeader,
    dissect,
    dissect_ipv4,
)


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


@dataclass(frozen=True)
class CaptureFile:
    """One capture: where it was taken and the file it is written to.

    ``mac`` is the interface's own address, from which the direction of a frame is told; None where it is not known or
    the link has no addresses.
    """

    node: str
    interface: str
    path: Path
    mac: bytes | None = None

    @property
    def name(self) -> str:
        return f"{self.node}:{self.interface}"


class Packet:
    """One frame as one capture saw it."""

    __slots__ = (
        "_layers",
        "direction",
        "frame",
        "interface",
        "linktype",
        "merged_number",
        "node",
        "number",
        "overheard",
        "time_ns",
        "wire_length",
    )

    def __init__(
        self, source: CaptureFile, number: int, time_ns: int, wire_length: int, frame: bytes, linktype: int
    ) -> None:
        self.node = source.node
        self.interface = source.interface
        self.number = number  # of the frame in its own capture, from 1, as tcpdump and tshark count
        self.merged_number: int | None = None  # of the frame in packets.pcapng, once that is written
        self.time_ns = time_ns  # Unix time
        self.wire_length = wire_length
        self.frame = frame
        self.linktype = linktype
        self._layers: Layers | None = None
        self.direction: Direction | None = None  # None: the link has no addresses to tell it from
        self.overheard = False  # came in with somebody else's address: flooded by a bridge, not for this node
        mac = source.mac
        if mac is not None and linktype == LINKTYPE_ETHERNET and len(frame) >= 14:
            outgoing = frame[6:12] == mac
            self.direction = Direction.OUT if outgoing else Direction.IN
            self.overheard = not outgoing and frame[:6] != mac and not frame[0] & 1

    @property
    def layers(self) -> Layers:
        if self._layers is None:
            self._layers = dissect(self.frame, self.linktype)
        return self._layers

    @property
    def headers(self) -> tuple[Ipv4Header, ...]:
        """IPv4 headers, outermost first; empty where the frame carries no IPv4."""
        return (self._layers or self.layers).headers

    @property
    def outer(self) -> Ipv4Header | None:
        headers = self.headers
        return headers[0] if headers else None

    @property
    def inner(self) -> Ipv4Header | None:
        """The innermost IPv4 header, which is the outer one too where nothing is encapsulated."""
        headers = self.headers
        return headers[-1] if headers else None

    @property
    def encapsulated(self) -> bool:
        return len(self.headers) > 1

    @property
    def transport(self) -> Transport | None:
        return self.layers.transport

    @property
    def udp(self) -> UdpHeader | None:
        transport = self.layers.transport
        return transport if isinstance(transport, UdpHeader) else None

    @property
    def tcp(self) -> TcpHeader | None:
        transport = self.layers.transport
        return transport if isinstance(transport, TcpHeader) else None

    @property
    def icmp(self) -> IcmpHeader | None:
        transport = self.layers.transport
        return transport if isinstance(transport, IcmpHeader) else None

    @property
    def arp(self) -> ArpMessage | None:
        return self.layers.arp

    @property
    def payload(self) -> bytes:
        """What follows the last header that was understood."""
        layers = self.layers
        return self.frame[layers.payload_offset : layers.payload_end]

    @property
    def quoted(self) -> Layers | None:
        """The packet that an ICMP error is about, as far as it is quoted."""
        icmp = self.icmp
        return dissect_ipv4(self.payload) if icmp is not None and icmp.is_error else None

    @property
    def place(self) -> str:
        return f"{self.node}:{self.interface}"

    def carries(self, protocol: int | None = None, port: int | None = None) -> bool:
        """Whether the innermost header is of that protocol and one of its ports is that one; None: any."""
        layers = self.layers
        if protocol is not None and not (layers.headers and layers.headers[-1].protocol == protocol):
            return False
        transport = layers.transport
        return port is None or (isinstance(transport, UdpHeader | TcpHeader) and port in transport[:2])

    def describe(self) -> str:
        """One line of evidence: where, which frame of that capture, when, and what it is."""
        way = f" {self.direction}" if self.direction else ""
        merged = f" (packets.pcapng #{self.merged_number})" if self.merged_number else ""
        return f"{self.place}{way} #{self.number}{merged} {clock(self.time_ns)} {self._contents()}"

    def _contents(self) -> str:
        arp = self.arp
        if arp is not None:
            if arp.operation == 1:
                return f"ARP who has {arp.target}? tell {arp.sender} at {arp.sender_mac.hex(':')}"
            return f"ARP {arp.sender} is at {arp.sender_mac.hex(':')}"
        if not self.headers:
            return f"ethertype {self.layers.ethertype:#06x}, {self.wire_length} bytes"
        chain = " | ".join(f"{h.source} > {h.destination} {_protocol(h)}" for h in self.headers)
        return f"{chain}{self._ports()}, {self.wire_length} bytes"

    def _ports(self) -> str:
        transport = self.transport
        if isinstance(transport, IcmpHeader):
            return f" type {transport.type} code {transport.code}"
        return f" {transport.source_port} > {transport.destination_port}" if transport is not None else ""

    def __repr__(self) -> str:
        return f"<Packet {self.describe()}>"


def clock(time_ns: int) -> str:
    """Unix nanoseconds as local time of day with microseconds, as tcpdump prints it."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{nanoseconds // 1000:06d}"


def _protocol(header: Ipv4Header) -> str:
    return PROTOCOL_NAMES.get(header.protocol, f"protocol {header.protocol}")
