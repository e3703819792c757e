"""Recognises a packet wherever it was captured and links its sightings in the order in which it travelled.

A packet is known again by what no router on its way may change: the innermost IPv4 header without TTL and checksum,
and what follows it. Sightings form a tree: a frame that came in is a child of the same frame that went out at the
other end of the link, and a frame that went out is a child of the one that came in at the same node. So two copies of
one packet (a retransmission with the same bytes, a second binding) stay apart, and a packet that passes a node twice,
once plain and once encapsulated, stays one. Address translation on the way would need more.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from testbed.evidence.dissect import PROTOCOL_TCP, PROTOCOL_UDP
from testbed.evidence.packets import Direction, Packet

LONGEST_FLIGHT_NS = 3_000_000_000  # sightings that lie further apart are of different copies

# Bytes behind the innermost IP header that tell packets apart: past every header and the traffic programs' own, and
# within the first of the fragments that a tunnel may have cut the packet into.
_TELLING_BYTES = 256
_CHECKSUM_AT = {PROTOCOL_UDP: 6, PROTOCOL_TCP: 16}


def identity(packet: Packet) -> Hashable:
    """What is the same wherever this packet is seen, and different for other packets.

    UDP and TCP checksums are left out: a sender with checksum offload leaves them to be filled in later. Linux gives
    many packets the IP identification 0 (RFC 6864 allows it), therefore the contents count too.
    """
    header = packet.inner
    if header is None:
        return packet.frame[12:]
    start = header.payload_offset
    telling = packet.frame[start : min(header.end, start + _TELLING_BYTES)]
    checksum_at = _CHECKSUM_AT.get(header.protocol)
    if checksum_at is not None and not header.fragment_offset:
        telling = telling[:checksum_at] + telling[checksum_at + 2 :]
    return (*header[:4], header.flags_and_fragment & 0x3FFF, header.total_length, telling)


class Sighting:
    """One packet in one capture, linked to the sightings before and after it."""

    __slots__ = ("children", "packet", "parent")

    def __init__(self, packet: Packet, parent: Sighting | None) -> None:
        self.packet = packet
        self.parent = parent
        self.children: list[Sighting] = []
        if parent is not None:
            parent.children.append(self)

    def line(self) -> list[Sighting]:
        """From the first sighting to this one."""
        line = [self]
        while (parent := line[-1].parent) is not None:
            line.append(parent)
        return line[::-1]


def find_parent(packet: Packet, earlier: Sequence[Sighting]) -> Sighting | None:
    """The sighting right before this one among ``earlier`` ones of equal packets; None where it is the first."""
    if not earlier:
        return None
    recent = [*_recent(packet, earlier)]
    if packet.direction == Direction.OUT:
        return _forwarded_from(packet, recent)
    parent = _other_end_of_link(packet, recent)
    if parent is None and packet.direction is None:
        parent = next((s for s in recent if s.packet.node == packet.node and s.packet.frame != packet.frame), None)
    return parent or _across_a_gap(packet, recent)


def _recent(packet: Packet, earlier: Sequence[Sighting]) -> Iterator[Sighting]:
    """Latest first: of byte-identical copies, one that was lost does not take what belongs to its successor."""
    oldest_ns = packet.time_ns - LONGEST_FLIGHT_NS
    for sighting in reversed(earlier):
        if sighting.packet.time_ns < oldest_ns:
            return
        yield sighting


def _forwarded_from(packet: Packet, recent: Sequence[Sighting]) -> Sighting | None:
    here = [s for s in recent if s.packet.node == packet.node and not s.packet.overheard]
    arrivals = [s for s in here if s.packet.direction != Direction.OUT]
    if arrivals:
        waiting = (s for s in arrivals if not any(child.packet.node == packet.node for child in s.children))
        return next(waiting, arrivals[0])  # none is waiting: the node sends a second copy
    if here:
        return None  # it left here before and did not come back: the node itself sends it again
    return _across_a_gap(packet, recent)


def _other_end_of_link(packet: Packet, recent: Sequence[Sighting]) -> Sighting | None:
    for sighting in recent:
        sent = sighting.packet
        if sent.direction != Direction.IN and sent.node != packet.node and sent.frame == packet.frame:
            taken = any(
                child.packet.node == packet.node and child.packet.interface == packet.interface
                for child in sighting.children
            )
            if not taken:
                return sighting
    return None


def _across_a_gap(packet: Packet, recent: Sequence[Sighting]) -> Sighting | None:
    """The likely predecessor where a capture between the two is missing: an end whose TTL is not lower than ours."""
    header = packet.inner
    if header is None:
        return None
    for sighting in recent:
        earlier = sighting.packet
        before = earlier.inner
        has_ended = all(child.packet.overheard for child in sighting.children) and not earlier.overheard
        elsewhere = earlier.node != packet.node
        came_back = earlier.direction == Direction.OUT and packet.direction == Direction.IN
        if has_ended and (elsewhere or came_back) and before is not None and before.ttl >= header.ttl:
            return sighting
    return None
