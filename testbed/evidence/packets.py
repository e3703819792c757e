"""The packets of a run, in time order: :class:`PacketLog` follows all capture files while they grow.

It does not start captures (``capture.py``), dissect (``dissect.py``), judge Mobile IP messages (``mobile_ip.py``) or
follow one packet from node to node (``trace.py``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from testbed.errors import LabError
from testbed.evidence.packet import CaptureFile, Direction, Packet, clock
from testbed.evidence.pcap import PcapTail

__all__ = ["AddressFilter", "CaptureFile", "Direction", "Packet", "PacketLog", "clock"]

AddressFilter = IPv4Address | IPv4Network
_ADDRESSES_OFFSET = 12  # in an IPv4 header
_Flow = bytes  # source and destination of the innermost IPv4 header; IPv4Address objects are slow to hash


class _Follower:
    """Turns the records of one capture file into packets."""

    def __init__(self, source: CaptureFile) -> None:
        self.source = source
        self._tail = PcapTail(source.path)
        self._count = 0

    def read(self) -> list[Packet]:
        records = self._tail.read()
        if not records:
            return []
        source, linktype, first = self.source, self._tail.linktype, self._count + 1
        assert linktype is not None, "the file header comes before the first record"
        self._count += len(records)
        return [
            Packet(source, number, time_ns, wire_length, frame, linktype)
            for number, (time_ns, wire_length, frame) in enumerate(records, first)
        ]


class PacketLog:
    """All packets that the captures have seen, in time order.

    ``files`` is read again at every :meth:`refresh`, so that a capture may be added to it while the log is in use.
    """

    def __init__(self, files: Sequence[CaptureFile] = ()) -> None:
        self._files = files
        self._followers: dict[str, _Follower] = {}
        self._packets: list[Packet] = []
        self._flows: dict[_Flow, list[Packet]] = {}

    @property
    def files(self) -> Sequence[CaptureFile]:
        return self._files

    @property
    def packets(self) -> Sequence[Packet]:
        """What was read so far, in time order; call :meth:`refresh` for news."""
        return self._packets

    def __len__(self) -> int:
        return len(self._packets)

    def __iter__(self) -> Iterator[Packet]:
        return iter(self._packets)

    def refresh(self) -> int:
        """Read what the captures have written since; returns the number of new packets.

        :raises LabError: a file is not a pcap file or is damaged.
        """
        news: list[Packet] = []
        for source in list(self._files):
            follower = self._followers.get(source.name)
            if follower is None:
                follower = self._followers[source.name] = _Follower(source)
            elif follower.source.path != source.path:
                raise LabError(f"{source.name} is captured twice: {follower.source.path} and {source.path}")
            news += follower.read()
        if not news:
            return 0
        news.sort(key=_time_ns)
        _append_in_order(self._packets, news)
        flows: dict[_Flow, list[Packet]] = {}
        for packet in news:
            headers = packet.headers
            if headers:
                addresses_at = headers[-1].offset + _ADDRESSES_OFFSET
                flows.setdefault(packet.frame[addresses_at : addresses_at + 8], []).append(packet)
        for flow, packets in flows.items():
            _append_in_order(self._flows.setdefault(flow, []), packets)
        return len(news)

    def between(self, since_ns: int | None = None, until_ns: int | None = None) -> Sequence[Packet]:
        """The packets of ``[since_ns, until_ns)`` in time order; None leaves that end open."""
        return _between(self._packets, since_ns, until_ns)

    def flow(self, source: IPv4Address, destination: IPv4Address) -> Sequence[Packet]:
        """All packets from one address to another by their innermost header, in time order."""
        return self._flows.get(source.packed + destination.packed, ())

    def select(
        self,
        *,
        node: str | None = None,
        interface: str | None = None,
        direction: Direction | str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        source: AddressFilter | None = None,
        destination: AddressFilter | None = None,
        outer_source: AddressFilter | None = None,
        outer_destination: AddressFilter | None = None,
        protocol: int | None = None,
        port: int | None = None,
        encapsulated: bool | None = None,
        overheard: bool | None = False,
        where: Callable[[Packet], object] | None = None,
    ) -> list[Packet]:
        """The packets for which all that is given holds, in time order.

        ``source``, ``destination``, ``protocol`` and ``port`` (of either side) are those of the innermost IPv4 header;
        an address or a network may be given. Frames that a node merely overheard are left out unless ``overheard`` is
        None (both) or True (only those).
        """
        candidates: Sequence[Packet] = self._packets
        if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
            # Checks ask for one flow again and again while they wait: they need not go through everything each time.
            candidates = self.flow(source, destination)
            source = destination = None
        chosen: Iterable[Packet] = _between(candidates, since_ns, until_ns)
        if node is not None:
            chosen = (p for p in chosen if p.node == node)
        if interface is not None:
            chosen = (p for p in chosen if p.interface == interface)
        if direction is not None:
            chosen = (p for p in chosen if p.direction == direction)
        if overheard is not None:
            chosen = (p for p in chosen if p.overheard is overheard)
        if encapsulated is not None:
            chosen = (p for p in chosen if (len(p.headers) > 1) is encapsulated)
        for address, index, field in (
            (source, -1, 0),
            (destination, -1, 1),
            (outer_source, 0, 0),
            (outer_destination, 0, 1),
        ):
            if address is not None:
                chosen = _with_address(chosen, address, index, field)
        if protocol is not None or port is not None:
            chosen = (p for p in chosen if p.carries(protocol, port))
        if where is not None:
            chosen = (p for p in chosen if where(p))
        return list(chosen)


def _time_ns(packet: Packet) -> int:
    return packet.time_ns


def _between(packets: Sequence[Packet], since_ns: int | None, until_ns: int | None) -> Sequence[Packet]:
    start = 0 if since_ns is None else bisect_left(packets, since_ns, key=_time_ns)
    end = len(packets) if until_ns is None else bisect_left(packets, until_ns, key=_time_ns)
    return packets[start:end]


def _append_in_order(packets: list[Packet], news: list[Packet]) -> None:
    """Put what is read now where it belongs; it is late by no more than the time between two readings."""
    start = bisect_right(packets, news[0].time_ns, key=_time_ns)
    packets[start:] = sorted(packets[start:] + news, key=_time_ns)


def _with_address(packets: Iterable[Packet], address: AddressFilter, index: int, field: int) -> Iterable[Packet]:
    if isinstance(address, IPv4Network):
        return (p for p in packets if p.headers and p.headers[index][field] in address)
    return (p for p in packets if p.headers and p.headers[index][field] == address)
