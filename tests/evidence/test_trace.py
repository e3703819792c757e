from __future__ import annotations

import random
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.l2 import ARP, Ether

from testbed.evidence.packets import CaptureFile, PacketLog
from testbed.evidence.sightings import LONGEST_FLIGHT_NS, identity
from testbed.evidence.trace import Path as Way
from testbed.evidence.trace import Trace, by_path, trace, trace_packets, traces
from tests.evidence.wire import BROADCAST, HOP_NS, START_NS, Wire, datagram, mac, triangle_downlink, tunnelled

CN, MN = IPv4Address("203.0.113.10"), IPv4Address("192.0.2.10")
DOWNLINK = "cn → core → ha ⇒ core ⇒ fa → mn"


def downlinks(log: PacketLog) -> list[Trace]:
    return traces(log, source=CN, destination=MN)


def test_a_packet_is_followed_through_the_tunnel_and_back_out(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 1)
    (found,) = downlinks(wire.log())
    assert str(found.path) == DOWNLINK
    assert found.path.nodes == ("cn", "core", "ha", "core", "fa", "mn")
    assert found.path.tunnelled == (False, False, True, True, False)
    assert found.path.tunnels == (("ha", "fa"),)
    assert found.path.hops == 5
    assert found.nodes == ("cn", "core", "ha", "fa", "mn")
    assert (found.origin, found.end.place, found.reached("mn"), found.reached("edge")) == ("cn", "mn:eth0", True, False)
    assert len(found.evidence()) == 10


def test_a_tunnel_that_ends_on_the_mobile_node_is_drawn_to_it() -> None:
    assert str(Way(("ha", "core", "mn"), (True, True))) == "ha ⇒ core ⇒ mn"
    assert Way(("mn", "fa", "ha", "cn", "x", "y"), (True, False, False, True, True)).tunnels == (
        ("mn", "fa"),
        ("cn", "y"),
    )
    assert str(Way(("cn",), ())) == "cn"


def test_packets_of_one_flow_stay_apart_and_are_counted_by_their_ways(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for number in range(7):
        triangle_downlink(wire, number)
    for number in range(7, 10):
        triangle_downlink(wire, number, dies_at="ha")
    groups = by_path(downlinks(wire.log()))
    assert [str(group) for group in groups] == [f"7 × {DOWNLINK}", "3 × cn → core → ha"]
    assert [group.count for group in groups] == [7, 3]


def test_where_a_packet_died_is_where_it_came_in_last(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 1, dies_at="fa")
    (found,) = downlinks(wire.log())
    assert str(found.path) == "cn → core → ha ⇒ core ⇒ fa"
    assert found.describe_end() == "came in at fa on core and did not leave again (frame 1 there)"
    assert found.arrival("mn") is None


def test_a_packet_that_nobody_takes_died_on_the_link(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("cn:eth0", "ha:core", datagram(1))
    wire.link("ha:lan", "mn:eth0", datagram(1, ttl=63), lost=True, flooded="host:eth0")
    (found,) = downlinks(wire.log())
    assert str(found.path) == "cn → ha"
    assert found.nodes == ("cn", "ha")
    assert found.overhearers == ("host",)
    assert not found.reached("host")
    assert found.describe_end() == "left ha on lan and reached nobody (frame 1 there); overheard by host"


def test_what_is_overheard_on_a_link_is_no_part_of_the_way(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("cn:eth0", "ha:core", datagram(1))
    wire.link("ha:lan", "mn:eth0", datagram(1, ttl=63), flooded="host:eth0")
    (found,) = downlinks(wire.log())
    assert str(found.path) == "cn → ha → mn"


@pytest.mark.parametrize("lost_copy", [1, 2])
def test_two_copies_with_the_same_bytes_are_two_packets_and_the_lost_one_is_told(
    tmp_path: Path, lost_copy: int
) -> None:
    wire = Wire(tmp_path)
    for copy in (1, 2):
        triangle_downlink(wire, 7, dies_at="core" if copy == lost_copy else None)
        wire.now_ns += 50_000_000
    ways = [str(found.path) for found in downlinks(wire.log())]
    assert ways == [DOWNLINK, "cn → core"] if lost_copy == 2 else ["cn → core", DOWNLINK]


def test_copies_that_lie_far_apart_are_never_joined_by_a_gap(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 7, dies_at="core")
    wire.now_ns += LONGEST_FLIGHT_NS
    triangle_downlink(wire, 7)
    assert [found.path.hops for found in downlinks(wire.log(without=("cn:eth0",)))] == [0, 4]


def test_two_copies_on_one_link_at_the_same_time_are_two_packets(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for place in ("cn:eth0", "cn:eth0", "mn:eth0", "mn:eth0"):
        frame = bytes(Ether(src=mac("cn:eth0"), dst=mac("mn:eth0")) / datagram(1))
        wire.see(place, frame)
    assert [str(found.path) for found in downlinks(wire.log())] == ["cn → mn", "cn → mn"]


def test_across_a_gap_no_packet_gains_hops_to_live(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 7, dies_at="ha")
    wire.link("cn:eth0", "core:cn", datagram(7))
    ways = [str(found.path) for found in downlinks(wire.log(without=("cn:eth0",)))]
    assert ways == ["core → ha", "core"]


def test_a_node_that_overheard_a_packet_and_sends_the_same_is_its_origin(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("cn:eth0", "ha:lan", datagram(7), flooded="host:eth0")
    wire.link("host:eth0", "ha:lan", datagram(7, ttl=70))
    assert [str(found.path) for found in downlinks(wire.log())] == ["cn → ha", "host → ha"]


def test_copies_for_two_bindings_are_two_ways_of_one_packet(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("cn:eth0", "ha:core", datagram(1))
    for care_of, node in (("198.51.100.66", "fa-a"), ("198.51.100.194", "fa-b")):
        outer = IP(src="192.0.2.1", dst=care_of)
        wire.link("ha:core", f"{node}:core", outer / datagram(1, ttl=63))
    wire.link("fa-b:access", "mn:eth0", datagram(1, ttl=62))
    (found,) = downlinks(wire.log())
    assert {str(path) for path in found.paths} == {"cn → ha ⇒ fa-b → mn", "cn → ha ⇒ fa-a"}
    assert str(found.path) == "cn → ha ⇒ fa-b → mn"


def test_a_retransmitted_segment_is_another_packet(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for ident in (10, 11):
        segment = IP(src="203.0.113.10", dst="192.0.2.10", id=ident) / TCP(seq=1000, flags="PA") / b"data"
        wire.link("cn:eth0", "mn:eth0", segment)
    assert len(downlinks(wire.log())) == 2


def test_a_checksum_that_is_filled_in_later_does_not_hide_the_packet(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    header = {"src": "203.0.113.10", "dst": "192.0.2.10"}
    wire.link("cn:eth0", "core:cn", IP(**header) / UDP(sport=5000, dport=5001, chksum=0x1234) / b"number 1")
    wire.link("core:mn", "mn:eth0", IP(**header, ttl=63) / UDP(sport=5000, dport=5001) / b"number 1")
    assert [str(found.path) for found in downlinks(wire.log())] == ["cn → core → mn"]


def test_tunnel_fragments_belong_to_the_packet_whose_header_they_show(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    header = {"src": "203.0.113.10", "dst": "192.0.2.10", "id": 99}
    load = UDP(sport=5000, dport=5001) / (b"number 1 " * 160)
    wire.link("cn:eth0", "ha:core", IP(**header) / load)
    first, _ = fragment(tunnelled(IP(**header, ttl=63) / load), fragsize=1400)
    wire.link("ha:core", "fa:core", first)
    wire.link("fa:access", "mn:eth0", IP(**header, ttl=62) / load)
    assert [str(found.path) for found in downlinks(wire.log())] == ["cn → ha ⇒ fa → mn"]


def test_the_same_content_between_others_is_not_the_same_packet(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("cn:eth0", "mn:eth0", datagram(1))
    wire.link("cn:eth0", "mn:eth0", datagram(2))
    wire.link(
        "mn:eth0", "cn:eth0", IP(src="192.0.2.10", dst="203.0.113.10") / UDP(sport=5000, dport=5001) / b"number 1"
    )
    log = wire.log()
    assert len({identity(packet) for packet in log}) == 3


@pytest.mark.parametrize("gap", ["core:cn", "core:ha", "ha:core", "fa:core"])
def test_a_missing_capture_does_not_break_the_trace(tmp_path: Path, gap: str) -> None:
    wire = Wire(tmp_path)
    for number in range(3):
        triangle_downlink(wire, number)
    found = downlinks(wire.log(without=(gap,)))
    assert len(found) == 3
    assert all(one.reached("mn") and one.origin == "cn" for one in found), [str(one.path) for one in found]


def test_without_interface_addresses_the_order_of_sightings_gives_the_way(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for number in range(2):
        triangle_downlink(wire, number)
    log = PacketLog([CaptureFile(file.node, file.interface, file.path) for file in wire.files()])
    log.refresh()
    assert [str(found.path) for found in downlinks(log)] == [DOWNLINK] * 2


def test_a_broadcast_reaches_many(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    announcement = ARP(op=1, psrc="192.0.2.10", pdst="192.0.2.10")
    for _ in range(2):
        wire.link("ha:lan", "mn:eth0", announcement, to=BROADCAST, flooded="host:eth0")
    found = trace_packets(wire.log())
    assert [sorted(one.nodes) for one in found] == [["ha", "host", "mn"]] * 2
    assert {str(path) for path in found[0].paths} == {"ha → host", "ha → mn"}


def test_traces_begin_in_the_given_time_and_are_followed_beyond_it(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for number in range(3):
        triangle_downlink(wire, number)
    log = wire.log()
    second_ns = START_NS + 11 * HOP_NS
    (found,) = traces(log, since_ns=second_ns, until_ns=second_ns + 1, source=CN, destination=MN)
    assert found.sent_ns == second_ns
    assert str(found.path) == DOWNLINK
    assert traces(log, since_ns=second_ns + 1, until_ns=second_ns + 5 * HOP_NS, source=CN, destination=MN) == []


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> list[CaptureFile]:
    """Captures of packets some of which have the same bytes and some of which die, so that much depends on order."""
    wire = Wire(tmp_path_factory.mktemp("hurried"))
    for number in range(12):
        triangle_downlink(wire, number % 3, dies_at="fa" if number % 4 == 1 else None)
    return wire.files()


@pytest.mark.parametrize("seed", range(20))
def test_captures_that_are_read_unevenly_give_the_same_traces_in_the_end(
    tmp_path: Path, hurried: list[CaptureFile], seed: int
) -> None:
    chance = random.Random(seed)
    growing = [CaptureFile(file.node, file.interface, tmp_path / file.path.name, file.mac) for file in hurried]
    contents = [file.path.read_bytes() for file in hurried]
    shown = [0] * len(hurried)
    log = PacketLog(growing)
    while shown != [len(content) for content in contents]:
        for index, content in enumerate(contents):
            shown[index] = min(len(content), shown[index] + chance.randrange(400))
            growing[index].path.write_bytes(content[: shown[index]])
        log.refresh()
        downlinks(log)
    again = PacketLog(hurried)
    again.refresh()
    assert [found.evidence() for found in downlinks(log)] == [found.evidence() for found in downlinks(again)]
    assert [found.path for found in downlinks(log)] == [found.path for found in downlinks(again)]
    assert [packet.time_ns for packet in log] == [packet.time_ns for packet in again]


def test_a_trace_does_not_change_when_more_is_linked(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    triangle_downlink(wire, 1)
    files = wire.files(without=("mn:eth0",))
    log = PacketLog(files)
    log.refresh()
    (before,) = downlinks(log)
    assert str(before.path) == "cn → core → ha ⇒ core ⇒ fa"
    files.append(next(file for file in wire.files() if file.name == "mn:eth0"))
    log.refresh()
    assert str(downlinks(log)[0].path) == DOWNLINK
    assert str(before.path) == "cn → core → ha ⇒ core ⇒ fa"


def test_one_sighting_leads_to_the_whole_trace(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for number in range(3):
        triangle_downlink(wire, number)
    log = wire.log()
    at_fa = log.select(node="fa", interface="core")[1]
    found = trace(log, at_fa)
    assert str(found.path) == DOWNLINK
    assert found.sent_ns == START_NS + 11 * HOP_NS
