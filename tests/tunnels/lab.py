"""A line of five namespaces with a tunnel in its middle, for tests of the drivers.

::

    cn 10.1.0.2 ─── 10.1.0.1 ha 172.16.0.2 ─── .1 core .1 ─── 172.16.1.2 fa 10.2.0.1 ─── 10.2.0.2 mn
                                    ══════════ tunnel ══════════

Nothing here is the tunnels' own code: addresses and packets are made with ip(8), sockets and struct. Interfaces are
named after the neighbour. Between core and its neighbours no packet can go from cn's network to mn's but in a tunnel.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from testbed.network import syscalls
from testbed.network.netns import Namespace
from testbed.network.waiting import scaled
from testbed.tunnels.endpoints import TunnelEndpoints

CN, MN = IPv4Address("10.1.0.2"), IPv4Address("10.2.0.2")
HA, FA = IPv4Address("172.16.0.2"), IPv4Address("172.16.1.2")
CORE_TOWARDS_HA, CORE_TOWARDS_FA = IPv4Address("172.16.0.1"), IPv4Address("172.16.1.1")
FROM_HA = TunnelEndpoints(HA, FA)
FROM_FA = TunnelEndpoints(FA, HA)

ETH_P_ALL = 3
ARPHRD_ETHER = 1
_ARPHRD_ETHER = 1
PATIENCE_S = 5.0
_IP_MTU_DISCOVER, _NEVER = 10, 0


def checksum(payload: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over a header whose checksum is right."""
    words = struct.unpack(f"!{len(payload) // 2}H", payload[: len(payload) & ~1])
    total: int = sum(words) + (payload[-1] << 8 if len(payload) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    source: IPv4Address,
    destination: IPv4Address,
    payload: bytes,
    *,
    protocol: int = 17,
    tos: int = 0,
    ttl: int = 64,
    fragment: int = 0,
    options: bytes = b"",
    wrong_checksum: bool = False,
) -> bytes:
    """An IPv4 packet; ``fragment`` is the flags and offset word, 0x4000 is DF."""
    length = 20 + len(options)
    fields = (0x40 | length // 4, tos, length + len(payload), 7, fragment, ttl, protocol)
    unsummed = struct.pack("!BBHHHBBH4s4s", *fields, 0, source.packed, destination.packed) + options
    total = checksum(unsummed) ^ (0x5555 if wrong_checksum else 0)
    return unsummed[:10] + struct.pack("!H", total) + unsummed[12:] + payload


def udp(payload: bytes, port: int = 4000) -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack("!HHHH", 4001, port, 8 + len(payload), 0) + payload


class Line:
    """The namespaces by name, and what tests do in them."""

    def __init__(self) -> None:
        self._nodes = {name: _anonymous_namespace(name) for name in ("cn", "ha", "core", "fa", "mn")}
        # One ip(8) a node: under emulation a fork of the test's process takes a good part of a second.
        core, cn, mn = (self._ends_of_cables(node) for node in ("core", "cn", "mn"))
        self._ip("core", [*core, *configured("ha", "172.16.0.1"), *configured("fa", "172.16.1.1")])
        self._ip("cn", [*cn, *configured("ha", "10.1.0.2"), "route add default via 10.1.0.1"])
        self._ip("mn", [*mn, *configured("fa", "10.2.0.2"), "route add default via 10.2.0.1"])
        for node, host, inner, outer in (("ha", "cn", "10.1.0.1", "172.16.0"), ("fa", "mn", "10.2.0.1", "172.16.1")):
            routed = [*configured("core", f"{outer}.2"), f"route add default via {outer}.1"]
            self._ip(node, [*configured(host, inner), *routed])

    def _ends_of_cables(self, node: str) -> list[str]:
        cables = {"core": ("ha", "fa"), "cn": ("ha",), "mn": ("fa",)}
        there = "type veth peer name {} netns /proc/{}/fd/{}"
        return [f"link add {other} {there.format(node, os.getpid(), self[other].fd)}" for other in cables[node]]

    def _ip(self, node: str, commands: list[str]) -> None:
        with self[node].entered():
            batch = "\n".join(["link set lo up", *commands])
            subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)

    def __getitem__(self, name: str) -> Namespace:
        return self._nodes[name]

    def sh(self, node: str, script: str) -> str:
        """Run a shell script inside a node and return what it printed; fails the test where it fails."""
        with self[node].entered():
            done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{node}: {script}: {done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def listening(self, node: str, device: str) -> Iterator[Sniffer]:
        """Frames that pass through a device, both ways, from now on."""
        with Sniffer(self[node], device) as sniffer:
            yield sniffer

    def send(self, node: str, packet: bytes, device: str) -> None:
        """Put an IPv4 packet on the link behind ``device``, addressed to the neighbour's MAC."""
        with self[node].socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind((device, 0))
            sender.send(self.mac(device, node) + bytes.fromhex("020000000099") + b"\x08\x00" + packet)

    def mac(self, node: str, device: str) -> bytes:
        """The hardware address of a node's device."""
        siocgifhwaddr = 0x8927
        with self[node].socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            return fcntl.ioctl(any_socket, siocgifhwaddr, device.encode().ljust(40, b"\0"))[18:24]

    def udp_socket(self, node: str) -> socket.socket:
        """A UDP socket of a node whose packets do not carry DF."""
        opened = self[node].socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.settimeout(scaled(PATIENCE_S))
        opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _NEVER)
        return opened

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()


class Sniffer:
    """What a packet socket saw, as IPv4 packets without the Ethernet header."""

    def __init__(self, namespace: Namespace, device: str) -> None:
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((device, ETH_P_ALL))
        self.seen: list[bytes] = []
        self.frames: list[bytes] = []

    def __enter__(self) -> Sniffer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def wait(self, wanted: Callable[[bytes], bool]) -> bytes:
        """The first IPv4 packet, already seen or still to come, that is wanted; fails the test if none comes."""
        for packet in self.seen:
            if wanted(packet):
                return packet
        while select.select([self._socket], [], [], scaled(PATIENCE_S))[0]:
            if (arrived := self._read()) is not None and wanted(arrived):
                return arrived
        raise AssertionError(f"no such packet; seen: {[packet.hex() for packet in self.seen]}")

    def drain(self) -> list[bytes]:
        """All IPv4 packets so far, without waiting."""
        while select.select([self._socket], [], [], 0)[0]:
            self._read()
        return self.seen

    def _read(self) -> bytes | None:
        frame, (_device, protocol, _direction, hardware, _address) = self._socket.recvfrom(1 << 17)
        self.frames.append(frame)
        if protocol != 0x0800:
            return None
        # The kernel's own tunnel devices have no link header.
        self.seen.append(frame[14:] if hardware == _ARPHRD_ETHER else frame)
        return self.seen[-1]


def configured(device: str, address: str) -> list[str]:
    """The commands that give a device an address and switch it on."""
    return [f"addr add {address}/24 dev {device}", f"link set {device} up"]


def is_tunnelled(packet: bytes) -> bool:
    return packet[9] == 4


def is_icmp_error(packet: bytes) -> bool:
    return packet[9] == 1 and packet[20] in (3, 4, 5, 11, 12)


def carries(marker: bytes) -> Callable[[bytes], bool]:
    """Packets with these bytes anywhere in them."""
    return lambda packet: marker in packet


def _anonymous_namespace(name: str) -> Namespace:
    """A namespace that no name keeps alive: gone with the test's process at the latest."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        made = Namespace(name, os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), None)
        settings = {
            "net/ipv4/ip_forward": 1,
            "net/ipv4/conf/all/rp_filter": 0,
            "net/ipv4/conf/default/rp_filter": 0,
            "net/ipv4/icmp_ratelimit": 0,
        }
        if os.path.exists("/proc/sys/net/ipv6"):
            settings["net/ipv6/conf/default/disable_ipv6"] = 1
        made.write_sysctls(settings)
        return made
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
