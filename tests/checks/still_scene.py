"""A scene that stands still: packets that were made up, kernels as a test describes them, and nothing that runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP, UDP

from testbed.evidence.kernel_state import KernelSnapshot, Link, Neighbour, ProxyNeighbour, Route
from testbed.evidence.packets import PacketLog
from testbed.network.netns import Namespace
from testbed.topologies.plan import TopologyPlan
from testbed.topologies.two_visited import PLAN
from testbed.traffic.udp_stream import Flow
from tests.evidence.wire import Wire, mac

# So slow that packets made up a while ago still count as the latest, however slow the machine is.
FLOW = Flow(2, "cn", "mn", IPv4Address("203.0.113.10"), 5000, IPv4Address("192.0.2.10"), 5001, rate_hz=0.01)


@dataclass
class StillScene:
    """What checks look at. ``packets`` is complete, and a node that is not in ``snapshots`` has its planned links."""

    packets: PacketLog
    snapshots: dict[str, KernelSnapshot] = field(default_factory=dict)
    plan: TopologyPlan = PLAN

    def refresh(self) -> None: ...

    def snapshot(self, node: str) -> KernelSnapshot:
        return self.snapshots.get(node) or kernel(node)

    def namespace(self, node: str) -> Namespace:
        raise AssertionError(f"nothing runs in {node}")


def recent_wire(folder: Path) -> Wire:
    """A wire whose packets cross it a few seconds ago."""
    wire = Wire(folder)
    wire.now_ns = time.time_ns() - 20_000_000_000
    return wire


def kernel(
    node: str,
    *,
    tunnels: tuple[str, ...] = (),
    routes: tuple[Route, ...] = (),
    neighbours: tuple[Neighbour, ...] = (),
    proxies: tuple[ProxyNeighbour, ...] = (),
) -> KernelSnapshot:
    """A node's kernel with its planned interfaces, whose addresses are those of the wire, and what is given."""
    names = [interface.name for interface in PLAN.node(node).interfaces]
    links = [_link(index, name, mac(f"{node}:{name}")) for index, name in enumerate([*names, *tunnels], 1)]
    return KernelSnapshot(node, 0, tuple(links), (), routes, (), neighbours, proxies)


def host_route(interface: str, *, table: int = 254) -> Route:
    """The route to the mobile node's home address alone."""
    destination = PLAN.node("mn").interfaces[0].address.ip
    return Route(IPv4Network(destination), "unicast", table, interface, None, None, "link", 0, None, onlink=False)


def datagram(number: int, *, source: str = "203.0.113.10", destination: str = "192.0.2.10") -> Any:
    """One of FLOW's, told apart by its number."""
    return IP(src=source, dst=destination, flags="DF") / UDP(sport=5000, dport=5001) / f"number {number}".encode()


def _link(index: int, name: str, link_mac: str) -> Link:
    return Link(name, index, "veth", True, True, True, 1500, link_mac, None, 0, 0, 0, 0, 0, 0)
