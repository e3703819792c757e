"""What a topology is, as plain data: nodes, interfaces, addresses, LANs, cables, routes and everybody's role.

Responsible for the shape of a plan, for looking things up in it and for refusing one that does not hold. It builds
nothing, imports nothing that does, and so can be printed by an ordinary user on any machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.errors import ScenarioError

LONGEST_NAME = 15  # IFNAMSIZ - 1: names of nodes become names of interfaces
EVERYWHERE = IPv4Network("0.0.0.0/0")


class Role(StrEnum):
    """What a node is there for."""

    MOBILE_NODE = "mobile node"
    HOME_AGENT = "home agent"
    FOREIGN_AGENT = "foreign agent"
    EDGE_ROUTER = "provider's edge router"
    ROUTER = "router"
    CORRESPONDENT = "correspondent node"
    HOST = "host"


@dataclass(frozen=True)
class InterfacePlan:
    """One interface of a node; ``lan`` names the LAN that its cable is plugged into, None for a cable to a router."""

    name: str
    address: IPv4Interface
    lan: str | None = None

    @property
    def mac(self) -> str:
        """Locally administered, and readable in a capture: the last four bytes are the IPv4 address."""
        return "02:00:" + self.address.ip.packed.hex(":")


@dataclass(frozen=True)
class RoutePlan:
    """One route; ``gateway`` None makes it an unreachable one, which ends a routing loop."""

    destination: IPv4Network
    gateway: IPv4Address | None


@dataclass(frozen=True)
class NodePlan:
    """A host or router with a network namespace of its own."""

    name: str
    role: Role
    interfaces: tuple[InterfacePlan, ...]
    routes: tuple[RoutePlan, ...] = ()
    forwards: bool = False

    @property
    def address(self) -> IPv4Address:
        """The address that stands for the node: that of its first interface."""
        return self.interfaces[0].address.ip

    def interface(self, name: str) -> InterfacePlan:
        """The interface of this name; raises ``ScenarioError``."""
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise ScenarioError(f"no interface {name}; there are: {_listed(self.interfaces)}", node=self.name)

    def towards(self, gateway: IPv4Address) -> InterfacePlan | None:
        """The interface whose network holds ``gateway``."""
        return next((interface for interface in self.interfaces if gateway in interface.address.network), None)


@dataclass(frozen=True)
class LanPlan:
    """A LAN: one bridge in the lab's root namespace, whose ports are named after the nodes plugged in."""

    name: str
    prefix: IPv4Network


@dataclass(frozen=True)
class CableEnd:
    """One end of a cable between two nodes."""

    node: str
    interface: str


@dataclass(frozen=True)
class CablePlan:
    """A point-to-point link between two nodes, without a bridge."""

    ends: tuple[CableEnd, CableEnd]


@dataclass(frozen=True)
class HomeNetwork:
    """Where the mobile node belongs."""

    name: str
    prefix: IPv4Network
    lan: str
    home_agent: str
    home_agent_address: IPv4Address
    agent_interface: str  # the home agent's interface on the LAN


@dataclass(frozen=True)
class VisitedNetwork:
    """A network that the mobile node can move to, and the provider's filter in front of it."""

    name: str
    prefix: IPv4Network
    lan: str
    foreign_agent: str
    care_of_address: IPv4Address
    agent_address: IPv4Address  # of the foreign agent on the LAN
    agent_interface: str  # the foreign agent's interface on the LAN
    edge_router: str
    inside_interface: str  # the edge router's interface towards the visited network, where ingress filtering sits


@dataclass(frozen=True)
class TopologyPlan:
    """A whole topology. Raises ``ScenarioError`` when it does not hold."""

    name: str
    title: str
    nodes: tuple[NodePlan, ...]
    lans: tuple[LanPlan, ...]
    cables: tuple[CablePlan, ...]
    mobile_node: str
    correspondent: str
    home: HomeNetwork
    visited: tuple[VisitedNetwork, ...]

    def __post_init__(self) -> None:
        for complaint in _complaints(self):
            raise ScenarioError(f"topology {self.name}: {complaint}")

    def node(self, name: str) -> NodePlan:
        """The node of this name; raises ``ScenarioError``."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ScenarioError(f"topology {self.name} has no node {name}; there are: {_listed(self.nodes)}")

    def lan(self, name: str) -> LanPlan:
        """The LAN of this name; raises ``ScenarioError``."""
        for lan in self.lans:
            if lan.name == name:
                return lan
        raise ScenarioError(f"topology {self.name} has no LAN {name}; there are: {_listed(self.lans)}")

    def visited_network(self, name: str) -> VisitedNetwork:
        """The visited network of this name; raises ``ScenarioError``."""
        for network in self.visited:
            if network.name == name:
                return network
        raise ScenarioError(f"topology {self.name} has no visited network {name}; there are: {_listed(self.visited)}")

    def with_role(self, role: Role) -> tuple[NodePlan, ...]:
        """All nodes of a role, in the order of the plan."""
        return tuple(node for node in self.nodes if node.role is role)

    def plugged_into(self, lan: str) -> Iterator[tuple[NodePlan, InterfacePlan]]:
        """Who is on a LAN when the lab starts."""
        for node in self.nodes:
            for interface in node.interfaces:
                if interface.lan == lan:
                    yield node, interface

    def owner(self, address: IPv4Address) -> NodePlan | None:
        """The node that has this address, None where nobody has."""
        for node in self.nodes:
            if any(interface.address.ip == address for interface in node.interfaces):
                return node
        return None


def _listed(
    named: tuple[NodePlan, ...] | tuple[LanPlan, ...] | tuple[InterfacePlan, ...] | tuple[VisitedNetwork, ...],
) -> str:
    return ", ".join(item.name for item in named)


def _complaints(plan: TopologyPlan) -> Iterator[str]:
    yield from _wrong_names(plan)
    yield from _wrong_addresses(plan)
    yield from _wrong_cables(plan)


def _wrong_names(plan: TopologyPlan) -> Iterator[str]:
    for name, count in Counter([*(node.name for node in plan.nodes), *(lan.name for lan in plan.lans)]).items():
        if count > 1:
            yield f"the name {name} is used {count} times"
        if not 0 < len(name) <= LONGEST_NAME:
            yield f"the name {name!r} has {len(name)} characters; expected 1 to {LONGEST_NAME}"
    for node in plan.nodes:
        for name, count in Counter(interface.name for interface in node.interfaces).items():
            if count > 1 or not 0 < len(name) <= LONGEST_NAME:
                yield f"{node.name}: the interface name {name!r} must be unique and 1 to {LONGEST_NAME} characters long"
        if sum(interface.lan is not None for interface in node.interfaces) > 1:
            yield f"{node.name} is on two LANs: both ports would have its name"


def _wrong_addresses(plan: TopologyPlan) -> Iterator[str]:
    lans = {lan.name: lan for lan in plan.lans}
    taken = Counter(interface.address.ip for node in plan.nodes for interface in node.interfaces)
    for address, count in taken.items():
        if count > 1:
            yield f"the address {address} is given {count} times"
    for node in plan.nodes:
        for interface in node.interfaces:
            if interface.lan is not None and interface.lan not in lans:
                yield f"{node.name}: {interface.name} is plugged into the unknown LAN {interface.lan}"
            elif interface.lan is not None and interface.address.network != lans[interface.lan].prefix:
                yield f"{node.name}: {interface.address} does not belong to {interface.lan}"
        for route in node.routes:
            if route.gateway is not None and node.towards(route.gateway) is None:
                yield f"{node.name}: the gateway {route.gateway} is on none of its links"


def _wrong_cables(plan: TopologyPlan) -> Iterator[str]:
    cabled = Counter((end.node, end.interface) for cable in plan.cables for end in cable.ends)
    for node in plan.nodes:
        for interface in node.interfaces:
            count = cabled.pop((node.name, interface.name), 0)
            if count != (1 if interface.lan is None else 0):
                yield f"{node.name}: {interface.name} has {count} cables and the LAN {interface.lan}"
    for name, interface_name in cabled:
        yield f"a cable ends at the unknown interface {name}:{interface_name}"
