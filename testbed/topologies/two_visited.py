"""The topology ``two-visited``: a home network, two visited ones, a correspondent, and a core between them.

::

    cn ─ lan-cn ─ cn-router ─┐                     ┌─ edge-a ─ fa-a ─ lan-a
                             ├──────── core ───────┤
    home-host ┐              │                     └─ edge-b ─ fa-b ─ lan-b
    mn ───────┴ lan-home ─ home-router

Prefixes are those reserved for documentation (RFC 5737): 192.0.2.0/24 is home, 198.51.100.0/24 are the two visited
networks, 203.0.113.0/24 is the rest. Each visited network is a /25: its access LAN the lower /26, the link between
foreign agent and edge router a /30 of the upper one; the care-of address is the foreign agent's end of that link.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.topologies.plan import (
    EVERYWHERE,
    CableEnd,
    CablePlan,
    HomeNetwork,
    InterfacePlan,
    LanPlan,
    NodePlan,
    Role,
    RoutePlan,
    TopologyPlan,
    VisitedNetwork,
)


def _interface(name: str, address: str, lan: str | None = None) -> InterfacePlan:
    return InterfacePlan(name, IPv4Interface(address), lan)


def _default(gateway: str) -> RoutePlan:
    return RoutePlan(EVERYWHERE, IPv4Address(gateway))


def _route(destination: str, gateway: str | None) -> RoutePlan:
    return RoutePlan(IPv4Network(destination), IPv4Address(gateway) if gateway else None)


def _cable(first: str, second: str) -> CablePlan:
    """A cable between routers whose interfaces are named after each other."""
    return CablePlan((CableEnd(first, second), CableEnd(second, first)))


_HOSTS = (
    NodePlan("cn", Role.CORRESPONDENT, (_interface("eth0", "203.0.113.10/26", "lan-cn"),), (_default("203.0.113.1"),)),
    NodePlan("home-host", Role.HOST, (_interface("eth0", "192.0.2.20/24", "lan-home"),), (_default("192.0.2.1"),)),
    NodePlan("mn", Role.MOBILE_NODE, (_interface("eth0", "192.0.2.10/24", "lan-home"),), (_default("192.0.2.1"),)),
)

_ROUTERS = (
    NodePlan(
        "cn-router",
        Role.ROUTER,
        (_interface("lan", "203.0.113.1/26", "lan-cn"), _interface("core", "203.0.113.130/30")),
        (_default("203.0.113.129"),),
        forwards=True,
    ),
    NodePlan(
        "core",
        Role.ROUTER,
        (
            _interface("cn-router", "203.0.113.129/30"),
            _interface("home-router", "203.0.113.133/30"),
            _interface("edge-a", "203.0.113.137/30"),
            _interface("edge-b", "203.0.113.141/30"),
        ),
        (
            _route("192.0.2.0/24", "203.0.113.134"),
            _route("198.51.100.0/25", "203.0.113.138"),
            _route("198.51.100.128/25", "203.0.113.142"),
            _route("203.0.113.0/26", "203.0.113.130"),
        ),
        forwards=True,
    ),
    NodePlan(
        "home-router",
        Role.HOME_AGENT,
        (_interface("lan", "192.0.2.1/24", "lan-home"), _interface("core", "203.0.113.134/30")),
        (_default("203.0.113.133"),),
        forwards=True,
    ),
    # What the core sends here and nobody uses must not bounce back to the core: the unreachable route ends it.
    NodePlan(
        "edge-a",
        Role.EDGE_ROUTER,
        (_interface("core", "203.0.113.138/30"), _interface("fa-a", "198.51.100.65/30")),
        (_default("203.0.113.137"), _route("198.51.100.0/26", "198.51.100.66"), _route("198.51.100.0/25", None)),
        forwards=True,
    ),
    NodePlan(
        "edge-b",
        Role.EDGE_ROUTER,
        (_interface("core", "203.0.113.142/30"), _interface("fa-b", "198.51.100.193/30")),
        (_default("203.0.113.141"), _route("198.51.100.128/26", "198.51.100.194"), _route("198.51.100.128/25", None)),
        forwards=True,
    ),
    NodePlan(
        "fa-a",
        Role.FOREIGN_AGENT,
        (_interface("edge-a", "198.51.100.66/30"), _interface("access", "198.51.100.1/26", "lan-a")),
        (_default("198.51.100.65"),),
        forwards=True,
    ),
    NodePlan(
        "fa-b",
        Role.FOREIGN_AGENT,
        (_interface("edge-b", "198.51.100.194/30"), _interface("access", "198.51.100.129/26", "lan-b")),
        (_default("198.51.100.193"),),
        forwards=True,
    ),
)

_VISITED = (
    VisitedNetwork(
        name="visited-a",
        prefix=IPv4Network("198.51.100.0/25"),
        lan="lan-a",
        foreign_agent="fa-a",
        care_of_address=IPv4Address("198.51.100.66"),
        agent_address=IPv4Address("198.51.100.1"),
        agent_interface="access",
        edge_router="edge-a",
        inside_interface="fa-a",
    ),
    VisitedNetwork(
        name="visited-b",
        prefix=IPv4Network("198.51.100.128/25"),
        lan="lan-b",
        foreign_agent="fa-b",
        care_of_address=IPv4Address("198.51.100.194"),
        agent_address=IPv4Address("198.51.100.129"),
        agent_interface="access",
        edge_router="edge-b",
        inside_interface="fa-b",
    ),
)

PLAN = TopologyPlan(
    name="two-visited",
    title="a home network, two visited networks with a foreign agent each, and a correspondent behind a core",
    nodes=_HOSTS + _ROUTERS,
    lans=(
        LanPlan("lan-home", IPv4Network("192.0.2.0/24")),
        LanPlan("lan-a", IPv4Network("198.51.100.0/26")),
        LanPlan("lan-b", IPv4Network("198.51.100.128/26")),
        LanPlan("lan-cn", IPv4Network("203.0.113.0/26")),
    ),
    cables=(
        _cable("core", "cn-router"),
        _cable("core", "home-router"),
        _cable("core", "edge-a"),
        _cable("core", "edge-b"),
        _cable("edge-a", "fa-a"),
        _cable("edge-b", "fa-b"),
    ),
    mobile_node="mn",
    correspondent="cn",
    home=HomeNetwork(
        name="home",
        prefix=IPv4Network("192.0.2.0/24"),
        lan="lan-home",
        home_agent="home-router",
        home_agent_address=IPv4Address("192.0.2.1"),
        agent_interface="lan",
    ),
    visited=_VISITED,
)
