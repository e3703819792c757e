"""What must not get through: strangers, loops, forgeries and broken headers; and that nobody is told about it."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import pytest

from testbed.network.waiting import wait_until
from testbed.tunnels.driver import open_driver
from tests.tunnels.conftest import Ends
from tests.tunnels.lab import CN, FA, HA, MN, Line, Sniffer, carries, checksum, ipv4, is_icmp_error, is_tunnelled, udp

STRANGER = IPv4Address("172.16.0.77")
FROM_CN = ipv4(CN, MN, udp(b"marker"))


def after(ends: Ends, sniffer: Sniffer) -> list[bytes]:
    """What a sniffer at mn saw by the time a later, proper packet has come through."""
    ends.line.send("core", ipv4(HA, FA, ipv4(CN, MN, udp(b"the end")), protocol=4), "fa")
    sniffer.wait(carries(b"the end"))
    return [packet for packet in sniffer.seen if b"the end" not in packet]


def only_by(ends: Ends, driver: str) -> bool:
    """Whether this driver says why it drops; the kernel's devices only count that they do, or not even that."""
    return ends.fa.name == driver


def test_an_encapsulated_packet_without_a_tunnel_is_dropped_counted_and_not_answered(ends: Ends) -> None:
    with ends.line.listening("mn", "fa") as target, ends.line.listening("core", "fa") as wire:
        before = ends.fa.strangers()
        ends.line.send("core", ipv4(STRANGER, FA, FROM_CN, protocol=4), "fa")
        wait_until(lambda: ends.fa.strangers() == before + 1, what="the stranger is counted", timeout_s=5)
        assert after(ends, target) == []
        assert not any(is_icmp_error(packet) for packet in wire.drain())


def test_strangers_are_not_answered_before_the_first_tunnel_nor_after_the_last(driver_name: str, line: Line) -> None:
    with line["fa"].entered():
        driver = open_driver(driver_name, underlay=["core"])
    with line.listening("core", "fa") as wire:
        line.send("core", ipv4(HA, FA, FROM_CN, protocol=4), "fa")
        wait_until(lambda: driver.strangers() == 1, what="the stranger is counted", timeout_s=5)
        line.sh("core", f"ping -c 1 -W 5 {FA}")
        assert not any(is_icmp_error(packet) for packet in wire.drain())
    driver.shutdown()


def test_encapsulated_packets_for_others_are_forwarded(ends: Ends) -> None:
    with ends.line.listening("mn", "fa") as target:
        ends.line.send("core", ipv4(HA, MN, FROM_CN, protocol=4), "fa")
        assert is_tunnelled(target.wait(carries(b"marker")))
    assert ends.fa.strangers() == 0


def test_what_comes_from_the_tunnels_other_end_is_not_sent_back_there(ends: Ends) -> None:
    if not only_by(ends, "ebpf"):
        pytest.skip("ipip devices rely on the inner TTL against this loop")
    with ends.line.listening("core", "ha") as wire:
        ends.line.send("cn", ipv4(FA, MN, udp(b"circle")), "ha")
        wait_until(lambda: ends.ha.counters(ends.from_ha).drops == {"loop": 1}, what="the loop is counted", timeout_s=5)
        assert wire.drain() == []


def test_an_already_encapsulated_packet_from_the_care_of_address_is_not_encapsulated_again(ends: Ends) -> None:
    if not only_by(ends, "ebpf"):
        pytest.skip("ipip devices rely on the inner TTL against this loop")
    with ends.line.listening("core", "ha") as wire:
        ends.line.send("cn", ipv4(FA, MN, ipv4(CN, MN, udp(b"circle")), protocol=4), "ha")
        wait_until(lambda: ends.ha.counters(ends.from_ha).drops == {"loop": 1}, what="the loop is counted", timeout_s=5)
        assert wire.drain() == []


def test_a_forwarded_packet_with_the_encapsulators_own_source_is_not_tunnelled(ends: Ends) -> None:
    with ends.line.listening("core", "ha") as wire, ends.line.listening("ha", ends.from_ha.name) as entrance:
        ends.line.send("cn", ipv4(HA, MN, udp(b"martian")), "ha")
        ends.line.send("cn", FROM_CN, "ha")
        wire.wait(carries(b"marker"))
        assert not any(b"martian" in packet for packet in entrance.drain())


def test_a_tunnel_whose_far_end_is_routed_into_itself_sends_nothing(ends: Ends) -> None:
    ends.line.sh("ha", f"ip route add {FA} dev {ends.from_ha.name}")
    with ends.line.listening("core", "ha") as wire:
        ends.line.send("cn", FROM_CN, "ha")
        if only_by(ends, "ebpf"):
            wait_until(
                lambda: ends.ha.counters(ends.from_ha).drops == {"loop": 1}, what="the loop is counted", timeout_s=5
            )
        ends.line.sh("ha", "ping -c 1 -W 5 172.16.0.1")
        assert not any(is_tunnelled(packet) for packet in wire.drain())


def test_packets_without_a_route_to_the_far_end_are_counted(ends: Ends) -> None:
    ends.line.sh("ha", f"ip route add unreachable {FA}")
    ends.line.send("cn", FROM_CN, "ha")
    if only_by(ends, "ebpf"):
        wait_until(
            lambda: ends.ha.counters(ends.from_ha).drops == {"no route": 1}, what="the drop is counted", timeout_s=5
        )
    assert ends.ha.counters(ends.from_ha).packets_out == 0


GOOD = ipv4(HA, FA, FROM_CN, protocol=4)
BROKEN = {
    "outer checksum": ipv4(HA, FA, FROM_CN, protocol=4, wrong_checksum=True),
    "inner version 6": ipv4(HA, FA, b"\x65" + FROM_CN[1:], protocol=4),
    "inner header cut short": ipv4(HA, FA, FROM_CN[:12], protocol=4),
    "inner longer than outer": ipv4(HA, FA, FROM_CN[:-1], protocol=4),
    "inner header length below 20": ipv4(HA, FA, b"\x44" + FROM_CN[1:], protocol=4),
    "outer longer than the frame": GOOD[:-4],
    "nothing inside": ipv4(HA, FA, b"", protocol=4),
}


@pytest.mark.parametrize("packet", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_packet_reaches_nobody_and_is_not_answered(ends: Ends, packet: bytes) -> None:
    with ends.line.listening("mn", "fa") as target, ends.line.listening("core", "fa") as wire:
        ends.line.send("core", packet, "fa")
        assert after(ends, target) == []
        assert not any(is_icmp_error(seen) for seen in wire.drain())
    if only_by(ends, "ebpf"):
        assert ends.fa.counters(ends.from_fa).drops == {"malformed outer": 1}


def test_outer_options_are_stripped_with_the_header(ends: Ends) -> None:
    with ends.line.listening("mn", "fa") as target:
        ends.line.send("core", ipv4(HA, FA, FROM_CN, protocol=4, options=b"\x01" * 8), "fa")
        assert target.wait(carries(b"marker"))[12:] == FROM_CN[12:]


def test_padding_behind_a_short_packet_does_not_come_out(ends: Ends) -> None:
    with ends.line.listening("mn", "fa") as target:
        ends.line.send("core", ipv4(HA, FA, ipv4(CN, MN, udp(b"m!")), protocol=4) + bytes(30), "fa")
        assert len(target.wait(carries(b"m!"))) == 30


@pytest.mark.parametrize(
    ("outer", "inner", "arrives"),
    [(3, 0, None), (3, 1, 3), (3, 2, 3), (3, 3, 3), (1, 2, 1), (2, 1, 1), (0, 2, 2), (0, 0, 0), (2, 0, 0)],
)
def test_congestion_marks_are_carried_inwards_by_rfc_6040(
    ends: Ends, outer: int, inner: int, arrives: int | None
) -> None:
    packet = ipv4(CN, MN, udp(b"marker"), tos=0xB8 | inner)
    with ends.line.listening("mn", "fa") as target:
        ends.line.send("core", ipv4(HA, FA, packet, protocol=4, tos=0x20 | outer), "fa")
        if arrives is None:
            assert after(ends, target) == []
            return
        arrived = target.wait(carries(b"marker"))
    assert arrived[1] == 0xB8 | arrives
    assert checksum(arrived[:20]) == 0


def test_fragments_of_outer_packets_are_never_answered(ends: Ends) -> None:
    whole = FROM_CN + bytes(4)
    first = ipv4(HA, FA, whole[:24], protocol=4, fragment=0x2000)
    rest = ipv4(HA, FA, whole[24:], protocol=4, fragment=24 // 8)
    with ends.line.listening("mn", "fa") as target, ends.line.listening("core", "fa") as wire:
        ends.line.send("core", first, "fa")
        ends.line.send("core", rest, "fa")
        arrived = after(ends, target)
        assert not any(is_icmp_error(packet) for packet in wire.drain())
    if only_by(ends, "ebpf"):
        assert ends.fa.counters(ends.from_fa).drops == {"outer fragment": 2}
        assert arrived == []
    else:
        # mn, where nobody listens on that port, may have answered by now
        assert [packet[20:] for packet in arrived if packet[12:16] == CN.packed] == [FROM_CN[20:]]


def test_strict_reverse_path_filtering_on_the_device_checks_inner_sources(ends: Ends) -> None:
    ends.line["fa"].write_sysctl(f"net/ipv4/conf/{ends.from_fa.name}/rp_filter", 1)
    with ends.line.listening("mn", "fa") as target:
        ends.line.send("core", ipv4(HA, FA, ipv4(STRANGER, MN, udp(b"forged")), protocol=4), "fa")
        assert after(ends, target) == []


def test_packets_that_are_not_ipv4_do_not_leave_by_the_tunnel(ends: Ends) -> None:
    with ends.line.listening("core", "ha") as wire:
        with ends.line["ha"].socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sender:
            sender.sendto(bytes(40), (ends.from_ha.name, 0x88B5, 0, 0, bytes(6)))
        ends.line.send("cn", FROM_CN, "ha")
        wire.wait(carries(b"marker"))
        assert [is_tunnelled(packet) for packet in wire.seen] == [True]
    if only_by(ends, "ebpf"):
        assert ends.ha.counters(ends.from_ha).drops == {"not ipv4": 1}


def test_nothing_but_what_is_sent_appears_on_the_device(ends: Ends) -> None:
    with ends.line.udp_socket("mn") as receiver, ends.line.listening("fa", ends.from_fa.name) as device:
        receiver.bind((str(MN), 4000))  # else mn's "port unreachable" goes back through the tunnel
        ends.line.send("cn", FROM_CN, "ha")
        assert receiver.recv(100) == b"marker"
        device.drain()
        assert len(device.frames) == 1
    assert "incomplete" not in ends.line.sh("fa", f"ip neigh show dev {ends.from_fa.name} nud all").lower()
