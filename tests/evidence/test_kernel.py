"""What the dumps say is held against what iproute2 says of the same kernel."""

from __future__ import annotations

import json
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from testbed.errors import KernelRefused
from testbed.evidence import netlink_dump
from testbed.evidence.kernel import TABLE_LOCAL, Neighbour, diff, read_nft_counters, take_snapshot
from testbed.evidence.netlink_dump import attributes
from testbed.network.netns import Namespace
from tests.network.private import in_world

HOME, MOBILE = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.10")

SCENE = """
link add lan type veth peer name far
link add br0 type bridge
link set far master br0
link set lan up
link set far up
addr add 192.0.2.1/24 dev lan
addr add 192.0.2.129 peer 192.0.2.130/32 dev lan
route add default via 192.0.2.9
route add 198.51.100.66/32 via 192.0.2.7 dev lan onlink mtu 1480
route add 192.0.2.10/32 dev lan table 100 metric 7
route add blackhole default table 1000
route add unreachable 10.9.0.0/16
route add prohibit 10.8.0.0/16
route add 10.7.0.0/16 dev lan src 192.0.2.1
rule add from 192.0.2.10 iif lan table 100 priority 500
rule add not to 10.0.0.0/8 fwmark 0x10 oif lan blackhole priority 501
neigh add 192.0.2.77 lladdr 02:00:00:00:00:01 nud permanent dev lan
neigh add 192.0.2.78 lladdr 02:00:00:00:00:02 nud stale dev lan
neigh add proxy 192.0.2.10 dev lan
"""


def build() -> Namespace:
    node = Namespace.create("home-router")
    node.run(["ip", "-batch", "-"], stdin=SCENE)
    return node


def ip_json(node: Namespace, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(node.run(["ip", "-4", "-d", "-j", *words]).stdout)
    return found


@pytest.mark.kernel
@in_world
def test_routes_of_all_tables_are_those_that_ip_shows() -> None:
    node = build()
    snapshot = take_snapshot(node)
    theirs = ip_json(node, "route", "show", "table", "all")
    assert len(snapshot.routes) == len(theirs) > 10
    tables = {"main": 254, "local": 255, "default": 253}
    for ours, shown in zip(snapshot.routes, theirs, strict=True):
        destination = "0.0.0.0/0" if shown["dst"] == "default" else shown["dst"]
        assert ours.destination == IPv4Network(destination)
        assert ours.kind == shown["type"]
        assert ours.interface == shown.get("dev")
        assert str(ours.gateway or "") == shown.get("gateway", "")
        assert str(ours.source or "") == shown.get("prefsrc", "")
        assert ours.scope == shown["scope"]
        assert ours.metric == shown.get("metric", 0)
        assert ours.table == tables.get(shown.get("table", "main")) or str(ours.table) == shown["table"]
        assert ours.onlink == ("onlink" in shown["flags"])
    (tunnel_route,) = snapshot.routes_for(IPv4Address("198.51.100.66"))
    assert tunnel_route.mtu == 1480


@pytest.mark.kernel
@in_world
def test_links_addresses_and_neighbours_are_those_that_ip_shows() -> None:
    node = build()
    snapshot = take_snapshot(node)
    for ours, shown in zip(snapshot.links, ip_json(node, "link"), strict=True):
        assert (ours.name, ours.index, ours.mtu) == (shown["ifname"], shown["ifindex"], shown["mtu"])
        assert ours.kind == shown.get("linkinfo", {}).get("info_kind", "")
        assert ours.up == ("UP" in shown["flags"])
        assert ours.carrier == ("LOWER_UP" in shown["flags"]) or not ours.up
        assert ours.mac == shown["address"]
    far, bridge = snapshot.link("far"), snapshot.link("br0")
    assert far is not None
    assert bridge is not None
    assert far.master == bridge.index
    assert snapshot.link("eth9") is None
    addresses = [(entry.interface, entry.address) for entry in snapshot.addresses if entry.interface == "lan"]
    assert set(addresses) == {("lan", IPv4Interface("192.0.2.129/32")), ("lan", IPv4Interface("192.0.2.1/24"))}
    states = {(entry["dst"], entry["lladdr"], entry["state"][0].lower()) for entry in ip_json(node, "neigh")}
    assert {(str(n.address), n.mac, n.state) for n in snapshot.neighbours} == states


@pytest.mark.kernel
@in_world
def test_proxy_neighbours_and_rules_are_there() -> None:
    snapshot = take_snapshot(build())
    assert [str(proxy) for proxy in snapshot.proxies_for(MOBILE)] == ["proxy neighbour 192.0.2.10 dev lan"]
    assert snapshot.proxies_for(HOME) == ()
    assert [str(rule) for rule in snapshot.rules] == [
        "rule 0: from all lookup local",
        "rule 500: from 192.0.2.10/32 iif lan lookup 100",
        "rule 501: not from all to 10.0.0.0/8 oif lan fwmark 0x10 blackhole",
        "rule 32766: from all lookup main",
        "rule 32767: from all lookup default",
    ]
    permanent = snapshot.neighbour(IPv4Address("192.0.2.77"))
    assert permanent is not None
    assert permanent.permanent
    assert snapshot.neighbour(IPv4Address("192.0.2.77"), interface="far") is None
    assert snapshot.neighbour(IPv4Address("192.0.2.78")) == Neighbour(
        IPv4Address("192.0.2.78"), "lan", "02:00:00:00:00:02", "stale"
    )


@in_world
def test_what_changed_between_two_snapshots_is_said_in_lines() -> None:
    node = build()
    before = take_snapshot(node)
    assert diff(before, take_snapshot(node)) == []
    node.run(
        ["ip", "-batch", "-"],
        stdin="""
link add tun-1 type veth peer name peer-1
link set tun-1 up
link set peer-1 up
route add 192.0.2.10/32 dev tun-1
neigh del proxy 192.0.2.10 dev lan
neigh change 192.0.2.78 lladdr 02:00:00:00:00:02 nud reachable dev lan
link set far arp off
""",
    )
    after = take_snapshot(node)
    changes = diff(before, after)
    assert set(changes) == {
        "- link far (veth) up mtu 1500",
        "- proxy neighbour 192.0.2.10 dev lan",
        "+ link peer-1 (veth) up mtu 1500",
        "+ link tun-1 (veth) up mtu 1500",
        "+ link far (veth) up noarp mtu 1500",
        "+ route 192.0.2.10/32 dev tun-1",
    }
    assert [change[0] for change in changes] == ["-", "-", "+", "+", "+", "+"]
    assert before.summary().endswith("proxy ARP for 192.0.2.10")
    assert after.summary().endswith("tunnels tun-1")
    assert "proxy" not in after.summary()


@in_world
def test_counters_of_links_count_but_are_no_change() -> None:
    node = build()
    node.run(["ip", "link", "set", "lo", "up"])
    before = take_snapshot(node)
    with node.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x" * 100, ("127.0.0.1", 9))
    after = take_snapshot(node)
    loopback_before, loopback_after = before.link("lo"), after.link("lo")
    assert loopback_before is not None
    assert loopback_after is not None
    assert loopback_after.tx_packets > loopback_before.tx_packets
    assert loopback_after.rx_bytes >= loopback_before.rx_bytes + 128
    assert diff(before, after) == []


@in_world
def test_a_snapshot_becomes_plain_json() -> None:
    plain = json.loads(json.dumps(take_snapshot(build()).to_json()))
    assert plain["node"] == "home-router"
    assert plain["proxy_neighbours"] == [{"address": "192.0.2.10", "interface": "lan"}]
    assert {"192.0.2.1/24"} <= {entry["address"] for entry in plain["addresses"]}


@in_world
def test_thousands_of_routes_come_in_many_messages_and_none_is_missing() -> None:
    node = build()
    lines = [f"route add 10.{number >> 8}.{number & 255}.0/24 dev lan table 7" for number in range(3000)]
    node.run(["ip", "-batch", "-"], stdin="\n".join(lines))
    in_table = [route.destination for route in take_snapshot(node).routes if route.table == 7]
    assert len(in_table) == len(set(in_table)) == 3000


@in_world
def test_entries_leave_out_what_the_kernel_keeps_by_itself() -> None:
    snapshot = take_snapshot(build())
    assert any(route.table == TABLE_LOCAL for route in snapshot.routes)
    assert not any("table local" in str(entry) for entry in snapshot.entries() if str(entry).startswith("route"))


@in_world
def test_a_refusal_of_the_kernel_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    node = build()
    monkeypatch.setitem(netlink_dump._FIXED, 250, struct.Struct("=B"))  # a kind of message that there is not
    with (
        netlink_dump.NetlinkDump(node.entered(), node.name) as netlink,
        pytest.raises(KernelRefused, match="home-router: netlink dump 250: Operation not supported"),
    ):
        netlink.dump(250)


@pytest.mark.kernel
@in_world
def test_nft_counters_count_what_the_rules_matched() -> None:
    node = build()
    node.run(["ip", "link", "set", "lo", "up"])
    node.run(
        ["nft", "-f", "-"],
        stdin="""table inet ingress_filter {
  chain out {
    type filter hook output priority 0;
    udp dport 9 counter accept comment "to discard"
    udp dport 10 counter drop
    udp dport 11 drop
  }
}
table ip other {
  chain out {
    type filter hook output priority 0;
    counter
  }
}""",
    )
    with node.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(b"x", ("127.0.0.1", 9))
    counters = read_nft_counters(node, "ingress_filter")
    assert [(c.chain, c.comment, c.packets, c.bytes) for c in counters] == [
        ("out", "to discard", 3, 87),
        ("out", "", 0, 0),
    ]
    assert [c.table for c in read_nft_counters(node)] == ["ingress_filter", "ingress_filter", "other"]


def test_attributes_that_are_cut_or_have_no_length_end_the_list() -> None:
    assert attributes(b"") == {}
    assert attributes(b"\x08\0\x01\x80abcd\0\0\0\0") == {1: b"abcd"}
    assert attributes(b"\x10\0\x02\0ab") == {2: b"ab"}
