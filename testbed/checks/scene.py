"""What a check may look at: the plan, the packets, the kernels. A running lab is one; so is a test's stand-in."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Protocol

from testbed.evidence.kernel_state import KernelSnapshot
from testbed.evidence.packets import PacketLog
from testbed.network.netns import Namespace
from testbed.topologies.plan import TopologyPlan


class Scene(Protocol):
    """A lab as checks see it."""

    @property
    def plan(self) -> TopologyPlan: ...
    @property
    def packets(self) -> PacketLog: ...
    def refresh(self) -> None:
        """Bring ``packets`` up to date with everything that crossed an interface before the call."""

    def snapshot(self, node: str) -> KernelSnapshot:
        """What the kernel of a node holds now."""

    def namespace(self, node: str) -> Namespace:
        """Where programs and sockets of a node are made."""


def home_address(scene: Scene) -> IPv4Address:
    """The mobile node's home address."""
    return scene.plan.node(scene.plan.mobile_node).address


def mac_of(scene: Scene, node: str, interface: str) -> str:
    """An interface's link-layer address as the kernel has it, in lower case with colons."""
    link = scene.snapshot(node).link(interface)
    return link.mac.lower() if link else ""


def capture_command(node: str, interface: str, expression: str = "") -> str:
    """A command that shows a capture of the run to a person."""
    display = f" -Y '{expression}'" if expression else ""
    return f"tshark -r captures/{node}.{interface}.pcap{display}"
