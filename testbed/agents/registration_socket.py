"""The UDP socket on port 434 between home agents and foreign agents, with what plain sockets hide.

Each datagram comes with its TTL, its destination and the interface it came in on; ICMP errors come with the request
that they are about.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.actions import SendRegistration
from testbed.agents.link_socket import attach_filter
from testbed.errors import KernelRefused
from testbed.protocol.registration import REGISTRATION_PORT

# linux/in.h, linux/errqueue.h
_IP_PKTINFO, _IP_RECVERR, _IP_RECVTTL, _IP_TTL = 8, 11, 12, 2
_PACKET_INFO = struct.Struct("=i4s4s")
_INT = struct.Struct("=i")
_EXTENDED_ERROR = struct.Struct("=IBBBxII")
_ORIGIN_ICMP = 2
_MESSAGE_ERROR_QUEUE = 0x2000
_ANCILLARY_BYTES = 512
_LARGEST_DATAGRAM = 65_536
_AT_ONCE = 64

_ICMP_UNREACHABLE = 3
_NETWORK_CODES, _HOST_CODES, _PORT_CODE = (0, 6, 9, 11), (1, 7, 10, 12, 13), 3


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram, with the TTL and the destination of its packet and the interface it came in on."""

    payload: bytes
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    ttl: int
    interface_index: int


@dataclass(frozen=True, slots=True)
class DeliveryError:
    """A datagram of ours did not arrive: ``unreachable`` is "network", "host", "port" or "other"."""

    payload: bytes
    unreachable: str


class RegistrationSocket:
    """Port 434 on all addresses of this node."""

    def __init__(self) -> None:
        """:raises KernelRefused: the port is taken (another agent runs here?) or may not be opened."""
        self._socket = _open()
        for option in (_IP_PKTINFO, _IP_RECVERR, _IP_RECVTTL):
            self._socket.setsockopt(socket.IPPROTO_IP, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)  # a request may look for a home agent so

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> list[Datagram]:
        """What has arrived, without waiting; at most a handful at a time."""
        datagrams = []
        for _ in range(_AT_ONCE):
            try:
                payload, ancillary, _flags, address = self._socket.recvmsg(_LARGEST_DATAGRAM, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:
                continue  # the error of a datagram that we sent; `errors` tells which
            datagrams.append(_datagram(payload, ancillary, address))
        return datagrams

    def errors(self) -> list[DeliveryError]:
        """What is known of datagrams that did not arrive."""
        found = []
        for _ in range(_AT_ONCE):
            try:
                payload, ancillary, _flags, _address = self._socket.recvmsg(
                    _LARGEST_DATAGRAM, _ANCILLARY_BYTES, _MESSAGE_ERROR_QUEUE
                )
            except BlockingIOError:
                break
            for level, kind, octets in ancillary:
                if level == socket.IPPROTO_IP and kind == _IP_RECVERR:
                    found.append(DeliveryError(payload, _unreachable(octets)))
        return found

    def send(self, action: SendRegistration) -> DeliveryError | None:
        """Send by the node's routes; an error tells that there is none."""
        payload = action.message.encode()
        ancillary = [
            (socket.IPPROTO_IP, _IP_PKTINFO, _PACKET_INFO.pack(0, action.source.packed, bytes(4))),
            (socket.IPPROTO_IP, _IP_TTL, _INT.pack(action.ttl)),
        ]
        destination = (str(action.destination), action.destination_port)
        for _ in range(2):  # the first attempt may be told the error of an earlier datagram instead of being made
            try:
                self._socket.sendmsg([payload], ancillary, 0, destination)
            except OSError as failure:
                number = failure.errno
            else:
                return None
        kinds = {errno.ENETUNREACH: "network", errno.EHOSTUNREACH: "host"}
        return DeliveryError(payload, kinds.get(number or 0, "other"))


def reserve_port() -> socket.socket:
    """Hold port 434 and hear nothing on it: who reads frames off the link must keep the kernel from refusing them."""
    deaf = _open()
    attach_filter(deaf, [(0x06, 0, 0, 0)])  # return 0: accept no byte
    return deaf


def _open() -> socket.socket:
    try:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        opened.bind(("0.0.0.0", REGISTRATION_PORT))
    except OSError as failure:
        raise KernelRefused(f"cannot open UDP port {REGISTRATION_PORT}: {failure.strerror}") from failure
    return opened


def _datagram(payload: bytes, ancillary: list[tuple[int, int, bytes]], address: tuple[str, int]) -> Datagram:
    ttl, index, destination = 0, 0, IPv4Address(0)
    for level, kind, octets in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_TTL:
            (ttl,) = _INT.unpack_from(octets)
        elif level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            index, _local, packed = _PACKET_INFO.unpack_from(octets)
            destination = IPv4Address(packed)
    return Datagram(payload, IPv4Address(address[0]), address[1], destination, ttl, index)


def _unreachable(octets: bytes) -> str:
    number, origin, icmp_type, icmp_code, _info, _more = _EXTENDED_ERROR.unpack_from(octets)
    if origin != _ORIGIN_ICMP or icmp_type != _ICMP_UNREACHABLE:
        return {errno.ENETUNREACH: "network", errno.EHOSTUNREACH: "host"}.get(number, "other")
    if icmp_code in _NETWORK_CODES:
        return "network"
    if icmp_code in _HOST_CODES:
        return "host"
    return "port" if icmp_code == _PORT_CODE else "other"
