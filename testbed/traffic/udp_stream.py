"""A numbered UDP stream between two nodes of a lab, one way or both, and how its packets are recognised in captures."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from testbed.evidence.packets import Packet
from testbed.traffic import datagram
from testbed.traffic.program import Endpoint, TrafficProgram


@dataclass(frozen=True)
class Flow:
    """One direction of a stream: all that is needed to find its packets."""

    stream: int
    sender: str  # node
    receiver: str  # node
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    rate_hz: float

    def __str__(self) -> str:
        return f"{self.sender} to {self.receiver}"

    @property
    def interval_ns(self) -> int:
        return round(1e9 / self.rate_hz)

    def datagram(self, packet: Packet) -> datagram.Datagram | None:
        """What a packet carries if it is one of this flow."""
        udp = packet.udp
        if udp is None or (udp.source_port, udp.destination_port) != (self.source_port, self.destination_port):
            return None
        seen = datagram.decode(packet.payload)
        return seen if seen is not None and seen.stream == self.stream else None


class UdpStream:
    """A stream from ``source`` to ``destination`` at ``rate_hz``, and as much back where ``both_ways`` is set.

    ``number`` tells streams of one run apart. Datagrams are ``size_bytes`` of UDP payload. ``forward`` and
    ``backward`` (None for a one-way stream) are what ``stream_report`` is given.
    """

    def __init__(
        self,
        source: Endpoint,
        destination: Endpoint,
        folder: Path,
        *,
        rate_hz: float = 100.0,
        both_ways: bool = False,
        size_bytes: int = 64,
        number: int = 1,
    ) -> None:
        there, back = 2 * number, 2 * number + 1
        self.forward = _flow(there, source, destination, rate_hz)
        self.backward = _flow(back, destination, source, rate_hz) if both_ways else None
        back_hz = rate_hz if both_ways else 0.0
        self.programs = [
            _program(number, folder, size_bytes, destination, source, outgoing=back, incoming=there, rate_hz=back_hz),
            _program(number, folder, size_bytes, source, destination, outgoing=there, incoming=back, rate_hz=rate_hz),
        ]

    async def start(self) -> None:
        """Start both ends and, once both are there, have them send.

        :raises LabError: an end could not take its address.
        """
        for program in self.programs:
            program.start()
        for program in self.programs:
            await program.told("ready")
        for program in self.programs:
            program.go()

    def require_alive(self) -> None:
        """:raises LabError: an end has ended on its own."""
        for program in self.programs:
            program.require_alive()

    def stop(self) -> dict[str, dict[str, Any] | None]:
        """Stop sending and return what each end says of itself, by node; None for one that could not say it."""
        for program in self.programs:
            program.terminate()
        return {program.node: program.finish() for program in self.programs}


def _flow(stream: int, sender: Endpoint, receiver: Endpoint, rate_hz: float) -> Flow:
    return Flow(
        stream, sender.node, receiver.node, sender.address, sender.port, receiver.address, receiver.port, rate_hz
    )


def _program(
    number: int,
    folder: Path,
    size_bytes: int,
    end: Endpoint,
    other: Endpoint,
    *,
    outgoing: int,
    incoming: int,
    rate_hz: float,
) -> TrafficProgram:
    addresses = ["--local", str(end), "--remote", str(other)]
    streams = ["--outgoing", str(outgoing), "--incoming", str(incoming)]
    arguments = ["udp", *addresses, *streams, "--rate", str(rate_hz), "--size", str(size_bytes)]
    return TrafficProgram(end.place, f"udp-{number}-{end.node}", arguments, folder)
