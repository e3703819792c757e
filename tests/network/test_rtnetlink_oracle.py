"""Our netlink requests, read by pyroute2: two encoders written by different people must mean the same."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

pytest.importorskip("pyroute2", reason="pyroute2 is the oracle")
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.network.rtnetlink import (
    ETH_P_IP,
    Message,
    add_address,
    add_clsact,
    add_ipip,
    add_proxy_neighbour,
    add_route,
    add_rule,
    add_veth,
    attach_program,
    delete_address,
    delete_clsact,
    delete_link,
    delete_neighbour,
    delete_proxy_neighbour,
    delete_route,
    delete_rule,
    detach_program,
    replace_route,
    set_link,
    set_neighbour,
)

HOST = IPv4Network("192.0.2.10/32")
GATEWAY = IPv4Address("198.51.100.1")
MAC = bytes.fromhex("020000000a01")
REQUEST_ACK = 0x5
CREATE_NEW = REQUEST_ACK | 0x600
CREATE_OR_REPLACE = REQUEST_ACK | 0x500


def decoded(message: Message, kind: Any) -> dict[str, Any]:
    """The message as plain data: header fields, attributes by name, nested attributes likewise."""
    read = kind(message.encode(sequence=7))
    read.decode()
    assert read["header"]["length"] == len(message.encode(sequence=7))
    assert read["header"]["sequence_number"] == 7
    fields = {name: value for name, value in read.items() if name not in ("header", "attrs", "__align")}
    return fields | {"type": read["header"]["type"], "flags": read["header"]["flags"], "attrs": plain(read["attrs"])}


def plain(attributes: Any) -> dict[str, Any]:
    return {name: plain(value["attrs"]) if isinstance(value, dict) else value for name, value in attributes}


@pytest.mark.parametrize(
    ("message", "kind", "flags", "prefixlen", "attrs"),
    [
        (
            add_address(3, IPv4Interface("192.0.2.10/24")),
            20,
            CREATE_NEW,
            24,
            {"IFA_LOCAL": "192.0.2.10", "IFA_ADDRESS": "192.0.2.10"},
        ),
        (
            add_address(3, IPv4Interface("192.0.2.10/24"), noprefixroute=True),
            20,
            CREATE_NEW,
            24,
            {"IFA_LOCAL": "192.0.2.10", "IFA_ADDRESS": "192.0.2.10", "IFA_FLAGS": 0x200},
        ),
        (
            delete_address(3, IPv4Interface("192.0.2.10/32")),
            21,
            REQUEST_ACK,
            32,
            {"IFA_LOCAL": "192.0.2.10", "IFA_ADDRESS": "192.0.2.10"},
        ),
    ],
)
def test_address_requests_mean_the_same_to_pyroute2(
    message: Message, kind: int, flags: int, prefixlen: int, attrs: dict[str, Any]
) -> None:
    read = decoded(message, ifaddrmsg)
    assert (read["type"], read["flags"]) == (kind, flags)
    assert (read["family"], read["prefixlen"], read["index"]) == (2, prefixlen, 3)
    assert read["attrs"] == attrs


def test_a_route_with_everything_means_the_same_to_pyroute2() -> None:
    source = IPv4Address("192.0.2.1")
    message = replace_route(HOST, device=4, gateway=GATEWAY, onlink=True, table=1000, source=source, mtu=1480)
    read = rtmsg(message.encode(7))
    read.decode()
    assert (read["header"]["type"], read["header"]["flags"]) == (24, CREATE_OR_REPLACE)
    assert (read["dst_len"], read["table"], read["scope"], read["type"], read["flags"]) == (32, 0, 0, 1, 4)
    assert plain(read["attrs"]) == {
        "RTA_TABLE": 1000,
        "RTA_DST": "192.0.2.10",
        "RTA_OIF": 4,
        "RTA_GATEWAY": "198.51.100.1",
        "RTA_PREFSRC": "192.0.2.1",
        "RTA_METRICS": {"RTAX_MTU": 1480},
    }


@pytest.mark.parametrize(
    ("message", "header", "attrs"),
    [
        (add_route(HOST, device=4), (CREATE_NEW, 32, 254, 253, 1), {"RTA_DST": "192.0.2.10", "RTA_OIF": 4}),
        (
            add_route(IPv4Network("0.0.0.0/0"), type="blackhole", table=100),
            (CREATE_NEW, 0, 100, 0, 6),
            {"RTA_TABLE": 100},
        ),
        (add_route(HOST, type="unreachable"), (CREATE_NEW, 32, 254, 0, 7), {"RTA_DST": "192.0.2.10"}),
        (delete_route(HOST, device=4), (REQUEST_ACK, 32, 254, 255, 0), {"RTA_DST": "192.0.2.10", "RTA_OIF": 4}),
    ],
)
def test_routes_mean_the_same_to_pyroute2(message: Message, header: tuple[int, ...], attrs: dict[str, Any]) -> None:
    read = rtmsg(message.encode(7))
    read.decode()
    assert (read["header"]["flags"], read["dst_len"], read["table"], read["scope"], read["type"]) == header
    assert plain(read["attrs"]) == {"RTA_TABLE": 254} | attrs


def test_rules_mean_the_same_to_pyroute2() -> None:
    added = decoded(add_rule(100, 1000, source=HOST, iif="access"), fibmsg)
    assert (added["type"], added["flags"], added["src_len"], added["dst_len"]) == (32, CREATE_NEW, 32, 0)
    assert added["action"] == 1
    expected = {"FRA_PRIORITY": 100, "FRA_TABLE": 1000, "FRA_SRC": "192.0.2.10", "FRA_IIFNAME": "access"}
    assert added["attrs"] == expected
    deleted = decoded(delete_rule(100, 1000, destination=HOST), fibmsg)
    assert (deleted["type"], deleted["dst_len"]) == (33, 32)
    assert deleted["attrs"] == {"FRA_PRIORITY": 100, "FRA_TABLE": 1000, "FRA_DST": "192.0.2.10"}


@pytest.mark.parametrize(
    ("message", "header", "attrs"),
    [
        (
            set_neighbour(GATEWAY, MAC, 4),
            (28, CREATE_OR_REPLACE, 0x80),
            {"NDA_DST": "198.51.100.1", "NDA_LLADDR": "02:00:00:00:0a:01"},
        ),
        (
            set_neighbour(GATEWAY, MAC, 4, permanent=False),
            (28, CREATE_OR_REPLACE, 0x02),
            {"NDA_DST": "198.51.100.1", "NDA_LLADDR": "02:00:00:00:0a:01"},
        ),
        (delete_neighbour(GATEWAY, 4), (29, REQUEST_ACK, 0), {"NDA_DST": "198.51.100.1"}),
    ],
)
def test_neighbours_mean_the_same_to_pyroute2(message: Message, header: tuple[int, ...], attrs: dict[str, Any]) -> None:
    read = decoded(message, ndmsg)
    assert (read["type"], read["flags"], read["state"]) == header
    assert (read["family"], read["ifindex"]) == (2, 4)
    assert read["attrs"] == attrs


@pytest.mark.parametrize(
    ("message", "kind", "state"),
    [(add_proxy_neighbour(HOST[0], 4), 28, 0x80), (delete_proxy_neighbour(HOST[0], 4), 29, 0)],
)
def test_proxy_neighbours_mean_the_same_to_pyroute2(message: Message, kind: int, state: int) -> None:
    read = ndmsg(message.encode(7))
    read.decode()
    assert (read["header"]["type"], read["state"], read["flags"]) == (kind, state, 0x08)
    assert plain(read["attrs"]) == {"NDA_DST": "192.0.2.10"}


def test_changes_of_a_link_mean_the_same_to_pyroute2() -> None:
    message = set_link(4, up=True, arp=False, multicast=False, mtu=1480, alias="a note", ipv4_settings={8: 1, 1: 0})
    read = ifinfmsg(message.encode(7))
    read.decode()
    assert (read["header"]["type"], read["index"], read["flags"], read["change"]) == (16, 4, 0x81, 0x1081)
    attrs = plain(read["attrs"])
    assert (attrs["IFLA_MTU"], attrs["IFLA_IFALIAS"]) == (1480, "a note")
    by_name = ifinfmsg(set_link("lan", arp=True).encode(7))
    by_name.decode()
    assert (by_name["index"], by_name["flags"], by_name["change"]) == (0, 0, 0x80)
    assert plain(by_name["attrs"]) == {"IFLA_IFNAME": "lan"}


def test_new_links_mean_the_same_to_pyroute2() -> None:
    ipip = decoded(add_ipip("tun-1", HOST[0], GATEWAY, ttl=33, device=4, mtu=1480), ifinfmsg)
    assert (ipip["type"], ipip["flags"]) == (16, CREATE_NEW)
    assert ipip["attrs"] == {
        "IFLA_IFNAME": "tun-1",
        "IFLA_MTU": 1480,
        "IFLA_LINKINFO": {
            "IFLA_INFO_KIND": "ipip",
            "IFLA_INFO_DATA": {
                "IFLA_IPIP_TTL": 33,
                "IFLA_IPIP_TOS": 1,
                "IFLA_IPIP_PMTUDISC": 0,
                "IFLA_IPIP_LOCAL": "192.0.2.10",
                "IFLA_IPIP_REMOTE": "198.51.100.1",
                "IFLA_IPIP_LINK": 4,
            },
        },
    }
    veth = decoded(add_veth("tun-1", "tun-1-out", mtu=1480, mac=MAC, gso_max_size=65000, arp=False), ifinfmsg)
    assert veth["attrs"] == {
        "IFLA_IFNAME": "tun-1",
        "IFLA_MTU": 1480,
        "IFLA_ADDRESS": "02:00:00:00:0a:01",
        "IFLA_GSO_MAX_SIZE": 65000,
        "IFLA_LINKINFO": {
            "IFLA_INFO_KIND": "veth",
            "IFLA_INFO_DATA": {"VETH_INFO_PEER": {"IFLA_IFNAME": "tun-1-out", "IFLA_MTU": 1480}},
        },
    }
    assert decoded(delete_link(4), ifinfmsg)["type"] == 17


@pytest.mark.parametrize(
    ("message", "kind", "parent", "handle", "attrs"),
    [
        (add_clsact(4), 36, 0xFFFFFFF1, 0xFFFF0000, {"TCA_KIND": "clsact"}),
        (delete_clsact(4), 37, 0xFFFFFFF1, 0xFFFF0000, {}),
        (
            attach_program(4, "ingress", 9, "decapsulate", priority=434, ethertype=ETH_P_IP),
            44,
            0xFFFFFFF2,
            1,
            {
                "TCA_KIND": "bpf",
                "TCA_OPTIONS": {"TCA_BPF_FD": 9, "TCA_BPF_NAME": "decapsulate", "TCA_BPF_FLAGS": 1},
            },
        ),
        (detach_program(4, "egress", priority=434), 45, 0xFFFFFFF3, 1, {"TCA_KIND": "bpf"}),
    ],
)
def test_filters_mean_the_same_to_pyroute2(
    message: Message, kind: int, parent: int, handle: int, attrs: dict[str, Any]
) -> None:
    read = decoded(message, tcmsg)
    assert (read["type"], read["index"], read["parent"], read["handle"]) == (kind, 4, parent, handle)
    assert read["attrs"] == attrs
    if kind > 40:
        assert read["info"] >> 16 == 434
