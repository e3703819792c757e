"""What leaves: inner packets in an outer header by RFC 2003, in both drivers alike."""

from __future__ import annotations

import select
import struct

import pytest

from testbed.network.waiting import scaled
from tests.tunnels.conftest import Ends
from tests.tunnels.lab import (
    CN,
    FA,
    HA,
    MN,
    PATIENCE_S,
    Line,
    carries,
    checksum,
    ipv4,
    is_icmp_error,
    is_tunnelled,
    udp,
)


@pytest.mark.parametrize("fragment", [0x4000, 0x0000], ids=["df", "no-df"])
@pytest.mark.parametrize("tos", [0x00, 0xB8, 0xB9, 0xBA], ids=["default", "ef", "ect1", "ect0"])
def test_the_outer_header_has_the_inner_tos_and_df_and_its_own_ttl(ends: Ends, fragment: int, tos: int) -> None:
    sent = ipv4(CN, MN, udp(b"marker"), tos=tos, fragment=fragment, ttl=9)
    with ends.line.listening("core", "ha") as wire:
        ends.line.send("cn", sent, "ha")
        outer = wire.wait(carries(b"marker"))
    version_length, outer_tos, length, _id, outer_fragment, ttl, protocol = struct.unpack_from("!BBHHHBB", outer)
    assert (version_length, outer_tos, length) == (0x45, tos, 20 + len(sent))
    # ipip with a TTL of its own sets DF always, which RFC 2003 section 3.1 allows.
    assert (outer_fragment, ttl, protocol) == (0x4000 if ends.ha.name == "netdev" else fragment, 64, 4)
    assert outer[12:20] == HA.packed + FA.packed
    assert checksum(outer[:20]) == 0
    inner = outer[20:]
    assert inner[8] == 8, "forwarded into the tunnel: the inner TTL is one less"
    assert checksum(inner[:20]) == 0
    assert inner[12:] == sent[12:]


def test_outer_headers_of_fragmentable_packets_differ_in_their_identification(ends: Ends) -> None:
    with ends.line.listening("core", "ha") as wire:
        for number in range(4):
            ends.line.send("cn", ipv4(CN, MN, udp(b"packet %d" % number)), "ha")
        seen = {wire.wait(carries(b"packet %d" % number))[4:6] for number in range(4)}
    assert len(seen) == 4


def test_inner_packets_come_out_of_the_tunnel_device_and_are_forwarded(ends: Ends) -> None:
    line = ends.line
    with (
        line.listening("ha", ends.from_ha.name) as entrance,
        line.listening("fa", ends.from_fa.name) as exit_,
        line.listening("mn", "fa") as target,
    ):
        line.send("cn", ipv4(CN, MN, udp(b"marker"), ttl=64), "ha")
        assert entrance.wait(carries(b"marker"))[8] == 63
        assert exit_.wait(carries(b"marker"))[8] == 63
        assert target.wait(carries(b"marker"))[8] == 62
    assert (ends.ha.counters(ends.from_ha).packets_out, ends.fa.counters(ends.from_fa).packets_in) == (1, 1)
    assert (ends.ha.counters(ends.from_ha).drops, ends.fa.counters(ends.from_fa).drops) == ({}, {})


def test_both_directions_work_and_hosts_of_the_ends_themselves_do_too(ends: Ends) -> None:
    ends.line.sh("cn", f"ping -c 1 -W 5 {MN}")
    ends.line.sh("fa", f"ip addr add 10.2.9.1/32 dev lo; ip route replace {CN} dev {ends.from_fa.name} src 10.2.9.1")
    ends.line.sh("ha", f"ip route add 10.2.9.1 dev {ends.from_ha.name}")
    ends.line.sh("fa", f"ping -c 1 -W 5 {CN}")
    with ends.line.listening("core", "ha") as wire:
        ends.line.sh("cn", f"ping -c 1 -W 5 {MN}")
        assert all(is_tunnelled(packet) for packet in wire.drain())
        assert len(wire.seen) == 2


def test_a_change_of_the_route_to_the_other_end_is_followed(ends: Ends) -> None:
    mac = "02:00:00:00:0a:0a"
    ends.line.sh("ha", f"ip neigh add 172.16.0.9 lladdr {mac} dev core; ip route add {FA} via 172.16.0.9")
    with ends.line.listening("core", "ha") as wire:
        ends.line.send("cn", ipv4(CN, MN, udp(b"marker")), "ha")
        wire.wait(carries(b"marker"))
        frame = next(frame for frame in wire.frames if b"marker" in frame)
    assert frame[:6] == bytes.fromhex(mac.replace(":", ""))


def test_policy_rules_about_the_tunnel_device_catch_inner_packets_only(ends: Ends) -> None:
    ends.line.sh("ha", f"ip rule add iif {ends.from_ha.name} lookup 99; ip route add blackhole default table 99")
    with ends.line.listening("mn", "fa") as target, ends.line.listening("cn", "ha") as back:
        ends.line.send("cn", ipv4(CN, MN, udp(b"there")), "ha")
        target.wait(carries(b"there"))
        ends.line.send("mn", ipv4(MN, CN, udp(b"back")), "fa")
        ends.line.send("cn", ipv4(CN, MN, udp(b"again")), "ha")
        target.wait(carries(b"again"))
        assert not any(b"back" in packet for packet in back.drain())


def test_a_packet_with_df_that_is_too_big_is_answered_with_the_tunnels_mtu(ends: Ends) -> None:
    with ends.line.listening("cn", "ha") as answers, ends.line.listening("mn", "fa") as target:
        ends.line.send("cn", df_packet(1481, b"too big"), "ha")
        assert struct.unpack_from("!BB4xH", answers.wait(is_icmp_error), 20) == (3, 4, 1480)
        ends.line.send("cn", df_packet(1480, b"fits"), "ha")
        assert len(target.wait(carries(b"fits"))) == 1480
        assert not any(b"too big" in packet for packet in target.seen)


def test_a_big_packet_without_df_arrives_in_fragments_that_fit(ends: Ends) -> None:
    with ends.line.udp_socket("cn") as sender, ends.line.listening("core", "ha") as wire:
        with ends.line.udp_socket("mn") as receiver:
            receiver.bind((str(MN), 4000))
            sender.sendto(b"x" * 1472, (str(MN), 4000))
            assert receiver.recv(2000) == b"x" * 1472
        packets = [packet for packet in wire.drain() if is_tunnelled(packet)]
    assert len(packets) == 2
    assert max(map(len, packets)) <= 1500


def test_the_tunnel_learns_a_smaller_mtu_of_the_path_from_icmp(ends: Ends) -> None:
    narrow(ends.line, 1400)
    with (
        ends.line.listening("ha", "core") as wire,
        ends.line.listening("cn", "ha") as answers,
        ends.line.listening("mn", "fa") as target,
    ):
        ends.line.send("cn", df_packet(1480, b"first"), "ha")
        assert struct.unpack_from("!BB4xH", wire.wait(is_icmp_error), 20) == (3, 4, 1400)
        ends.ha.refresh()
        ends.line.send("cn", df_packet(1381, b"second"), "ha")
        assert struct.unpack_from("!BB4xH", answers.wait(is_icmp_error), 20) == (3, 4, 1380)
        ends.line.send("cn", df_packet(1380, b"third"), "ha")
        assert len(target.wait(carries(b"third"))) == 1380


def test_a_descriptor_tells_of_path_news_where_the_kernel_leaves_it_to_the_driver(ends: Ends) -> None:
    descriptor = ends.ha.fileno()
    if descriptor is None:
        assert ends.ha.name == "netdev", "only the kernel's own devices follow the path by themselves"
        return
    assert not select.select([descriptor], [], [], 0)[0]
    narrow(ends.line, 1400)
    ends.line.send("cn", df_packet(1480, b"big"), "ha")
    assert select.select([descriptor], [], [], scaled(PATIENCE_S))[0]
    ends.ha.refresh()
    assert not select.select([descriptor], [], [], 0)[0]
    assert "mtu 1380" in ends.line.sh("ha", f"ip link show dev {ends.from_ha.name}")


def df_packet(length: int, marker: bytes) -> bytes:
    """A packet of ``length`` bytes from cn to mn that must not be fragmented."""
    return ipv4(CN, MN, udp(marker + bytes(length - 28 - len(marker))), fragment=0x4000)


def narrow(line: Line, mtu: int) -> None:
    """Make the link between core and fa narrower, after the tunnel was made."""
    line.sh("core", f"ip link set fa mtu {mtu}")
    line.sh("fa", f"ip link set core mtu {mtu}")
