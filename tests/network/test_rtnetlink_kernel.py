"""Our netlink requests against the real kernel, in a namespace of their own, read back with ip(8)."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from testbed.errors import KernelRefused
from testbed.network import rtnetlink, syscalls
from testbed.network.rtnetlink import LinkChange, LinkMonitor, RouteNetlink
from testbed.network.waiting import scaled

MAC = bytes.fromhex("020000000a01")
HOST = IPv4Network("198.51.100.10/32")
GATEWAY = IPv4Address("192.0.2.2")


@pytest.fixture
def namespace() -> Iterator[int]:
    """The test's thread is in an empty namespace until the test ends; gives its descriptor."""
    if os.geteuid():
        pytest.skip("making a network namespace needs root")
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    made = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield made
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
        os.close(made)


@pytest.fixture
def kernel(namespace: int) -> Iterator[RouteNetlink]:
    """A socket into the namespace, where ``left`` (192.0.2.1/24) and ``right`` are a veth pair that is up."""
    with RouteNetlink() as opened:
        opened.request(
            rtnetlink.set_link("lo", up=True),
            rtnetlink.add_veth("left", "right", mtu=1400, mac=MAC),
            rtnetlink.set_link("left", up=True, alias="the left one"),
            rtnetlink.set_link("right", up=True),
        )
        opened.request(rtnetlink.add_address(opened.link_index("left"), IPv4Interface("192.0.2.1/24")))
        yield opened


def ip(arguments: str) -> Any:
    """What ip(8) tells, decoded."""
    done = subprocess.run(["ip", "-d", "-j", *arguments.split()], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def test_links_are_as_asked(kernel: RouteNetlink) -> None:
    (left,) = ip("link show dev left")
    assert (left["mtu"], left["address"], left["ifalias"]) == (1400, MAC.hex(":"), "the left one")
    assert left["linkinfo"]["info_kind"] == "veth"
    assert {"UP", "LOWER_UP"} <= set(left["flags"])
    kernel.request(rtnetlink.set_link("left", arp=False, multicast=False, mtu=1300, ipv4_settings={8: 1}))
    (left,) = ip("link show dev left")
    assert "NOARP" in left["flags"]
    assert "MULTICAST" not in left["flags"]
    assert left["mtu"] == 1300
    with open("/proc/sys/net/ipv4/conf/left/rp_filter") as setting:
        assert setting.read() == "1\n"
    kernel.request(rtnetlink.set_link("left", up=False, arp=True))
    (left,) = ip("link show dev left")
    assert {"NOARP", "UP"} & set(left["flags"]) == set()
    kernel.request(rtnetlink.delete_link(left["ifindex"]))
    assert [link["ifname"] for link in ip("link") if link["ifname"] in ("left", "right")] == []


def test_what_is_read_of_links_agrees_with_ip(kernel: RouteNetlink) -> None:
    told = {link["ifname"]: link for link in ip("link")}
    read = {link.name: link for link in kernel.links()}
    assert read.keys() == told.keys()
    left = read["left"]
    assert (left.index, left.mtu, left.kind, left.alias) == (told["left"]["ifindex"], 1400, "veth", "the left one")
    assert (left.mac, left.up) == (MAC, True)
    assert kernel.link("left") == kernel.link(left.index)
    assert kernel.link_index("left") == socket.if_nametoindex("left")
    assert kernel.link_flags("left") & rtnetlink.IFF_UP
    assert kernel.link("absent") is None
    assert kernel.link_flags("absent") == 0
    with pytest.raises(KernelRefused, match="'absent'"):
        kernel.link_index("absent")


def test_addresses_are_as_asked(kernel: RouteNetlink) -> None:
    left = kernel.link_index("left")
    kernel.request(rtnetlink.add_address(left, IPv4Interface("203.0.113.9/25"), noprefixroute=True))
    (told,) = ip("-4 addr show dev left")
    assert [(address["local"], address["prefixlen"]) for address in told["addr_info"]] == [
        ("192.0.2.1", 24),
        ("203.0.113.9", 25),
    ]
    assert [route["dst"] for route in ip("route")] == ["192.0.2.0/24"]
    assert kernel.addresses(left) == [(left, IPv4Interface("192.0.2.1/24")), (left, IPv4Interface("203.0.113.9/25"))]
    assert (left, IPv4Interface("192.0.2.1/24")) in kernel.addresses()
    kernel.request(rtnetlink.delete_address(left, IPv4Interface("203.0.113.9/25")))
    assert kernel.addresses(left) == [(left, IPv4Interface("192.0.2.1/24"))]


def test_routes_are_as_asked(kernel: RouteNetlink) -> None:
    left = kernel.link_index("left")
    kernel.request(
        rtnetlink.add_route(HOST, gateway=GATEWAY, source=IPv4Address("192.0.2.1"), mtu=1280),
        rtnetlink.add_route(IPv4Network("0.0.0.0/0"), gateway=IPv4Address("203.0.113.1"), device=left, onlink=True),
        rtnetlink.add_route(IPv4Network("203.0.113.0/24"), type="blackhole"),
        rtnetlink.add_route(IPv4Network("0.0.0.0/0"), device=left, table=1000),
    )
    routes = {route["dst"]: route for route in ip("route")}
    host = routes["198.51.100.10"]
    assert (host["gateway"], host["dev"], host["prefsrc"]) == ("192.0.2.2", "left", "192.0.2.1")
    assert host["metrics"] == [{"mtu": 1280}]
    assert (routes["default"]["gateway"], routes["default"]["flags"]) == ("203.0.113.1", ["onlink"])
    assert routes["203.0.113.0/24"]["type"] == "blackhole"
    (other,) = ip("route show table 1000")
    assert (other["dst"], other["dev"], other["scope"]) == ("default", "left", "link")
    kernel.request(rtnetlink.replace_route(HOST, device=left))
    assert "gateway" not in next(route for route in ip("route") if route["dst"] == "198.51.100.10")
    kernel.request(rtnetlink.delete_route(HOST), rtnetlink.delete_route(IPv4Network("0.0.0.0/0"), table=1000))
    assert "198.51.100.10" not in {route["dst"] for route in ip("route")}
    assert ip("route show table 1000") == []


def test_the_route_that_would_be_taken_is_told(kernel: RouteNetlink) -> None:
    kernel.request(rtnetlink.add_route(HOST, gateway=GATEWAY, mtu=1280))
    found = kernel.route_to(HOST[0])
    assert (found.device, found.gateway, found.mtu) == (kernel.link_index("left"), GATEWAY, 1280)
    assert found.source == IPv4Address("192.0.2.1")
    on_link = kernel.route_to(GATEWAY, IPv4Address("192.0.2.1"))
    assert (on_link.gateway, on_link.mtu) == (None, None)
    with pytest.raises(KernelRefused, match=r"find the route to 203\.0\.113\.1: Network is unreachable"):
        kernel.route_to(IPv4Address("203.0.113.1"))


def test_rules_are_as_asked(kernel: RouteNetlink) -> None:
    kernel.request(
        rtnetlink.add_rule(100, 1000, source=HOST, iif="left"),
        rtnetlink.add_rule(101, 7, destination=IPv4Network("203.0.113.0/24")),
    )
    rules = {rule["priority"]: rule for rule in ip("rule")}
    assert (rules[100]["src"], rules[100]["iif"], rules[100]["table"]) == ("198.51.100.10", "left", "1000")
    assert (rules[101]["dst"], rules[101]["dstlen"], rules[101]["table"]) == ("203.0.113.0", 24, "7")
    kernel.request(rtnetlink.delete_rule(100, 1000, source=HOST, iif="left"))
    assert 100 not in {rule["priority"] for rule in ip("rule")}


def test_neighbours_are_as_asked(kernel: RouteNetlink) -> None:
    left = kernel.link_index("left")
    kernel.request(rtnetlink.set_neighbour(GATEWAY, MAC, left), rtnetlink.add_proxy_neighbour(HOST[0], left))
    (neighbour,) = ip("neigh show dev left")
    assert (neighbour["dst"], neighbour["lladdr"], neighbour["state"]) == ("192.0.2.2", MAC.hex(":"), ["PERMANENT"])
    assert [proxy["dst"] for proxy in ip("neigh show proxy")] == ["198.51.100.10"]
    kernel.request(rtnetlink.delete_neighbour(GATEWAY, left), rtnetlink.delete_proxy_neighbour(HOST[0], left))
    assert ip("neigh show nud permanent") == ip("neigh show proxy") == []


def test_clsact_comes_and_goes(kernel: RouteNetlink) -> None:
    left = kernel.link_index("left")
    kernel.request(rtnetlink.add_clsact(left))
    assert "clsact" in subprocess.run(["tc", "qdisc", "show", "dev", "left"], capture_output=True, text=True).stdout
    kernel.request(rtnetlink.delete_clsact(left))
    assert "clsact" not in subprocess.run(["tc", "qdisc"], capture_output=True, text=True).stdout


def test_a_refusal_says_what_was_asked_and_what_the_kernel_said(kernel: RouteNetlink) -> None:
    with pytest.raises(KernelRefused) as refusal:
        kernel.request(rtnetlink.add_route(HOST, gateway=IPv4Address("203.0.113.1")))
    assert str(refusal.value) == (
        "the kernel refused to add unicast route 198.51.100.10/32 via 203.0.113.1 in table 254: "
        "Network is unreachable, Nexthop has invalid gateway"
    )
    assert isinstance(refusal.value.__cause__, OSError)
    assert refusal.value.__cause__.errno == errno.ENETUNREACH


def test_the_rest_of_a_batch_is_done_when_one_is_refused(kernel: RouteNetlink) -> None:
    left = kernel.link_index("left")
    hosts = [IPv4Network((address, 32)) for address in range(0xCB007101, 0xCB007101 + 250)]
    batch = [rtnetlink.add_route(host, device=left) for host in hosts]
    with pytest.raises(KernelRefused, match=r"203\.0\.113\.1/32 .*File exists; and 249 more"):
        kernel.request(*batch, *batch)
    assert len(ip("route show root 203.0.113.0/24")) == 250
    kernel.request(*batch, ignore={errno.EEXIST})


def test_a_socket_for_another_namespace_stays_there_and_the_thread_does_not(namespace: int) -> None:
    here = os.stat("/proc/thread-self/ns/net").st_ino
    with RouteNetlink() as inside:
        inside.request(rtnetlink.add_veth("left", "right"))
    syscalls.unshare(syscalls.CLONE_NEWNET)
    elsewhere = os.stat("/proc/thread-self/ns/net").st_ino
    assert elsewhere != here
    with RouteNetlink(namespace) as inside:
        assert inside.link("left") is not None
    assert os.stat("/proc/thread-self/ns/net").st_ino == elsewhere
    with RouteNetlink() as outside:
        assert outside.link("left") is None


def test_the_monitor_tells_of_carrier_and_removal(kernel: RouteNetlink) -> None:
    monitor = LinkMonitor()
    left, right = kernel.link_index("left"), kernel.link_index("right")
    kernel.request(rtnetlink.set_link(right, up=False))
    down = wait_for_news(monitor, lambda change: change.index == left and not change.up)
    assert (down.name, down.removed) == ("left", False)
    kernel.request(rtnetlink.set_link(right, up=True))
    up = wait_for_news(monitor, lambda change: change.index == left and change.up)
    assert up.carrier_ups == down.carrier_ups + 1
    kernel.request(rtnetlink.delete_link(left))
    assert not wait_for_news(monitor, lambda change: change.index == left and change.removed).up
    monitor.close()


def test_a_monitor_that_was_flooded_tells_how_things_are(kernel: RouteNetlink) -> None:
    monitor = LinkMonitor()
    left = kernel.link_index("left")
    for _ in range(20):
        kernel.request(*(rtnetlink.set_link(left, mtu=mtu) for mtu in range(1000, 1100)))
    kernel.request(rtnetlink.set_link(left, up=False))
    changes = monitor.read()
    assert len(changes) < 2000, "the flood did not overflow the socket; make it longer"
    assert [change.up for change in changes if change.index == left] == [False]
    monitor.close()


def wait_for_news(monitor: LinkMonitor, wanted: Callable[[LinkChange], bool]) -> LinkChange:
    """The first change, already told or still to come, that is wanted; the kernel tells of carriers a little later."""
    while select.select([monitor], [], [], scaled(5))[0]:
        for change in monitor.read():
            if wanted(change):
                return change
    raise AssertionError("no such news")
