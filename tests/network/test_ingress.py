"""The filter on edge-a of two-visited, judged by which packets arrive at the correspondent."""

from __future__ import annotations

import socket
import struct
import threading
from functools import partial
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.errors import KernelRefused, LabError, OptionError
from testbed.network import rtnetlink
from testbed.network.ingress import Flavour, IngressCounters, IngressFilter
from testbed.network.mininet_net import LabNet
from testbed.network.waiting import wait_until
from testbed.topologies.lab import build_lab
from testbed.topologies.two_visited import PLAN
from tests.network.private import in_world

INSIDE = IPv4Address("198.51.100.66")
HOME = IPv4Address("192.0.2.10")  # a mobile node's source: routed, but not inside
NOWHERE = IPv4Address("10.9.9.9")  # only the default route leads there
CORRESPONDENT = IPv4Address("203.0.113.10")
PORT = 4000
EVERYWHERE = IPv4Network("0.0.0.0/0")


def _udp_packet(source: IPv4Address, text: bytes) -> bytes:
    """An IPv4 packet with a source of our choice; the kernel fills in length, id and header checksum."""
    udp = struct.pack("!HHHH", PORT, PORT, 8 + len(text), 0) + text
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0, source.packed, CORRESPONDENT.packed
    )
    return header + udp


class Edge:
    """The lab, its filter, and a way to see which sources get through."""

    def __init__(self, flavour: Flavour = "nftables") -> None:
        self.net: LabNet = build_lab(PLAN)
        self.filter = IngressFilter(self.net["edge-a"], "fa-a", [IPv4Network("198.51.100.0/25")], flavour)
        self._sender = self.net["fa-a"].namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._receiver = self.net["cn"].namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.bind((str(CORRESPONDENT), PORT))
        self._receiver.settimeout(5)

    def passes(self, source: IPv4Address) -> bool:
        """Send one packet from ``source`` and one that always passes, from outside; which of them arrives first?"""
        self._sender.sendto(_udp_packet(source, b"probe"), (str(CORRESPONDENT), 0))
        with self.net["core"].namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
            outside.sendto(b"end", (str(CORRESPONDENT), PORT))
        text, (seen, _port) = self._receiver.recvfrom(100)
        if text == b"end":
            return False
        assert (text, seen) == (b"probe", str(source))
        assert self._receiver.recv(100) == b"end"
        return True

    def arrivals(self) -> dict[str, bool]:
        """Which of the three sources pass."""
        return {"inside": self.passes(INSIDE), "home": self.passes(HOME), "nowhere": self.passes(NOWHERE)}

    def without_default_route(self) -> None:
        """Give the edge router explicit routes to the rest of the plan instead of a default."""
        edge = self.net["edge-a"]
        gateway = IPv4Address("203.0.113.137")
        for prefix in ("203.0.113.0/24", "192.0.2.0/24", "198.51.100.128/25"):
            edge.add_route(IPv4Network(prefix), gateway)
        edge.request(rtnetlink.delete_route(EVERYWHERE))


@in_world
def test_off_passes_every_source_and_counts_it() -> None:
    edge = Edge()
    assert edge.arrivals() == {"inside": True, "home": True, "nowhere": True}
    assert edge.filter.counters() == IngressCounters(0, 0, 0, 0)
    edge.filter.set_mode("off")
    assert edge.arrivals() == {"inside": True, "home": True, "nowhere": True}
    assert edge.filter.counters() == IngressCounters(accepted=3, dropped=0, accepted_bytes=99, dropped_bytes=0)


@pytest.mark.parametrize("mode", ["acl", "strict"])
@in_world
def test_a_source_from_elsewhere_dies_in_acl_and_strict(mode: str) -> None:
    edge = Edge()
    edge.filter.set_mode(mode)
    assert edge.arrivals() == {"inside": True, "home": False, "nowhere": False}
    assert edge.filter.counters() == IngressCounters(accepted=1, dropped=2, accepted_bytes=33, dropped_bytes=66)


@in_world
def test_loose_passes_what_any_route_leads_to_the_default_route_included() -> None:
    edge = Edge()
    edge.filter.set_mode("loose")
    assert edge.arrivals() == {"inside": True, "home": True, "nowhere": True}
    edge.without_default_route()
    assert edge.arrivals() == {"inside": True, "home": True, "nowhere": False}
    counters = edge.filter.counters()
    assert (counters.accepted, counters.dropped) == (5, 1)


@in_world
def test_a_source_that_the_edge_router_knows_to_be_unreachable_dies_even_in_loose() -> None:
    edge = Edge()
    edge.filter.set_mode("loose")
    assert not edge.passes(IPv4Address("198.51.100.120"))  # in the customer's /25, but in neither of its networks


@in_world
def test_acl_and_strict_differ_where_the_prefix_is_larger_than_what_is_routed() -> None:
    edge = Edge()
    unused = IPv4Address("198.51.100.120")
    edge.filter.set_mode("acl")
    assert edge.passes(unused)
    edge.filter.set_mode("strict")
    assert not edge.passes(unused)


@in_world
def test_packets_from_outside_are_neither_judged_nor_counted() -> None:
    edge = Edge()
    edge.filter.set_mode("strict")
    edge.net["cn"].namespace.run(["ping", "-c1", "-W5", "203.0.113.138"])
    assert edge.filter.counters() == IngressCounters(0, 0, 0, 0)


@in_world
def test_counters_survive_reading_and_start_anew_with_each_switch() -> None:
    edge = Edge()
    edge.filter.set_mode("acl")
    edge.passes(HOME)
    assert [edge.filter.counters().dropped for _ in range(3)] == [1, 1, 1]
    edge.filter.set_mode("acl")
    assert edge.filter.counters().dropped == 0
    assert edge.filter.mode == "acl"


@in_world
def test_switching_between_two_filters_lets_no_spoofed_packet_slip_through() -> None:
    edge = Edge()
    edge.filter.set_mode("acl")
    stop = threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        with edge.net["fa-a"].namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
            while not stop.is_set() and sent < 100_000:
                sender.sendto(_udp_packet(HOME, b"slip"), (str(CORRESPONDENT), 0))
                sent += 1

    def reached(goal: int) -> bool:
        return sent > goal

    thread = threading.Thread(target=flood)
    thread.start()
    for mode in ("strict", "acl") * 5:
        goal = sent + 20
        edge.filter.set_mode(mode)
        wait_until(partial(reached, goal), what="packets to be sent", timeout_s=20)
    stop.set()
    thread.join()
    assert edge.passes(INSIDE)  # and it is the first packet to arrive at all


@in_world
def test_taking_the_filter_away_leaves_no_table() -> None:
    edge = Edge()
    edge.filter.set_mode("acl")
    edge.filter.remove()
    assert edge.net["edge-a"].namespace.run(["nft", "list", "tables"]).stdout == ""
    assert edge.passes(HOME)
    edge.filter.remove()


@in_world
def test_a_wrong_mode_interface_or_prefix_is_refused() -> None:
    edge = Edge()
    with pytest.raises(OptionError, match="ingress filter mode on: expected one of off, acl, strict, loose"):
        edge.filter.set_mode("on")
    with pytest.raises(LabError, match=r"edge-a: no interface fa-z; there are: lo, .*core, fa-a"):
        IngressFilter(edge.net["edge-a"], "fa-z", [IPv4Network("198.51.100.0/25")])
    with pytest.raises(OptionError, match="at least one prefix"):
        IngressFilter(edge.net["edge-a"], "fa-a", [])


@in_world
def test_the_sysctl_flavour_does_the_same_without_acl() -> None:
    edge = Edge("rp_filter")
    edge.filter.set_mode("strict")
    assert edge.arrivals() == {"inside": True, "home": False, "nowhere": False}
    assert edge.filter.counters() == IngressCounters(accepted=None, dropped=2)
    edge.filter.set_mode("loose")
    edge.without_default_route()
    assert edge.arrivals() == {"inside": True, "home": True, "nowhere": False}
    assert edge.filter.counters() == IngressCounters(accepted=None, dropped=1)
    with pytest.raises(OptionError, match="no mode acl"):
        edge.filter.set_mode("acl")
    edge.filter.remove()
    assert edge.passes(HOME)


@in_world
def test_the_sysctl_flavour_refuses_to_be_overruled() -> None:
    edge = Edge("rp_filter")
    edge.net["edge-a"].namespace.write_sysctl("net/ipv4/conf/all/rp_filter", 2)
    with pytest.raises(KernelRefused, match="would overrule the mode"):
        edge.filter.set_mode("strict")
