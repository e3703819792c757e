"""The plan as a running network: who reaches whom, over which routers, and that no setting of the host leaks in."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Address

import pytest
from mininet.net import Mininet

from testbed.errors import KernelRefused
from testbed.network.mininet_net import LabNet
from testbed.topologies import lab
from testbed.topologies.lab import build_lab
from testbed.topologies.mininet_topo import TwoVisited, topos
from testbed.topologies.plan import RoutePlan
from testbed.topologies.two_visited import PLAN
from testbed.topologies.walk import walk
from tests.network.private import in_world

_TIME_EXCEEDED, _UNREACHABLE = 11, 3


def _way(net: LabNet, start: str, target: IPv4Address) -> list[str]:
    """The nodes that packets pass, by letting one die at each hop: the sources of the ICMP errors, in order."""
    namespace = net[start].namespace
    way = [start]
    with (
        namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as errors,
        namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        errors.settimeout(10)
        for ttl in range(1, 16):
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            sender.sendto(b"", (str(target), 33434))
            packet, (source, _) = errors.recvfrom(1500)
            owner = PLAN.owner(IPv4Address(source))
            assert owner is not None
            way.append(owner.name)
            kind, _code = struct.unpack_from("!BB", packet, 20)
            if kind == _UNREACHABLE:
                return way
            assert kind == _TIME_EXCEEDED
    raise AssertionError(f"no end after {way}")


@in_world
def test_packets_take_the_planned_way_between_all_hosts_at_home() -> None:
    net = build_lab(PLAN)
    for start in ("cn", "home-host", "mn"):
        for end in {"cn", "home-host", "mn"} - {start}:
            assert _way(net, start, PLAN.node(end).address) == list(walk(PLAN, start, end, mobile_lan="lan-home"))
    net.stop()


@in_world
def test_every_address_answers_the_correspondent() -> None:
    net = build_lab(PLAN)
    for node in PLAN.nodes:
        for interface in node.interfaces:
            assert _way(net, "cn", interface.address.ip)[-1] == node.name if node.name != "cn" else True
    assert net["cn"].pexec("ping -c1 -W5 192.0.2.10")[2] == 0
    net.stop()


@in_world
def test_a_mobile_node_that_only_moves_is_unreachable_and_the_home_router_says_so() -> None:
    net = build_lab(PLAN)
    net.move_cable("mn", "lan-home", "lan-a")
    said = net["cn"].pexec("ping -c1 -W10 192.0.2.10")[0]
    assert "From 203.0.113.134 icmp_seq=1 Destination Host Unreachable" in said
    net.move_cable("mn", "lan-a", "lan-home")
    assert net["cn"].pexec("ping -c1 -W5 192.0.2.10")[2] == 0


@in_world
def test_unused_addresses_of_a_visited_network_end_at_its_edge_and_do_not_loop() -> None:
    net = build_lab(PLAN)
    said = net["cn"].pexec("ping -c1 -W5 198.51.100.100")[0]
    assert "From 203.0.113.138 icmp_seq=1 Destination Host Unreachable" in said


@in_world
def test_addresses_macs_and_ports_are_the_planned_ones() -> None:
    net = build_lab(PLAN)
    for node in PLAN.nodes:
        found = {
            net[node.name].rtnetlink.link(index).name: str(address)
            for index, address in net[node.name].rtnetlink.addresses()
        }
        found.pop("lo", None)
        assert found == {interface.name: str(interface.address) for interface in node.interfaces}
        for interface in node.interfaces:
            assert net[node.name].intf(interface.name).updateMAC() == interface.mac
            assert net[node.name].IP(interface.name) == str(interface.address.ip)
    lans = {lan.name for lan in PLAN.lans}
    ports = {node.name for lan in lans for node, _ in PLAN.plugged_into(lan)}
    assert set(os.listdir("/sys/class/net")) == {"lo"} | lans | ports
    assert net.where("mn") == "lan-home"


@in_world
def test_settings_of_the_host_do_not_leak_into_the_lab() -> None:
    """New namespaces copy the host's values, which are not ours to change: spoil them in the nodes instead."""
    spoiled = {"rp_filter": 2, "send_redirects": 1, "accept_redirects": 1, "arp_ignore": 1, "proxy_arp": 1}
    net = LabNet(TwoVisited())
    for node in PLAN.nodes:
        for name in ("all", "default", *(interface.name for interface in node.interfaces)):
            net[node.name].namespace.write_sysctls({f"net/ipv4/conf/{name}/{key}": spoiled[key] for key in spoiled})
        lab.configure(net[node.name], node)
    for node in PLAN.nodes:
        namespace = net[node.name].namespace
        for name in ("all", "default", *(interface.name for interface in node.interfaces)):
            for key in spoiled:
                assert namespace.read_sysctl(f"net/ipv4/conf/{name}/{key}") == "0", (node.name, name, key)
        assert namespace.read_sysctl("net/ipv4/ip_forward") == str(int(node.forwards))
        assert namespace.read_sysctl("net/ipv6/conf/all/disable_ipv6") == "1"
        if node.forwards:
            assert namespace.read_sysctl("net/ipv4/icmp_ratelimit") == "0"


@in_world
def test_routers_answer_every_packet_that_dies_of_its_ttl() -> None:
    """Those that die for want of a route are another matter: ip_error() has a limit of its own, for all namespaces."""
    net = build_lab(PLAN)
    said = net["cn"].pexec("ping -t 2 -c 50 -i 0.002 -W 5 192.0.2.20")[0]
    assert "50 packets transmitted, 0 received, +50 errors" in said


@in_world
def test_offloads_are_off_unless_asked_for() -> None:
    for offloads, state in ((False, "off"), (True, "on")):
        net = build_lab(PLAN, offloads=offloads)
        features = net["mn"].pexec("ethtool -k eth0")[0].splitlines()
        assert f"tx-checksumming: {state}" in features
        assert f"generic-segmentation-offload: {state}" in features
        net.stop()


@in_world
def test_a_lab_that_cannot_be_built_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_route: RoutePlan) -> None:
        raise KernelRefused("no routes today")

    monkeypatch.setattr(lab, "_request", refuse)
    with pytest.raises(KernelRefused, match="no routes today"):
        build_lab(PLAN)
    assert os.listdir("/sys/class/net") == ["lo"]
    assert os.listdir("/run/netns") == []


@in_world
def test_mininet_finds_the_topology_by_its_name() -> None:
    assert topos["two-visited"] is TwoVisited
    net = LabNet(TwoVisited())
    assert isinstance(net, Mininet)
    assert sorted(net["core"].intfNames()) == ["cn-router", "edge-a", "edge-b", "home-router"]
    net.stop()
