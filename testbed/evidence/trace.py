"""Follows packets through all captures, through encapsulation, and renders their ways.

How the sightings of one packet are found and linked is told in ``sightings.py``. What path a packet should have taken
is not known here: that is for the checks.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from weakref import WeakKeyDictionary

from testbed.evidence.packets import AddressFilter, Direction, Packet, PacketLog
from testbed.evidence.sightings import LONGEST_FLIGHT_NS, Linker, Sighting, identity

# What was linked of each flow (source, destination) of a log, so that a check that looks again need not begin anew.
_linkers: WeakKeyDictionary[PacketLog, dict[tuple[IPv4Address, IPv4Address], Linker]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Path:
    """The nodes that a packet passed; ``tunnelled[i]`` tells of the hop from ``nodes[i]`` to ``nodes[i + 1]``."""

    nodes: tuple[str, ...]
    tunnelled: tuple[bool, ...]

    def __str__(self) -> str:
        hops = zip(self.tunnelled, self.nodes[1:], strict=True)
        return self.nodes[0] + "".join(f" {'⇒' if in_tunnel else '→'} {node}" for in_tunnel, node in hops)

    @property
    def hops(self) -> int:
        return len(self.tunnelled)

    @property
    def tunnels(self) -> tuple[tuple[str, str], ...]:
        """Each stretch on which the packet was encapsulated, as (first node, last node)."""
        stretches: list[tuple[str, str]] = []
        for before, in_tunnel, after in zip(self.nodes, self.tunnelled, self.nodes[1:], strict=False):
            if in_tunnel and stretches and stretches[-1][1] == before:
                stretches[-1] = (stretches[-1][0], after)
            elif in_tunnel:
                stretches.append((before, after))
        return tuple(stretches)


@dataclass(frozen=True)
class Trace:
    """All that the captures saw of one packet, in time order."""

    sightings: tuple[Sighting, ...]

    @property
    def first(self) -> Packet:
        return self.sightings[0].packet

    @property
    def sent_ns(self) -> int:
        """When it was first seen, in Unix nanoseconds."""
        return self.first.time_ns

    @property
    def origin(self) -> str:
        """The node where it was first seen."""
        return self.first.node

    @property
    def path(self) -> Path:
        """The longest way that it took; see :attr:`paths` for a packet that was copied or broadcast."""
        return self.paths[0]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every way that it took to its ends, longest first."""
        return tuple(_path(end.line()) for end in self._ends())

    @property
    def end(self) -> Packet:
        """Where :attr:`path` was last seen: where it arrived, or where it died."""
        return self._ends()[0].packet

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node it reached, in order of the first sighting; not those that merely overheard it."""
        return tuple(dict.fromkeys(s.packet.node for s in self.sightings if not s.packet.overheard))

    @property
    def overhearers(self) -> tuple[str, ...]:
        """Nodes on whose links a bridge flooded it, though it was meant for somebody else."""
        return tuple(dict.fromkeys(s.packet.node for s in self.sightings if s.packet.overheard))

    def arrival(self, node: str) -> Packet | None:
        """Its first sighting coming in at a node; None where it did not get there."""
        arrivals = (s.packet for s in self.sightings if s.packet.node == node and not s.packet.overheard)
        return next((packet for packet in arrivals if packet.direction != Direction.OUT), None)

    def reached(self, node: str) -> bool:
        return self.arrival(node) is not None

    def describe_end(self) -> str:
        """Where it was last seen, in words, for a packet that should have gone further."""
        end = self.end
        if end.direction == Direction.OUT:
            overheard = f"; overheard by {', '.join(self.overhearers)}" if self.overhearers else ""
            return f"left {end.node} on {end.interface} and reached nobody (frame {end.number} there){overheard}"
        return f"came in at {end.node} on {end.interface} and did not leave again (frame {end.number} there)"

    def evidence(self) -> list[str]:
        """One line for each sighting."""
        return [sighting.packet.describe() for sighting in self.sightings]

    def _ends(self) -> list[Sighting]:
        """Sightings with none after them, those with the longest way first."""
        taken = [sighting for sighting in self.sightings if not sighting.packet.overheard]
        followed = {id(sighting.parent) for sighting in taken}
        ends = [sighting for sighting in taken if id(sighting) not in followed]
        return sorted(ends, key=lambda end: -len(end.line())) or [self.sightings[0]]


@dataclass(frozen=True)
class PathGroup:
    """Packets that took the same way."""

    path: Path
    traces: tuple[Trace, ...]

    @property
    def count(self) -> int:
        return len(self.traces)

    def __str__(self) -> str:
        return f"{self.count} × {self.path}"


def traces(
    log: PacketLog,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    source: AddressFilter | None = None,
    destination: AddressFilter | None = None,
    protocol: int | None = None,
    port: int | None = None,
    where: Callable[[Packet], object] | None = None,
) -> list[Trace]:
    """One trace for each packet that was first seen in ``[since_ns, until_ns)``, in the order in which they were sent.

    Addresses, protocol and port are those of the innermost header, as in :meth:`PacketLog.select`; ``where`` is asked
    about the first sighting. A packet that was sent just before ``until_ns``, or before the log was refreshed, may
    still be on its way: leave it out by the choice of ``until_ns``. Asking again for the same two addresses costs
    little: what was linked stays linked.
    """
    if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
        linker = _linkers.setdefault(log, {}).setdefault((source, destination), Linker())
        linked = linker.link(log.flow(source, destination))
    else:
        linked = Linker().link(log.select(source=source, destination=destination, overheard=None))
    start = 0 if since_ns is None else bisect_left(linked, since_ns, key=_sent_ns)
    end = len(linked) if until_ns is None else bisect_left(linked, until_ns, key=_sent_ns)
    return [
        Trace(tuple(sightings))
        for sightings in linked[start:end]
        if sightings[0].packet.carries(protocol, port) and (where is None or where(sightings[0].packet))
    ]


def trace(log: PacketLog, packet: Packet) -> Trace:
    """Everything that was seen of the packet of which ``packet`` is one sighting."""
    wanted = identity(packet)
    near = log.between(packet.time_ns - LONGEST_FLIGHT_NS, packet.time_ns + LONGEST_FLIGHT_NS)
    found = trace_packets(other for other in near if identity(other) == wanted)
    return next(trace for trace in found if any(s.packet is packet for s in trace.sightings))


def trace_packets(packets: Iterable[Packet]) -> list[Trace]:
    """The traces of packets that are given in time order, in the order in which they were first seen."""
    return [Trace(tuple(sightings)) for sightings in Linker().link([*packets])]


def by_path(traces: Iterable[Trace]) -> list[PathGroup]:
    """Traces grouped by the way they took, the most frequent first."""
    groups: dict[Path, list[Trace]] = {}
    for one in traces:
        groups.setdefault(one.path, []).append(one)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [PathGroup(path, tuple(members)) for path, members in ordered]


def _path(line: Sequence[Sighting]) -> Path:
    nodes = [line[0].packet.node]
    tunnelled: list[bool] = []
    for before, after in itertools.pairwise(line):
        if after.packet.node != nodes[-1]:
            on_link = before if before.packet.direction == Direction.OUT else after
            tunnelled.append(on_link.packet.encapsulated)
            nodes.append(after.packet.node)
    return Path(tuple(nodes), tuple(tunnelled))


def _sent_ns(sightings: Sequence[Sighting]) -> int:
    return sightings[0].packet.time_ns
