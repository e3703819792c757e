"""A packet socket on an agent's link: whole frames in and out, so that MAC addresses are known and no ARP is needed.

The kernel hands over only what the agent's role has use for; all other traffic of the link passes it by.
"""

from __future__ import annotations

import array
import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.errors import KernelRefused
from testbed.protocol.packets import MacAddress
from testbed.protocol.registration import REGISTRATION_PORT

ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION = 9, 10

# linux/if_packet.h, asm-generic/socket.h
_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 1, 8, 23
_PACKET_MR_MULTICAST = 0
_SO_ATTACH_FILTER = 26
_TP_STATUS_CSUMNOTREADY = 0x08
_AUXDATA_STATUS = struct.Struct("=I")
_ANCILLARY_BYTES = socket.CMSG_SPACE(20)
_LARGEST_FRAME = 65_536
_AT_ONCE = 64
"""Frames read before the agent looks at anything else."""

_ARP, _IPV4, _ICMP, _UDP = 0x0806, 0x0800, 1, 17
_LD_HALF, _LD_BYTE, _LDX_HEADER_LENGTH = 0x28, 0x30, 0xB1
_LD_HALF_INDEXED, _LD_BYTE_INDEXED = 0x48, 0x50
_JUMP_EQUAL, _JUMP_GREATER, _JUMP_BITS, _RETURN = 0x15, 0x25, 0x45, 0x06
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_PKTTYPE: 0 to us, 1 broadcast, 2 multicast, 3 to somebody else, 4 our own


@dataclass(frozen=True, slots=True)
class Received:
    """One frame; ``checksum_ready`` False where a sender on this machine left the checksum to hardware."""

    octets: bytes
    checksum_ready: bool


def link_filter(icmp_type: int, *, arp: bool) -> list[tuple[int, int, int, int]]:
    """A classic BPF program that accepts frames for us with ICMP of one type, UDP to port 434 and, if wanted, ARP.

    Jumps count from the next instruction on; the last two instructions are "accept" and "reject".
    """
    program = [
        (_LD_BYTE, 0, 0, _PACKET_TYPE),
        (_JUMP_GREATER, 14, 0, 2),
        (_LD_HALF, 0, 0, 12),
        (_JUMP_EQUAL, 11 if arp else 12, 0, _ARP),
        (_JUMP_EQUAL, 0, 11, _IPV4),
        (_LD_HALF, 0, 0, 20),
        (_JUMP_BITS, 9, 0, 0x1FFF),  # a later fragment has no ports
        (_LDX_HEADER_LENGTH, 0, 0, 14),
        (_LD_BYTE, 0, 0, 23),
        (_JUMP_EQUAL, 0, 2, _ICMP),
        (_LD_BYTE_INDEXED, 0, 0, 14),
        (_JUMP_EQUAL, 3, 4, icmp_type),
        (_JUMP_EQUAL, 0, 3, _UDP),
        (_LD_HALF_INDEXED, 0, 0, 16),
        (_JUMP_EQUAL, 0, 1, REGISTRATION_PORT),
    ]
    return [*program, (_RETURN, 0, 0, 0x40000), (_RETURN, 0, 0, 0)]


def attach_filter(opened: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    """Have the kernel hand over only what the classic BPF program accepts."""
    code = array.array("B", b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    address, _length = code.buffer_info()
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program), address))


class LinkSocket:
    """Frames of one interface that concern an agent; the interface's ``index`` and ``mac`` are read once."""

    def __init__(
        self, interface: str, *, icmp_type: int, arp: bool = False, groups: tuple[IPv4Address, ...] = ()
    ) -> None:
        """:raises KernelRefused: there is no such interface, or no right to open packet sockets."""
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            attach_filter(self._socket, link_filter(icmp_type, arp=arp))  # before anything can arrive
            self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            self._socket.bind((interface, _ETH_P_ALL))
            self.index = socket.if_nametoindex(interface)
            self.mac = MacAddress(self._socket.getsockname()[4])
            for group in groups:
                mac = MacAddress.of_multicast(group)
                membership = struct.pack("=iHH8s", self.index, _PACKET_MR_MULTICAST, len(mac), mac)
                self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        except OSError as failure:
            raise KernelRefused(f"cannot open a packet socket on {interface!r}: {failure.strerror}") from failure

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> list[Received]:
        """What has arrived, without waiting; at most a handful of frames at a time."""
        frames = []
        for _ in range(_AT_ONCE):
            try:
                octets, ancillary, _flags, _source = self._socket.recvmsg(_LARGEST_FRAME, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError as failure:
                if failure.errno != errno.ENETDOWN:  # told once when the interface goes down
                    raise
                continue
            frames.append(Received(octets, _checksum_ready(ancillary)))
        return frames

    def send(self, frame: bytes) -> None:
        """:raises OSError: the interface is down, or its queue is full."""
        self._socket.send(frame)


def _checksum_ready(ancillary: list[tuple[int, int, bytes]]) -> bool:
    for level, kind, payload in ancillary:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA and len(payload) >= _AUXDATA_STATUS.size:
            (status,) = _AUXDATA_STATUS.unpack_from(payload)
            return not status & _TP_STATUS_CSUMNOTREADY
    return True
