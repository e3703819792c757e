from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from testbed.errors import ScenarioError
from testbed.topologies import catalogue
from testbed.topologies.plan import (
    CableEnd,
    CablePlan,
    InterfacePlan,
    LanPlan,
    NodePlan,
    Role,
    RoutePlan,
    TopologyPlan,
)
from testbed.topologies.two_visited import PLAN


def _with_node(name: str, **changes: object) -> TopologyPlan:
    """The plan with one node changed."""
    nodes = tuple(replace(node, **changes) if node.name == name else node for node in PLAN.nodes)  # type: ignore[arg-type]
    return replace(PLAN, nodes=nodes)


def test_things_are_found_by_name() -> None:
    assert PLAN.node("mn").address == IPv4Address("192.0.2.10")
    assert PLAN.node("mn").interface("eth0").address == IPv4Interface("192.0.2.10/24")
    assert PLAN.lan("lan-a").prefix == IPv4Network("198.51.100.0/26")
    assert PLAN.visited_network("visited-b").foreign_agent == "fa-b"
    assert [node.name for node in PLAN.with_role(Role.FOREIGN_AGENT)] == ["fa-a", "fa-b"]
    assert [node.name for node, _ in PLAN.plugged_into("lan-home")] == ["home-host", "mn", "home-router"]
    owner = PLAN.owner(IPv4Address("203.0.113.133"))
    assert owner is not None
    assert owner.name == "core"
    assert PLAN.owner(IPv4Address("10.0.0.1")) is None


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: PLAN.node("nn"), "topology two-visited has no node nn; there are: cn, home-host, mn, cn-router"),
        (lambda: PLAN.lan("lan-c"), "no LAN lan-c; there are: lan-home, lan-a, lan-b, lan-cn"),
        (lambda: PLAN.visited_network("home"), "no visited network home; there are: visited-a, visited-b"),
        (lambda: PLAN.node("mn").interface("eth1"), "mn: no interface eth1; there are: eth0"),
        (lambda: catalogue.get("two-visitors"), r"unknown topology two-visitors; .* \(did you mean two-visited\?\)"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(ask: object, words: str) -> None:
    assert callable(ask)
    with pytest.raises(ScenarioError, match=words):
        ask()


def test_a_hardware_address_can_be_read_as_the_address() -> None:
    assert PLAN.node("mn").interface("eth0").mac == "02:00:c0:00:02:0a"


def test_the_plan_agrees_with_itself_about_roles() -> None:
    home = PLAN.home
    assert PLAN.owner(home.home_agent_address) is PLAN.node(home.home_agent)
    assert PLAN.node(home.home_agent).role is Role.HOME_AGENT
    assert PLAN.node(home.home_agent).interface(home.agent_interface).lan == home.lan
    assert PLAN.node(PLAN.mobile_node).address in home.prefix
    assert PLAN.node(PLAN.correspondent).role is Role.CORRESPONDENT
    for visited in PLAN.visited:
        agent = PLAN.node(visited.foreign_agent)
        assert PLAN.owner(visited.care_of_address) is PLAN.owner(visited.agent_address) is agent
        assert agent.interface(visited.agent_interface).lan == visited.lan
        assert PLAN.lan(visited.lan).prefix.subnet_of(visited.prefix)
        assert visited.care_of_address in visited.prefix
        inside = PLAN.node(visited.edge_router).interface(visited.inside_interface)
        assert visited.care_of_address in inside.address.network


def test_documentation_prefixes_only() -> None:
    documentation = [IPv4Network(prefix) for prefix in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    for node in PLAN.nodes:
        for interface in node.interfaces:
            assert any(interface.address.ip in prefix for prefix in documentation)


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "a name of 16 characters": (
        lambda: replace(PLAN, lans=(*PLAN.lans, LanPlan("a" * 16, IPv4Network("10.0.0.0/8")))),
        "the name 'aaaaaaaaaaaaaaaa' has 16 characters; expected 1 to 15",
    ),
    "a node named like a LAN": (
        lambda: replace(PLAN, nodes=(*PLAN.nodes, NodePlan("lan-a", Role.HOST, ()))),
        "the name lan-a is used 2 times",
    ),
    "an address twice": (
        lambda: _with_node("home-host", interfaces=PLAN.node("mn").interfaces),
        r"the address 192\.0\.2\.10 is given 2 times",
    ),
    "an address of another LAN": (
        lambda: _with_node("cn", interfaces=(InterfacePlan("eth0", IPv4Interface("10.0.0.1/8"), "lan-cn"),)),
        r"cn: 10\.0\.0\.1/8 does not belong to lan-cn",
    ),
    "an unknown LAN": (
        lambda: _with_node("cn", interfaces=(InterfacePlan("eth0", IPv4Interface("10.0.0.1/8"), "lan-x"),)),
        "cn: eth0 is plugged into the unknown LAN lan-x",
    ),
    "a gateway that is nowhere": (
        lambda: _with_node("cn", routes=(RoutePlan(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.1")),)),
        r"cn: the gateway 10\.0\.0\.1 is on none of its links",
    ),
    "a loose end": (lambda: replace(PLAN, cables=PLAN.cables[1:]), "cn-router: core has 0 cables and the LAN None"),
    "a cable to nobody": (
        lambda: replace(PLAN, cables=(*PLAN.cables, CablePlan((CableEnd("mn", "eth9"), CableEnd("cn", "eth9"))))),
        "a cable ends at the unknown interface mn:eth9",
    ),
    "a node on two LANs": (
        lambda: _with_node(
            "fa-a",
            interfaces=(
                *PLAN.node("fa-a").interfaces,
                InterfacePlan("more", IPv4Interface("203.0.113.60/26"), "lan-cn"),
            ),
        ),
        "fa-a is on two LANs",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plan_that_does_not_hold_is_refused(case: str) -> None:
    build, words = CASES[case]
    with pytest.raises(ScenarioError, match=f"topology two-visited: {words}"):
        build()
