"""Plans are renumbered without touching other networks, and ways through them are the shortest over routers."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.errors import ScenarioError
from testbed.topologies.renumber import renumber_home
from testbed.topologies.two_visited import PLAN
from testbed.topologies.walk import walk


def test_renumbering_to_the_same_prefix_changes_nothing() -> None:
    assert renumber_home(PLAN, PLAN.home.prefix) is PLAN


def test_renumbering_reaches_routes_lans_and_roles_and_nothing_else() -> None:
    moved = renumber_home(PLAN, IPv4Network("10.0.0.0/8"))
    old = IPv4Network("192.0.2.0/24")
    assert moved.lan("lan-home").prefix == IPv4Network("10.0.0.0/8")
    assert any(route.destination == IPv4Network("10.0.0.0/8") for route in moved.node("core").routes)
    assert "192.0.2." not in repr(moved)
    for before, after in zip(PLAN.nodes, moved.nodes, strict=True):
        for one, other in zip(before.interfaces, after.interfaces, strict=True):
            assert (one.address == other.address) is (one.address.ip not in old)
    assert moved.owner(IPv4Address("10.0.0.20")) is moved.node("home-host")


def test_the_way_follows_the_cable_of_the_mobile_node() -> None:
    assert walk(PLAN, "cn", "mn", mobile_lan="lan-home") == ("cn", "cn-router", "core", "home-router", "mn")
    assert walk(PLAN, "cn", "mn", mobile_lan="lan-b") == ("cn", "cn-router", "core", "edge-b", "fa-b", "mn")


def test_what_does_not_forward_passes_nothing_on() -> None:
    silent = dataclasses.replace(PLAN, nodes=tuple(dataclasses.replace(node, forwards=False) for node in PLAN.nodes))
    assert walk(silent, "home-host", "mn", mobile_lan="lan-home") == ("home-host", "mn")
    with pytest.raises(ScenarioError, match="no way from mn to cn"):
        walk(silent, "mn", "cn", mobile_lan="lan-home")
