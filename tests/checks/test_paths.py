"""Packets that took the promised way are told from those that went elsewhere, or elsewhere as well."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP

from testbed.checks import paths
from testbed.checks.prediction import OuterHeader, Way
from testbed.evidence.trace import Path as TracedPath
from testbed.reports.result import CheckResult
from tests.checks.still_scene import FLOW, StillScene, datagram, recent_wire
from tests.evidence.wire import Wire

HOME_AGENT, CARE_OF = "192.0.2.1", "198.51.100.66"
TUNNELLED = Way(
    TracedPath(("cn", "ha", "fa", "mn"), (False, True, False)),
    outer=OuterHeader(IPv4Address(HOME_AGENT), IPv4Address(CARE_OF)),
)
DIES = Way(TracedPath(("cn", "ha"), (False,)), "nobody answers")


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return recent_wire(tmp_path)


def judged(wire: Wire, way: Way = TUNNELLED, since_ns: int = 0) -> CheckResult:
    scene = StillScene(wire.log())
    result, _latest = asyncio.run(paths.takes(scene, FLOW, way, rules=(), since_ns=since_ns, patience_s=0))
    return result


def to_home_agent(wire: Wire, number: int) -> Any:
    packet = datagram(number)
    wire.link("cn:eth0", "ha:core", packet)
    return packet


def tunnel(wire: Wire, packet: Any, outer: Any = None, *, receiver: str = "fa:core") -> None:
    wire.link("ha:core", receiver, (outer or IP(src=HOME_AGENT, dst=CARE_OF)) / packet)


def deliver(wire: Wire, packet: Any) -> None:
    wire.link("fa:access", "mn:eth0", packet)


def send(wire: Wire, numbers: range, outer: Any = None) -> None:
    for number in numbers:
        packet = to_home_agent(wire, number)
        tunnel(wire, packet, outer)
        deliver(wire, packet)


def test_ten_packets_in_a_row_by_the_promised_way_are_enough(wire: Wire) -> None:
    send(wire, range(10))
    assert judged(wire).observed == "10 packets in a row: cn → ha ⇒ fa → mn"


def test_nine_packets_are_too_few(wire: Wire) -> None:
    send(wire, range(9))
    assert judged(wire).verdict == "fail"
    assert "9 packets are too few, 10 in a row count" in judged(wire).observed


def test_one_packet_among_the_last_ten_that_dies_is_one_too_many(wire: Wire) -> None:
    send(wire, range(9))
    tunnel(wire, to_home_agent(wire, 9))
    found = judged(wire)
    assert found.verdict == "fail"
    assert "the last one came in at fa on core and did not leave again" in found.observed


def test_packets_from_before_the_step_do_not_count(wire: Wire) -> None:
    send(wire, range(10))
    assert judged(wire, since_ns=wire.now_ns).observed == "no packet of this flow was seen anywhere"


@pytest.mark.parametrize(
    ("outer", "seen"),
    [
        (IP(src=HOME_AGENT, dst="198.51.100.129"), "192.0.2.1 > 198.51.100.129"),
        (IP(src="203.0.113.134", dst=CARE_OF), "203.0.113.134 > 198.51.100.66"),
        (IP(src=CARE_OF, dst=HOME_AGENT), "198.51.100.66 > 192.0.2.1"),
        (
            IP(src=HOME_AGENT, dst=CARE_OF) / IP(src=HOME_AGENT, dst="192.0.2.10"),
            "192.0.2.1 > 192.0.2.10 in 192.0.2.1 > 198.51.100.66",
        ),
    ],
)
def test_a_tunnel_with_other_ends_is_found_out_though_the_nodes_are_the_same(wire: Wire, outer: Any, seen: str) -> None:
    send(wire, range(10), outer)
    found = judged(wire)
    assert found.verdict == "fail"
    assert found.expected == "cn → ha ⇒ fa → mn, in the tunnel 192.0.2.1 > 198.51.100.66"
    assert found.observed == f"10 × cn → ha ⇒ fa → mn; in the tunnel {seen}"


def test_a_second_copy_by_another_way_is_found_out(wire: Wire) -> None:
    for number in range(10):
        packet = to_home_agent(wire, number)
        tunnel(wire, packet)
        deliver(wire, packet)
        wire.link("ha:lan", "host:eth0", packet)
    found = judged(wire)
    assert found.verdict == "fail"
    assert "and a copy of the last one by cn → ha → host" in found.observed


def test_packets_that_should_die_and_are_sent_on_fail_with_where_they_went(wire: Wire) -> None:
    for number in range(10):
        to_home_agent(wire, number)
    assert judged(wire, DIES).verdict == "pass"
    for number in range(10, 20):
        wire.link("ha:lan", "host:eth0", to_home_agent(wire, number))
    found = judged(wire, DIES)
    assert found.verdict == "fail"
    assert "10 × cn → ha → host" in found.observed
    assert found.expected == "cn → ha, and no further: nobody answers"
