"""Plans as Mininet topologies: what ``Mininet(topo=…)`` wants, and ``mn --custom`` finds.

Responsible for nodes, LANs and cables only. Addresses beyond what Mininet knows, routes and sysctls are lab.py's.
"""

from __future__ import annotations

from typing import Any

from mininet.topo import Topo

from testbed.topologies import two_visited
from testbed.topologies.plan import TopologyPlan


class PlanTopo(Topo):  # type: ignore[misc]  # Mininet has no types
    """The topology of a plan."""

    def build(self, plan: TopologyPlan | None = None, **_options: Any) -> None:
        """Mininet's hook. LANs are switches; a bridge's port is named after the node that is plugged in."""
        if plan is None:
            return  # an empty topology that somebody fills by hand
        for node in plan.nodes:
            # No address from Mininet's own pool: the plan's are put in when all cables are laid.
            self.addHost(node.name, ip=None)
        for lan in plan.lans:
            self.addSwitch(lan.name)
            for node, interface in plan.plugged_into(lan.name):
                names = {"intfName1": interface.name, "intfName2": node.name}
                self.addLink(node.name, lan.name, addr1=interface.mac, **names)
        for cable in plan.cables:
            first, second = (plan.node(end.node).interface(end.interface) for end in cable.ends)
            names = {"intfName1": first.name, "intfName2": second.name}
            self.addLink(cable.ends[0].node, cable.ends[1].node, addr1=first.mac, addr2=second.mac, **names)


class TwoVisited(PlanTopo):
    """The topology ``two-visited``."""

    def build(self, plan: TopologyPlan | None = None, **options: Any) -> None:
        """Mininet's hook."""
        super().build(plan or two_visited.PLAN, **options)


topos = {"two-visited": TwoVisited}
