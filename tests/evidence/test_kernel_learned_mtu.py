"""What the kernel has learned of a path is not a route that somebody made."""

from __future__ import annotations

import contextlib
import socket
import struct
from ipaddress import IPv4Address

import pytest

from testbed.evidence.kernel import take_snapshot
from testbed.network.netns import Namespace
from testbed.network.waiting import wait_until
from tests.network.private import in_world

NEAR, FAR = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
PORT = 4000
_FRAGMENTATION_NEEDED = (3, 4)


def _checksum(payload: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(payload) // 2}H", payload))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _too_big(mtu: int) -> bytes:
    """An ICMP message to NEAR: its datagram to FAR was too big for the path (RFC 1191 section 4)."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1400, 1, 0x4000, 64, 17, 0, NEAR.packed, FAR.packed)
    quoted = header + struct.pack("!HHHH", PORT, PORT, 1380, 0)
    unsummed = struct.pack("!BBHHH", *_FRAGMENTATION_NEEDED, 0, 0, mtu) + quoted
    return unsummed[:2] + struct.pack("!H", _checksum(unsummed)) + unsummed[4:]


@pytest.mark.kernel
@in_world
def test_a_learned_path_mtu_is_not_taken_for_a_second_route() -> None:
    near, far = Namespace.create("near"), Namespace.create("far")
    near.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", "far"])
    for node, address in ((near, NEAR), (far, FAR)):
        node.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
        node.run(["ip", "link", "set", "eth0", "up"])
    near.run(["ip", "route", "add", f"{FAR}/32", "dev", "eth0"])
    with (
        near.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        far.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as router,
    ):
        sender.bind((str(NEAR), PORT))
        sender.connect((str(FAR), PORT))

        def learned() -> bool:
            with contextlib.suppress(OSError):  # the news that comes with the first
                sender.send(bytes(1000))
            router.sendto(_too_big(800), (str(NEAR), 0))
            return "mtu 800" in near.run(["ip", "route", "get", str(FAR)]).stdout

        wait_until(learned, what="a path MTU to be learned", timeout_s=5)
    assert [route.mtu for route in take_snapshot(near).routes_for(FAR)] == [None]
