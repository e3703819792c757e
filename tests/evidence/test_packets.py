from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP

from testbed.errors import LabError
from testbed.evidence.packets import CaptureFile, Direction, PacketLog
from tests.evidence.wire import BROADCAST, HOP_NS, START_NS, Wire, datagram, mac, triangle_downlink, tunnelled

CN, MN = IPv4Address("203.0.113.10"), IPv4Address("192.0.2.10")
HA, FA = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.66")


def test_packets_of_all_captures_are_in_time_order_and_keep_their_own_numbers(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for number in range(3):
        triangle_downlink(wire, number)
    log = wire.log()
    assert len(log) == 30
    times = [packet.time_ns for packet in log]
    assert times == sorted(times) == [START_NS + HOP_NS * step for step in range(1, 31)]
    for place in wire.seen:
        node, interface = place.split(":")
        numbers = [packet.number for packet in log.select(node=node, interface=interface)]
        assert numbers == list(range(1, len(wire.seen[place]) + 1))


def test_a_log_takes_in_what_comes_later_even_if_it_was_seen_earlier(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 1)
    late, first = wire.files(without=("cn:eth0",)), wire.files()
    cn = next(file for file in first if file.name == "cn:eth0")
    log = PacketLog(late)
    assert log.refresh() == 9
    late.append(cn)
    assert log.refresh() == 1
    assert log.packets[0].place == "cn:eth0"
    assert log.select(source=CN, destination=MN)[0].place == "cn:eth0"
    assert log.refresh() == 0


def test_direction_comes_from_the_interface_address(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("ha:lan", "mn:eth0", datagram(1), flooded="host:eth0")
    wire.link("mn:eth0", "ha:lan", ARP(psrc="192.0.2.10", pdst="192.0.2.10"), to=BROADCAST, flooded="host:eth0")
    log = wire.log()
    seen = [(packet.place, packet.direction, packet.overheard) for packet in log]
    assert seen == [
        ("ha:lan", Direction.OUT, False),
        ("host:eth0", Direction.IN, True),
        ("mn:eth0", Direction.IN, False),
        ("mn:eth0", Direction.OUT, False),
        ("host:eth0", Direction.IN, False),
        ("ha:lan", Direction.IN, False),
    ]
    assert [packet.place for packet in log.select(overheard=True)] == ["host:eth0"]
    assert len(log.select()) == 5
    assert len(log.select(overheard=None)) == 6


def test_without_an_interface_address_there_is_no_direction(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("ha:lan", "mn:eth0", datagram(1))
    log = PacketLog([CaptureFile(file.node, file.interface, file.path) for file in wire.files()])
    log.refresh()
    assert {packet.direction for packet in log} == {None}


def test_selection_goes_by_the_innermost_and_by_the_outermost_header(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 1)
    wire.link("mn:eth0", "fa:access", IP(src=str(MN), dst=str(CN)) / ICMP())
    log = wire.log()
    assert len(log.select(source=CN, destination=MN)) == 10
    assert len(log.select(source=CN, encapsulated=True)) == 4
    assert len(log.select(outer_source=HA, outer_destination=FA)) == 4
    assert len(log.select(outer_destination=IPv4Network("198.51.100.0/24"))) == 4
    assert len(log.select(source=IPv4Network("192.0.2.0/24"))) == 2
    assert len(log.select(source=CN, destination=MN, encapsulated=False, direction="out")) == 3
    assert len(log.select(protocol=17, port=5001)) == 10
    assert len(log.select(protocol=1)) == 2
    assert log.select(port=9) == []
    assert [packet.place for packet in log.select(where=lambda packet: packet.icmp)] == ["mn:eth0", "fa:access"]


def test_time_bounds_include_the_start_and_exclude_the_end(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 1)
    log = wire.log()
    first, last = START_NS + HOP_NS, START_NS + 10 * HOP_NS
    assert len(log.between(first, last)) == 9
    assert len(log.between(first, last + 1)) == 10
    assert len(log.select(source=CN, destination=MN, since_ns=last)) == 1
    assert len(log.between(first + 1)) == 9
    assert log.between(last + 1) == []


def test_a_packet_describes_itself_with_its_place_number_and_contents(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("ha:core", "core:ha", tunnelled(datagram(1)))
    wire.link("mn:eth0", "fa:access", ARP(psrc="192.0.2.10", pdst="198.51.100.1", hwsrc=mac("mn:eth0")), to=BROADCAST)
    wire.link("fa:access", "mn:eth0", IP(src="198.51.100.1", dst="192.0.2.10") / ICMP(type=3, code=1))
    log = wire.log()
    tunnel, _, question, _, error, _ = (packet.describe() for packet in log)
    assert tunnel.startswith("ha:core out #1 ")
    assert tunnel.endswith("192.0.2.1 > 198.51.100.66 IPIP | 203.0.113.10 > 192.0.2.10 UDP 5000 > 5001, 70 bytes"), (
        tunnel
    )
    assert question.endswith(f"ARP who has 198.51.100.1? tell 192.0.2.10 at {mac('mn:eth0')}")
    assert error.endswith("198.51.100.1 > 192.0.2.10 ICMP type 3 code 1, 42 bytes")


def test_the_payload_of_a_tunnelled_datagram_is_the_innermost(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("ha:core", "core:ha", tunnelled(IP() / UDP(dport=5001) / b"load"))
    packet = wire.log().packets[0]
    assert packet.payload == b"load"
    assert packet.udp is not None
    assert packet.udp.destination_port == 5001
    assert [packet.tcp, packet.icmp, packet.arp, packet.quoted] == [None] * 4


def test_one_interface_in_two_files_is_refused(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 1)
    files = wire.files()
    twin = CaptureFile(files[0].node, files[0].interface, tmp_path / "other.pcap")
    with pytest.raises(LabError, match="is captured twice"):
        PacketLog([*files, twin]).refresh()
