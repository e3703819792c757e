"""From a plan to a running lab: the network built, addressed, routed, and made independent of the host's settings.

Responsible for putting a plan's addresses, routes and sysctls into the nodes of a ``LabNet``. Agents, filters and
captures come later and are others' business.
"""

from __future__ import annotations

from testbed.network import rtnetlink
from testbed.network.mininet_net import LabNet
from testbed.network.mininet_node import LabNode
from testbed.network.rtnetlink import Message
from testbed.topologies.mininet_topo import PlanTopo
from testbed.topologies.plan import NodePlan, RoutePlan, TopologyPlan

# A new namespace starts with copies of the host's own values (net.core.devconf_inherit_init_net), so a lab would differ
# from machine to machine. `default` is what interfaces made later, such as tunnels, begin with.
_INTERFACE_SYSCTLS = {
    "rp_filter": 0,  # the effective value is the larger of `all` and the interface's own
    "send_redirects": 0,
    "accept_redirects": 0,
    "secure_redirects": 0,
    "accept_source_route": 0,
    "accept_local": 0,
    "proxy_arp": 0,
    "arp_filter": 0,
    "arp_ignore": 0,
    "arp_announce": 0,
    "log_martians": 0,
}


def build_lab(plan: TopologyPlan, offloads: bool = False) -> LabNet:
    """Build and start a plan inside the private world; ``stop()`` of the result takes it down.

    ``offloads`` False has every packet leave with its checksum filled in and no longer than the MTU, as captures should
    show them. Raises ``LabError``, ``KernelRefused``.
    """
    net = LabNet(PlanTopo(plan), offloads=offloads)
    try:
        for node in plan.nodes:
            configure(net[node.name], node)
        net.start()
    except BaseException:
        net.stop()
        raise
    return net


def configure(node: LabNode, plan: NodePlan) -> None:
    """Give a node, whose cables are laid, what its plan says."""
    node.namespace.write_sysctls(_sysctls(plan))
    for interface in plan.interfaces:
        node.intf(interface.name).setIP(str(interface.address))
    node.request(*(_request(route) for route in plan.routes))


def _request(route: RoutePlan) -> Message:
    if route.gateway is None:
        return rtnetlink.add_route(route.destination, type="unreachable")
    return rtnetlink.add_route(route.destination, gateway=route.gateway)


def _sysctls(plan: NodePlan) -> dict[str, int]:
    # Forwarding first: writing it resets other values of the interfaces to those of a router or a host (RFC 1122).
    values = {"net/ipv4/ip_forward": int(plan.forwards)}
    names = ("all", "default", *(interface.name for interface in plan.interfaces))
    values |= {f"net/ipv4/conf/{name}/{key}": value for name in names for key, value in _INTERFACE_SYSCTLS.items()}
    # Evidence must not be thinned out: every packet that dies is answered for. (Except, after some, those for which
    # there is no route: that limit, net.ipv4.route.error_cost, is the machine's and no namespace can change it.)
    return values | {"net/ipv4/icmp_ratelimit": 0} if plan.forwards else values
