"""Recognises a packet wherever it was captured and links its sightings in the order in which it travelled.

A packet is known again by what no router on its way may change: the innermost IPv4 header without TTL and checksum,
and what follows it. Sightings form a tree: a frame that came in is a child of the same frame that went out at the
other end of the link, and a frame that went out is a child of the one that came in at the same node. So two copies of
one packet (a retransmission with the same bytes, a second binding) stay apart, and a packet that passes a node twice,
once plain and once encapsulated, stays one. Address translation on the way would need more.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from testbed.evidence.dissect import PROTOCOL_TCP, PROTOCOL_UDP
from testbed.evidence.packets import Direction, Packet

LONGEST_FLIGHT_NS = 3_000_000_000  # sightings that lie further apart are of different copies

# Bytes behind the innermost IP header that tell packets apart: past every header and the traffic programs' own, and
# within the first of the fragments that a tunnel may have cut the packet into.
_TELLING_BYTES = 256
_CHECKSUM_AT = {PROTOCOL_UDP: 6, PROTOCOL_TCP: 16}


def identity(packet: Packet) -> bytes:
    """What is the same wherever this packet is seen, and different for other packets.

    UDP and TCP checksums are left out: a sender with checksum offload leaves them to be filled in later. Linux gives
    many packets the IP identification 0 (RFC 6864 allows it), therefore the contents count too.
    """
    header, frame = packet.inner, packet.frame
    if header is None:
        return frame[12:]
    ip, start = header.offset, header.payload_offset
    end = min(header.end, start + _TELLING_BYTES)
    # Total length, identification, flags and fragment; protocol; addresses.
    fixed = frame[ip + 2 : ip + 8] + frame[ip + 9 : ip + 10] + frame[ip + 12 : ip + 20]
    checksum_at = _CHECKSUM_AT.get(header.protocol)
    if checksum_at is None or header.flags_and_fragment & 0x1FFF:
        return fixed + frame[start:end]
    return fixed + frame[start : start + checksum_at] + frame[start + checksum_at + 2 : end]


class Sighting:
    """One packet in one capture. ``parent`` is the sighting before it on the packet's way, None for the first."""

    __slots__ = ("alike", "children", "packet", "parent", "trace")

    def __init__(self, packet: Packet, alike: list[Sighting]) -> None:
        self.packet = packet
        self.alike = alike  # all sightings of packets with this identity, in time order
        self.children: list[Sighting] = []
        self.parent = _find_parent(packet, alike)
        self.trace: list[Sighting] = self.parent.trace if self.parent else []  # all of this very packet's
        alike.append(self)
        self.trace.append(self)
        if self.parent:
            self.parent.children.append(self)

    def forget(self) -> None:
        """Undo the linking of this sighting, which has to be the last one that was linked."""
        self.alike.pop()
        self.trace.pop()
        if self.parent:
            self.parent.children.pop()

    def line(self) -> list[Sighting]:
        """From the first sighting to this one."""
        line = [self]
        while (parent := line[-1].parent) is not None:
            line.append(parent)
        return line[::-1]


class Linker:
    """Links the sightings of a list of packets that grows.

    The list is in time order. What is read late is put between what is known already, most often near its end: the
    linker then goes back so far and on from there.
    """

    def __init__(self) -> None:
        self._sightings: list[Sighting] = []
        self._alike: dict[bytes, list[Sighting]] = {}
        self._traces: list[list[Sighting]] = []

    def link(self, packets: Sequence[Packet]) -> Sequence[Sequence[Sighting]]:
        """The sightings of each packet, in the order in which the packets were first seen.

        ``packets`` must hold all that it held at the call before.
        """
        known = self._sightings
        while known and known[-1].packet is not packets[len(known) - 1]:
            known.pop().forget()
            if not self._traces[-1]:
                self._traces.pop()
        for packet in packets[len(known) :]:
            sighting = Sighting(packet, self._alike.setdefault(identity(packet), []))
            known.append(sighting)
            if sighting.parent is None:
                self._traces.append(sighting.trace)
        return self._traces


def _find_parent(packet: Packet, earlier: Sequence[Sighting]) -> Sighting | None:
    """The sighting right before this one among ``earlier`` ones of equal packets; None where it is the first."""
    if not earlier:
        return None
    recent = _recent(packet, earlier)
    if packet.direction == Direction.OUT:
        return _forwarded_from(packet, recent)
    parent = _other_end_of_link(packet, recent)
    if parent is None and packet.direction is None:
        parent = next((s for s in recent if s.packet.node == packet.node and s.packet.frame != packet.frame), None)
    return parent or _across_a_gap(packet, recent)


def _recent(packet: Packet, earlier: Sequence[Sighting]) -> list[Sighting]:
    """Latest first: of byte-identical copies, one that was lost does not take what belongs to its successor."""
    oldest_ns = packet.time_ns - LONGEST_FLIGHT_NS
    return [*itertools.takewhile(lambda sighting: sighting.packet.time_ns >= oldest_ns, reversed(earlier))]


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
