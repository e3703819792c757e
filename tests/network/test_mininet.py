"""Our classes behind a real Mininet object: what scripts and Mininet's CLI use goes on working."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import resource
import socket
import subprocess
import tempfile
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from mininet.cli import CLI
from mininet.log import lg, setLogLevel
from mininet.net import Mininet
from mininet.node import Host, Node, Switch
from mininet.topo import LinearTopo, SingleSwitchTopo, Topo

from testbed.errors import KernelRefused, LabError
from testbed.network import rtnetlink, world
from testbed.network.mininet_bridge import LabBridge
from testbed.network.mininet_link import LabIntf, LabLink
from testbed.network.mininet_net import LabNet
from testbed.network.mininet_node import LabNode
from tests.network.host_state import host_state
from tests.network.private import in_world


def _started(hosts: int = 2, **options: Any) -> LabNet:
    net = LabNet(SingleSwitchTopo(hosts), **options)
    net.start()
    return net


@in_world
def test_the_objects_are_mininets_own_kinds() -> None:
    net = _started()
    link = net.linksBetween(net["h1"], net["s1"])[0]
    assert isinstance(net, Mininet)
    assert isinstance(net.get("h1"), Host)
    assert isinstance(net["s1"], Switch)
    assert isinstance(link, LabLink)
    assert [type(node) for node in net.values()] == [LabNode, LabNode, LabBridge]
    assert [isinstance(node, Node) for node in net.values()] == [True] * 3


@in_world
def test_everybody_reaches_everybody_on_a_lan_and_over_bridges_in_a_row() -> None:
    net = _started(3)
    assert net.pingAll("5") == 0
    net.stop()
    net = LabNet(LinearTopo(k=3, n=1))
    net.start()
    assert net.pingAll("5") == 0
    net.stop()


@in_world
def test_no_shell_starts_until_somebody_asks() -> None:
    net = _started()
    before = _children()
    for node in net.values():
        assert node.name in repr(node)
        assert not node.waiting
    net["h1"].pexec("true")
    net["h1"].setIP("10.0.0.9/8")
    net["s1"].stop(deleteIntfs=False)
    net["s1"].start()
    assert _children() == before
    assert net["h1"].cmd("echo $((6*7))") == "42\r\n"
    assert len(_children()) == len(before) + 1
    assert net["h1"].pid in _children()
    net.stop()
    assert _children() == before


def _children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@in_world
def test_the_shell_is_in_the_node_and_sees_its_own_sys() -> None:
    net = _started()
    assert net["h1"].cmd("ls /sys/class/net").split() == ["eth0", "lo"]
    assert net["s1"].cmd("ls /sys/class/net").split() == ["h1", "h2", "lo", "s1"]
    assert os.readlink(f"/proc/{net['h1'].pid}/ns/net") == net["h1"].pexec("readlink /proc/self/ns/net")[0].strip()
    joined = subprocess.run(
        ["mnexec", "-a", str(net["h2"].pid), "ls", "/sys/class/net"], capture_output=True, text=True
    )
    assert joined.stdout.split() == ["eth0", "lo"]


@in_world
def test_programs_run_inside_in_all_of_mininets_spellings() -> None:
    host = _started()["h1"]
    assert host.pexec(["echo", "a  b"]) == ("a  b\n", "", 0)
    assert host.pexec("echo 'a  b'") == ("a  b\n", "", 0)
    assert host.pexec("echo", "a", 7) == ("a 7\n", "", 0)
    assert host.pexec("echo $((1+1)); exit 3", shell=True) == ("2\n", "", 3)
    with host.popen("cat /proc/net/dev", stdout=subprocess.PIPE, text=True) as process:
        assert "eth0" in process.communicate()[0]


@in_world
def test_addresses_can_be_read_and_changed() -> None:
    net = _started()
    host = net["h1"]
    assert (host.IP(), host.intf().prefixLen) == ("10.0.0.1", 8)
    host.setIP("192.0.2.7/24")
    host.setMAC("02:00:00:00:00:07")
    addresses = host.pexec("ip -br addr show dev eth0")[0].split()
    assert addresses[2:] == ["192.0.2.7/24"]
    assert host.MAC() == host.intf().updateMAC() == "02:00:00:00:00:07"
    host.pexec("ip addr flush dev eth0")
    host.pexec("ip addr add 192.0.2.8/24 dev eth0")
    assert host.intf().updateIP() == "192.0.2.8"
    host.setIP("192.0.2.9", 24)
    assert host.intf().updateAddr() == ("192.0.2.9", "02:00:00:00:00:07")


@in_world
def test_interfaces_go_up_and_down_and_change_their_name() -> None:
    net = _started()
    interface = net["h1"].intf()
    assert interface.isUp()
    net.configLinkStatus("h1", "s1", "down")
    assert not interface.isUp()
    net.configLinkStatus("h1", "s1", "up")
    interface.rename("uplink")
    assert net["h1"].pexec("ip -br link show dev uplink")[2] == 0
    assert net["h1"].intf("uplink") is interface
    assert str(net.links[0]) == "uplink<->h1"
    assert net.links[0].status() == "(OK OK)"


@in_world
def test_routes_and_neighbours_can_be_set() -> None:
    host = _started()["h1"]
    host.setDefaultRoute("via 10.0.0.2")
    assert host.rtnetlink.route_to(IPv4Address("203.0.113.1")).gateway == IPv4Address("10.0.0.2")
    host.setDefaultRoute("dev eth0")
    assert host.rtnetlink.route_to(IPv4Address("203.0.113.1")).gateway is None
    host.add_route(IPv4Network("203.0.113.0/24"), IPv4Address("10.0.0.3"))
    assert host.rtnetlink.route_to(IPv4Address("203.0.113.1")).gateway == IPv4Address("10.0.0.3")
    host.setHostRoute("203.0.113.1", "eth0")
    assert host.rtnetlink.route_to(IPv4Address("203.0.113.1")).gateway is None
    host.setARP("10.0.0.5", "02:00:00:00:00:05")
    assert "10.0.0.5 dev eth0 lladdr 02:00:00:00:00:05 PERMANENT" in host.pexec("ip neigh")[0]
    with pytest.raises(LabError, match=r"h1: default route up the hill: expected an interface or `\[dev NAME\] via"):
        host.setDefaultRoute("up the hill")


@in_world
def test_what_the_kernel_refuses_is_named_with_the_node() -> None:
    net = _started()
    with pytest.raises(KernelRefused, match=r"^h1: the kernel refused to set unicast route .* Network is unreachable"):
        net["h1"].add_route(IPv4Network("203.0.113.0/24"), IPv4Address("192.0.2.1"))
    with pytest.raises(LabError, match="h1: no interface wlan0; there are: lo, eth0"):
        net["h1"].index("wlan0")
    with pytest.raises(LabError, match=r"eth0: 10\.0\.0/33 is not an address"):
        net["h1"].setIP("10.0.0/33")
    with pytest.raises(KernelRefused, match="h1: link"):
        net["h1"].netlink.link("set", index=99, state="up")


@in_world
def test_pyroute2_is_there_for_coroutines_too() -> None:
    host = _started()["h1"]

    async def names() -> list[str]:
        return [link.get("ifname") for link in host.netlink.get_links()]

    assert asyncio.run(names()) == [link.get("ifname") for link in host.netlink.get_links()] == ["lo", "eth0"]
    assert host.netlink.link_lookup(ifname="eth0") == [2]


@in_world
def test_nodes_and_links_come_and_go_while_it_runs() -> None:
    net = _started()
    net.addHost("h3", ip="10.0.0.3/8")
    link = net.addLink("h3", "s1")
    net["h3"].configDefault()
    assert net.ping([net["h1"], net["h3"]], timeout="5") == 0
    net.delLink(link)
    assert net["h3"].rtnetlink.link("eth0") is None
    assert net["s1"].plugged_in() == ["h1", "h2"]
    net.delLinkBetween(net["h2"], net["s1"])
    assert net["s1"].rtnetlink.link("h2") is None
    net.addLink("h3", "s1")
    net.delHost(net["h3"])
    assert "h3" not in net
    assert net["s1"].rtnetlink.link("h3") is None
    net.stop()


@in_world
def test_mininets_cli_works() -> None:
    net = _started()
    setLogLevel("output")
    script = Path(tempfile.gettempdir(), "script")
    ping = "h1 ping -c1 -W5 h2"
    script.write_text(
        f"nodes\nnet\nlinks\ndump\n{ping}\nh1 echo shell $0\npy h2.IP()\nlink h1 s1 down\nintfs\nswitch s1 stop\n"
    )
    heard = io.StringIO()
    lg.addHandler(logging.StreamHandler(heard))
    quiet, _writer = os.pipe()
    CLI(net, script=str(script), stdin=os.fdopen(quiet))
    said = heard.getvalue()
    for expected in ("h1 h2 s1", "eth0<->h1 (OK OK)", "1 received", "shell bash", "10.0.0.2", "h1: eth0"):
        assert expected in said, said


@in_world
def test_a_second_lab_may_follow_at_once_under_the_same_names() -> None:
    for _ in range(5):
        net = _started(3)
        assert sorted(os.listdir("/sys/class/net")) == ["h1", "h2", "h3", "lo", "s1"]
        net.stop()
        net.stop()
        assert os.listdir("/sys/class/net") == ["lo"]
        assert os.listdir("/run/netns") == []


@in_world
def test_a_lab_takes_down_only_what_is_its_own() -> None:
    subprocess.run("ip link add other type bridge && ip link add x type veth peer name y", shell=True, check=True)
    one, two = _started(), LabNet(controller=None)
    two.addSwitch("s2")
    two.addLink(two.addHost("h9"), "s2")
    two.start()
    one.stop()
    assert sorted(os.listdir("/sys/class/net")) == ["h9", "lo", "other", "s2", "x", "y"]
    two.stop()
    assert sorted(os.listdir("/sys/class/net")) == ["lo", "other", "x", "y"]


@in_world
def test_names_are_short_and_two_cables_to_one_lan_do_not_clash() -> None:
    net = LabNet()
    net.addSwitch("lan")
    net.addHost("a-very-long-name-of-a-host")
    for _ in range(3):
        net.addLink("a-very-long-name-of-a-host", "lan")
    net.start()
    assert net["lan"].plugged_in() == ["a-very-long-nam", "a-very-long-n-1", "a-very-long-n-2"]
    assert net["a-very-long-name-of-a-host"].intfNames() == ["eth0", "eth1", "eth2"]


@in_world
def test_a_cable_between_two_nodes_needs_no_bridge() -> None:
    net = LabNet()
    one, two = net.addHost("one", ip="192.0.2.1/30"), net.addHost("two", ip="192.0.2.2/30")
    net.addLink(one, two, intfName1="two", intfName2="one", addr1="02:00:00:00:00:01")
    net.build()
    net.start()
    assert net.pingAll("5") == 0
    assert one.intf("two").updateMAC() == "02:00:00:00:00:01"
    assert os.listdir("/sys/class/net") == ["lo"]
    net.stop()


@in_world
def test_bridges_forward_at_once_and_speak_for_nobody() -> None:
    net = _started()
    details = net["s1"].pexec("ip -d link show dev s1")[0]
    for setting in ("forward_delay 0 ", "stp_state 0 ", "mcast_snooping 0 "):
        assert setting in details
    assert "inet6" not in net["s1"].pexec("ip addr")[0] + net["h1"].pexec("ip addr")[0]


@in_world
def test_private_folders_are_the_nodes_own() -> None:
    folder = f"{tempfile.gettempdir()}/own"

    class Folders(Topo):  # type: ignore[misc]
        def build(self, **_options: Any) -> None:
            self.addHost("h1", privateDirs=[folder])
            self.addLink("h1", self.addSwitch("s1"))

    net = LabNet(Folders())
    net["h1"].cmd(f"touch {folder}/file")
    assert os.listdir(folder) == []
    assert net["h1"].pexec(f"ls {folder}")[0] == "file\n"
    net.stop()


def _tcp_frames(offloads: bool) -> tuple[int, bool]:
    """Send 20 kB over TCP: length of the longest frame seen at the receiver, and whether all checksums were right."""
    net = _started(offloads=offloads)
    sniffer = net["h2"].namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    listener = net["h2"].namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("10.0.0.2", 80))
    listener.listen()
    with net["h1"].namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect(("10.0.0.2", 80))
        accepted, _peer = listener.accept()
        client.sendall(bytes(20_000))
        received = 0
        while received < 20_000:
            received += len(accepted.recv(65536))
    sniffer.setblocking(False)
    longest, right = 0, True
    while True:
        try:
            packet = sniffer.recv(65536)
        except BlockingIOError:
            return longest, right
        longest = max(longest, len(packet))
        segment = packet[20:]
        right &= _sum(packet[12:20] + bytes([0, 6]) + len(segment).to_bytes(2, "big") + segment) == 0xFFFF


def _sum(octets: bytes) -> int:
    total = sum(int.from_bytes(octets[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@in_world
def test_without_offloads_packets_are_no_longer_than_the_mtu_and_their_checksums_are_right() -> None:
    assert _tcp_frames(offloads=False) == (1500, True)


@in_world
def test_with_offloads_they_are_not() -> None:
    longest, right = _tcp_frames(offloads=True)
    assert longest > 1500
    assert not right


@in_world
def test_mininets_host_wide_settings_do_not_reach_the_host() -> None:
    processes = resource.getrlimit(resource.RLIMIT_NPROC)
    before = host_state()["sysctls"]
    _started().stop()
    after = host_state()["sysctls"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    changed = {key for key in before if after.get(key) != before[key]}
    of_the_worlds_root = ("net/ipv6/conf/", "net/bridge/")
    assert {key for key in changed if not key.startswith(of_the_worlds_root)} == set()
    assert resource.getrlimit(resource.RLIMIT_NPROC) == processes
    assert not Mininet.inited


@in_world
def test_a_node_of_a_stranger_or_a_wrong_address_is_refused() -> None:
    net = LabNet()
    net.addHost("h1")
    net.addSwitch("s1")
    with pytest.raises(LabError, match="not a hardware address"):
        net.addLink("h1", "s1", addr1="02:00")
    with pytest.raises(LabError, match="a LabLink joins nodes of a LabNet only"):
        LabLink(net["h1"], cast(Any, "somebody"))
    with pytest.raises(LabError, match="s1: a network device s1 exists already"):
        LabBridge("s1")
    assert LabNet().link is LabLink
    assert LabNet().intf is LabIntf


def test_no_lab_is_built_outside_the_private_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "inside", lambda: False)
    with pytest.raises(LabError, match="only built inside the private world"):
        LabNet()


@in_world
def test_loopback_is_up_in_every_node() -> None:
    net = _started()
    assert net["h1"].rtnetlink.link_flags("lo") & rtnetlink.IFF_UP
