"""One echo request from a node, and what came back: the reply, an ICMP error and from whom, or nothing.

Sent from a raw socket made inside the node's namespace: no program to start, no output to interpret.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.errors import LabError
from testbed.evidence.dissect import IcmpHeader, Layers, dissect_ipv4
from testbed.evidence.place import Place
from testbed.network.waiting import scaled

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_DESTINATION_UNREACHABLE, _TIME_EXCEEDED = 3, 11
_UNREACHABLE = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    9: "network prohibited",
    10: "host prohibited",
    13: "communication prohibited",
}
_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT, _IP_PMTUDISC_DO = 10, 0, 2  # not in Python's socket module
_sequences = itertools.count(1)


@dataclass(frozen=True)
class PingAnswer:
    """What came back. ``kind``: "reply", "error" (an ICMP error), "refused" (our own kernel would not send), "none"."""

    kind: str
    source: IPv4Address | None = None  # who answered
    icmp_type: int | None = None
    icmp_code: int | None = None
    round_trip_ms: float | None = None
    detail: str = ""

    @property
    def replied(self) -> bool:
        return self.kind == "reply"

    def __str__(self) -> str:
        if self.replied:
            return f"reply from {self.source} after {self.round_trip_ms:.1f} ms"
        return f"{self.detail} from {self.source}" if self.kind == "error" else self.detail


async def ping_once(
    place: Place,
    destination: IPv4Address,
    *,
    source: IPv4Address | None = None,
    timeout_s: float = 1.0,
    ttl: int = 64,
    payload_bytes: int = 56,
    dont_fragment: bool = False,
) -> PingAnswer:
    """Send one ICMP echo request and wait for what comes back; ``timeout_s`` is scaled here.

    :raises LabError: ``source`` is not an address of the node.
    """
    identifier, sequence = os.getpid() & 0xFFFF, next(_sequences) & 0xFFFF
    with _icmp_socket(place, source, ttl, dont_fragment) as icmp:
        sent_s = time.monotonic()
        try:
            icmp.sendto(_echo_request(identifier, sequence, payload_bytes), (str(destination), 0))
        except OSError as error:
            return PingAnswer("refused", detail=f"not sent: {error.strerror}")
        deadline_s = sent_s + scaled(timeout_s)
        while (remaining_s := deadline_s - time.monotonic()) > 0:
            try:
                packet = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(icmp, 65535), remaining_s)
            except TimeoutError:
                break
            answer = _answer(packet, identifier, sequence, destination, (time.monotonic() - sent_s) * 1e3)
            if answer is not None:
                return answer
    return PingAnswer("none", detail=f"nothing came back in {scaled(timeout_s):g} s")


def _icmp_socket(place: Place, source: IPv4Address | None, ttl: int, dont_fragment: bool) -> socket.socket:
    with place.entered():
        icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    icmp.setblocking(False)
    icmp.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    icmp.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO if dont_fragment else _IP_PMTUDISC_DONT)
    if source is not None:
        try:
            icmp.bind((str(source), 0))
        except OSError as error:
            icmp.close()
            raise LabError(f"ping from {source}: {error.strerror}", node=place.name) from error
    return icmp


def _echo_request(identifier: int, sequence: int, payload_bytes: int) -> bytes:
    payload = bytes(index & 0xFF for index in range(payload_bytes))
    header = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, _checksum(header + payload), identifier, sequence) + payload


def _checksum(message: bytes) -> int:
    """RFC 1071."""
    padded = message + b"\0" * (len(message) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _answer(
    packet: bytes, identifier: int, sequence: int, destination: IPv4Address, round_trip_ms: float
) -> PingAnswer | None:
    """What a received ICMP packet says of our request; None where it is about something else."""
    layers = dissect_ipv4(packet)
    icmp = layers.transport
    if not isinstance(icmp, IcmpHeader):
        return None
    ours = struct.pack("!HH", identifier, sequence)
    source = layers.headers[-1].source
    if icmp.type == _ECHO_REPLY and icmp.rest == ours and source == destination:
        return PingAnswer("reply", source, icmp.type, icmp.code, round_trip_ms, "reply")
    if icmp.is_error and _quotes(dissect_ipv4(packet[layers.payload_offset :]), ours, destination):
        return PingAnswer("error", source, icmp.type, icmp.code, round_trip_ms, _error_name(icmp))
    return None


def _quotes(quoted: Layers, ours: bytes, destination: IPv4Address) -> bool:
    icmp = quoted.transport
    is_request = isinstance(icmp, IcmpHeader) and icmp.type == _ECHO_REQUEST and icmp.rest == ours
    return is_request and quoted.headers[-1].destination == destination


def _error_name(icmp: IcmpHeader) -> str:
    if icmp.type == _DESTINATION_UNREACHABLE:
        return _UNREACHABLE.get(icmp.code, f"unreachable, code {icmp.code}")
    return "time exceeded" if icmp.type == _TIME_EXCEEDED else f"ICMP type {icmp.type} code {icmp.code}"
