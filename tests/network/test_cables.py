"""Moving cables between LANs, as the node sees it and as frames do."""

from __future__ import annotations

import itertools

import pytest

from testbed.errors import ScenarioError
from testbed.network import rtnetlink
from testbed.network.mininet_net import LabNet
from testbed.network.rtnetlink import LinkMonitor
from testbed.network.waiting import wait_until
from tests.network.private import in_world


def _two_lans() -> LabNet:
    """A traveller in LAN s1, and a local host in each of two LANs under the same address."""
    net = LabNet(autoSetMacs=False)
    for lan in ("s1", "s2"):
        net.addSwitch(lan)
    net.addLink(net.addHost("traveller", ip="10.0.0.9/8"), "s1")
    net.addLink(net.addHost("local1", ip="10.0.0.1/8"), "s1", addr1="02:00:00:00:00:01")
    net.addLink(net.addHost("local2", ip="10.0.0.1/8"), "s2", addr1="02:00:00:00:00:02")
    net.build()
    net.start()
    return net


def _who_is_there(net: LabNet) -> str | None:
    """The MAC of whoever answers ARP for 10.0.0.1 where the traveller is."""
    traveller = net["traveller"]
    traveller.pexec("ip neigh flush all")
    if traveller.pexec("ping -c1 -W1 10.0.0.1")[2] != 0:
        return None
    return str(traveller.pexec("ip neigh show 10.0.0.1")[0].split()[4])


@in_world
def test_a_moved_cable_leads_to_the_other_lan() -> None:
    net = _two_lans()
    assert _who_is_there(net) == "02:00:00:00:00:01"
    net.move_cable("traveller", "s1", "s2")
    assert _who_is_there(net) == "02:00:00:00:00:02"
    net.move_cable("traveller", "s2", "s1")
    assert _who_is_there(net) == "02:00:00:00:00:01"
    net.stop()


@in_world
def test_the_node_sees_the_carrier_go_down_and_up_at_every_move() -> None:
    net = _two_lans()
    node = net["traveller"]
    monitor = LinkMonitor(node.namespace.fd)
    places = ["s1", "s2"] * 5
    for here, there in itertools.pairwise(places):
        net.move_cable("traveller", here, there)
        assert [change.up for change in monitor.read() if change.name == "eth0"] == [False, True]
    assert node.rtnetlink.link_flags("eth0") & rtnetlink.IFF_LOWER_UP


@in_world
def test_address_and_routes_survive_a_move() -> None:
    net = _two_lans()
    node = net["traveller"]
    node.setDefaultRoute("via 10.0.0.1")
    before = node.pexec("ip route")[0], node.pexec("ip -br addr")[0]
    net.move_cable("traveller", "s1", "s2")
    assert (node.pexec("ip route")[0], node.pexec("ip -br addr")[0]) == before
    assert "default via 10.0.0.1" in before[0]


@in_world
def test_an_unplugged_node_has_no_carrier_until_it_is_plugged_in() -> None:
    net = _two_lans()
    node = net["traveller"]
    net.unplug("traveller")
    assert not node.rtnetlink.link_flags("eth0") & rtnetlink.IFF_LOWER_UP
    assert net.where("traveller") is None
    assert _who_is_there(net) is None
    net.plug("traveller", "s2")
    assert net.where("traveller") == "s2"
    assert _who_is_there(net) == "02:00:00:00:00:02"


@in_world
def test_mininets_own_bookkeeping_follows() -> None:
    net = _two_lans()
    link = net.linksBetween(net["traveller"], net["s1"])[0]
    net.move_cable("traveller", "s1", "s2")
    assert net.linksBetween(net["traveller"], net["s1"]) == []
    assert net.linksBetween(net["traveller"], net["s2"]) == [link]
    assert net["s1"].plugged_in() == ["local1"]
    assert net["s2"].plugged_in() == ["local2", "traveller"]
    assert net["traveller"].connectionsTo(net["s2"]) == [(link.intf1, link.intf2)]
    net.delLink(link)
    assert net["traveller"].rtnetlink.link("eth0") is None


@in_world
def test_a_move_that_cannot_be_is_refused_and_changes_nothing() -> None:
    net = _two_lans()
    for arguments, words in (
        (("traveller", "s2", "s1"), "traveller is not plugged into s2; it is in: s1"),
        (("traveller", "s1", "s9"), "no node s9 in this lab; there are: traveller, local1, local2, s1, s2"),
        (("traveller", "s1", "local2"), "local2 is not a LAN; there are: s1, s2"),
        (("nobody", "s1", "s2"), "no node nobody in this lab"),
    ):
        with pytest.raises(ScenarioError, match=words):
            net.move_cable(*arguments)
    with pytest.raises(ScenarioError, match="the cable of traveller is not unplugged"):
        net.plug("traveller", "s2")
    assert net.where("traveller") == "s1"
    assert _who_is_there(net) == "02:00:00:00:00:01"


@in_world
def test_a_node_whose_interface_is_down_can_be_moved_too() -> None:
    net = _two_lans()
    node = net["traveller"]
    node.intf().ifconfig("down")
    net.move_cable("traveller", "s1", "s2")
    node.intf().ifconfig("up")
    wait_until(lambda: _who_is_there(net) == "02:00:00:00:00:02", what="the other LAN", timeout_s=10)
