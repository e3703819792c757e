"""Streams through the tunnel: TCP with and without segmentation offload, through one tunnel and through two."""

from __future__ import annotations

import hashlib
import shutil
import socket
import struct
import subprocess
import threading
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.network.waiting import scaled
from testbed.tunnels.driver import open_driver
from testbed.tunnels.endpoints import TunnelEndpoints
from tests.tunnels.conftest import Ends
from tests.tunnels.lab import CN, HA, MN, PATIENCE_S, Line, carries, ipv4, is_tunnelled, udp

PAYLOAD = hashlib.shake_256(b"tunnel").digest(2_000_000)
LONGEST_S = 20.0


def transfer(line: Line, sender: str, receiver: str, address: str) -> bytes:
    """Send the payload over one TCP connection and return what arrived."""
    received = bytearray()
    failures: list[OSError] = []
    with line[receiver].socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.settimeout(scaled(LONGEST_S))
        listener.bind((address, 5000))
        listener.listen()

        def receive() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(scaled(LONGEST_S))
                    while piece := connection.recv(1 << 16):
                        received.extend(piece)
            except OSError as failure:
                failures.append(failure)

        thread = threading.Thread(target=receive)
        thread.start()
        try:
            with line[sender].socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
                connection.settimeout(scaled(LONGEST_S))
                connection.connect((address, 5000))
                connection.sendall(PAYLOAD)
        finally:
            thread.join()
    assert not failures
    return bytes(received)


def switch_offloads(line: Line, state: str) -> None:
    for node, devices in (("cn", "ha"), ("ha", "cn core"), ("core", "ha fa"), ("fa", "core mn"), ("mn", "fa")):
        for device in devices.split():
            line.sh(node, f"ethtool -K {device} tso {state} gso {state} gro {state} tx {state} rx {state}")


@pytest.mark.parametrize("offloads", ["on", "off"])
@pytest.mark.parametrize("direction", ["down", "up"])
def test_tcp_content_survives_the_tunnel(ends: Ends, direction: str, offloads: str) -> None:
    if shutil.which("ethtool") is None:
        pytest.skip("switching offloads needs ethtool")
    switch_offloads(ends.line, offloads)
    if direction == "down":
        assert transfer(ends.line, "cn", "mn", str(MN)) == PAYLOAD
    else:
        assert transfer(ends.line, "mn", "cn", str(CN)) == PAYLOAD
    assert ends.ha.counters(ends.from_ha).drops == {}
    assert ends.fa.counters(ends.from_fa).drops == {}


@pytest.mark.parametrize("length", [3000, 65281, 65501], ids=["small", "largest of TCP", "largest of the wire"])
def test_superpackets_cross_the_tunnel_whole_where_devices_allow_it(ends: Ends, length: int) -> None:
    with ends.line.listening("core", "ha") as wire, ends.line.listening("mn", "fa") as target:
        send_superpacket(ends.line, length)
        assert len(wire.wait(carries(b"superpacket"))) == length + 20
        assert len(target.wait(carries(b"superpacket"))) == length


def test_a_superpacket_that_leaves_no_room_for_the_outer_header_is_cut_up(ends: Ends) -> None:
    with ends.line.listening("core", "ha") as wire:
        send_superpacket(ends.line, 65516)
        assert len(wire.wait(carries(b"superpacket"))) == 20 + 40 + SEGMENT


SEGMENT = 1400


def send_superpacket(line: Line, length: int) -> None:
    """One TCP packet of ``length`` bytes from cn to mn that stands for many of SEGMENT bytes (PACKET_VNET_HDR)."""
    packet_vnet_hdr, needs_checksum, tcpv4 = 15, 1, 1
    payload = b"superpacket".ljust(length - 40, b"x")
    tcp = struct.pack("!HHIIBBHHH", 5001, 5000, 1, 1, 0x50, 0x10, 512, 0, 0) + payload
    packet = ipv4(CN, MN, tcp, protocol=6, fragment=0x4000)
    with line["cn"].socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.setsockopt(263, packet_vnet_hdr, 1)  # SOL_PACKET
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sender.bind(("ha", 0))
        offload = struct.pack("=BBHHHH", needs_checksum, tcpv4, 14 + 40, SEGMENT, 14 + 20, 16)
        sender.send(offload + line.mac("ha", "cn") + bytes(6) + b"\x08\x00" + packet)


@pytest.mark.parametrize("offloads", ["on", "off"])
def test_what_came_out_of_one_tunnel_goes_into_another(ends: Ends, offloads: str) -> None:
    """Two mobile nodes behind the same home agent talk: decapsulated and encapsulated again on one machine."""
    line, other = ends.line, "10.9.0.2"
    switch_offloads(line, offloads)
    line.sh("cn", f"ip addr add {other}/32 dev lo")
    with line["ha"].entered():
        from_ha = ends.ha.open(TunnelEndpoints(CN - 1, CN))
    with line["cn"].entered():
        at_cn = open_driver(ends.ha.name, underlay=["ha"])
        from_cn = at_cn.open(TunnelEndpoints(CN, CN - 1))
    line.sh("fa", f"ip route add {other} dev {ends.from_fa.name}")
    line.sh("ha", f"ip route add {other} dev {from_ha.name}")
    line.sh("cn", f"ip route add {MN} dev {from_cn.name} src {other}")
    with line.listening("core", "ha") as one, line.listening("cn", "ha") as two:
        assert transfer(line, "mn", "cn", other) == PAYLOAD
        assert all(map(is_tunnelled, one.drain()))
        assert all(map(is_tunnelled, two.drain()))
    assert (ends.ha.counters(from_ha).drops, ends.ha.counters(ends.from_ha).drops) == ({}, {})
    at_cn.shutdown()


def test_a_tunnel_in_a_tunnel_adds_both_headers(ends: Ends) -> None:
    line = ends.line
    beyond = TunnelEndpoints(HA, CN + 512)  # reached through the first tunnel
    line.sh("ha", f"ip route add {beyond.remote} dev {ends.from_ha.name}")
    with line["ha"].entered():
        device = ends.ha.open(beyond)
    line.sh("ha", f"ip route add 10.9.0.0/16 dev {device.name}")
    assert f"mtu {1500 - 40} " in line.sh("ha", f"ip link show dev {device.name}")
    with line.listening("core", "ha") as wire:
        line.send("cn", ipv4(CN, IPv4Address("10.9.0.1"), udp(b"nested")), "ha")
        packet = wire.wait(carries(b"nested"))
    assert (packet[9], packet[29], packet[49]) == (4, 4, 17)


def test_tshark_dissects_what_the_tunnel_sends_without_a_warning(ends: Ends, tmp_path: Path) -> None:
    if shutil.which("tshark") is None or shutil.which("tcpdump") is None:
        pytest.skip("needs tcpdump and tshark")
    line, capture = ends.line, tmp_path / "core.pcap"
    switch_offloads(line, "off")
    command = ["tcpdump", "-Z", "root", "-U", "--immediate-mode", "-n", "-s0", "-c", "12", "-w", str(capture)]
    with line["core"].popen([*command, "-i", "ha", "ip"], stderr=subprocess.PIPE) as tcpdump:
        try:
            assert tcpdump.stderr is not None
            assert b"listening" in tcpdump.stderr.readline()
            line.sh("cn", f"ping -c 3 -i 0.2 -W 5 {MN}")
            line.sh("cn", f"ping -c 1 -s 3000 -W 5 {MN}")
            tcpdump.wait(scaled(PATIENCE_S))
        finally:
            tcpdump.kill()
    read = ["tshark", "-r", str(capture), "-o", "ip.check_checksum:TRUE"]
    everything = line.sh("core", " ".join([*read, "-T", "fields", "-e", "ip.proto", "-e", "icmp.type"]))
    assert everything.split("\n")[0] == "4,1\t8"
    assert len(everything.splitlines()) == 12
    warned = line.sh("core", " ".join([*read, "-Y", "'_ws.expert.severity >= 0x00600000'"]))
    assert warned == ""


def test_auto_chooses_a_driver_that_works(driver_name: str, line: Line) -> None:
    with line["ha"].entered():
        opened = open_driver("auto", underlay=["core"])
    assert opened.name in ("netdev", "ebpf")
    opened.shutdown()
