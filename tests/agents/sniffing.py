"""Frames on a LAN as the tests see them, and frames that the tests put there: packet sockets, no agent code."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from testbed.network.waiting import scaled

ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 3, 0x0800, 0x0806
BROADCAST = b"\xff" * 6
PATIENCE_S = 5.0


class Arp(NamedTuple):
    destination: bytes
    operation: int
    sender_mac: bytes
    sender: str
    target: str


class Sniffer:
    """Frames that pass an interface of the calling thread's namespace.

    A bridge itself sees only what is for everybody; its port to a node sees all that the node sees.
    """

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, ETH_P_ALL))
        self.frames: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def drain(self) -> list[bytes]:
        """All frames so far, without waiting."""
        while select.select([self._socket], [], [], 0)[0]:
            self.frames.append(self._socket.recv(65536))
        return self.frames

    def wait(self, wanted: Callable[[bytes], bool]) -> bytes:
        """The first frame, seen or still to come, that is wanted; fails the test if none comes."""
        place = 0
        last_s = time.monotonic() + scaled(PATIENCE_S)
        while True:
            for frame in self.frames[place:]:
                if wanted(frame):
                    return frame
            place = len(self.frames)
            left_s = max(0.0, last_s - time.monotonic())
            assert select.select([self._socket], [], [], left_s)[0], "no such frame came"
            self.frames.append(self._socket.recv(65536))

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def sniffing(interface: str) -> Iterator[Sniffer]:
    sniffer = Sniffer(interface)
    try:
        yield sniffer
    finally:
        sniffer.close()


def arp_of(frame: bytes) -> Arp | None:
    """The ARP message in a frame, if it is one."""
    if frame[12:14] != b"\x08\x06":
        return None
    operation, sender_mac, sender, target = struct.unpack_from("!6xH6s4s6x4s", frame, 14)
    return Arp(frame[:6], operation, sender_mac, socket.inet_ntoa(sender), socket.inet_ntoa(target))


def arp_request(destination: bytes, mac: bytes, sender: str, target: str) -> bytes:
    """A frame that asks who has ``target``."""
    body = struct.pack("!HHBBH6s4s6x4s", 1, 0x0800, 6, 4, 1, mac, socket.inet_aton(sender), socket.inet_aton(target))
    return destination + mac + b"\x08\x06" + body


def udp_payload(frame: bytes) -> bytes | None:
    """What a UDP datagram to port 434 carries, if the frame holds one."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    start = 14 + (frame[14] & 15) * 4
    if frame[start + 2 : start + 4] != (434).to_bytes(2, "big"):
        return None
    return frame[start + 8 : start + int.from_bytes(frame[start + 4 : start + 6], "big")]


def tunnelled(frame: bytes) -> tuple[str, str, str, str] | None:
    """Outer source and destination, inner source and destination of a protocol-4 packet."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 4:
        return None
    inner = 14 + (frame[14] & 15) * 4
    addresses = (frame[26:30], frame[30:34], frame[inner + 12 : inner + 16], frame[inner + 16 : inner + 20])
    outer_source, outer_destination, inner_source, inner_destination = map(socket.inet_ntoa, addresses)
    return outer_source, outer_destination, inner_source, inner_destination
