"""A real ``Mininet`` object built over netlink, inside the private world only, and the moving of cables.

Responsible for building any Mininet topology out of our nodes, bridges and cables, for taking it down, and for plugging
cables in elsewhere while it runs. Addresses and routes of our own topologies are put in by testbed.topologies.lab.
"""

from __future__ import annotations

import itertools
import os
import resource
import select
import time
from collections.abc import Iterator
from typing import Any

from mininet import util
from mininet.net import Mininet

from testbed.errors import DeadlinePassed, LabError, ScenarioError
from testbed.network import link_requests, rtnetlink, world
from testbed.network.mininet_bridge import LabBridge
from testbed.network.mininet_link import LabIntf, LabLink
from testbed.network.mininet_node import LabNode
from testbed.network.netns import Namespace
from testbed.network.rtnetlink import LinkMonitor
from testbed.network.waiting import scaled

_CARRIER_TIMEOUT_S = 5.0
_groups: Iterator[int] = itertools.count(1)


class LabNet(Mininet):  # type: ignore[misc]  # Mininet has no types
    """Takes what ``Mininet`` takes, with our classes as defaults and no controller.

    ``offloads``: leave checksum and segmentation offloads on, as Mininet does. Off, captures show right checksums.
    Raises ``LabError`` outside the private world.
    """

    hosts: list[Any]
    switches: list[Any]
    controllers: list[Any]
    links: list[Any]
    nameToNode: dict[str, Any]  # noqa: N815 - Mininet's name

    def __init__(self, topo: Any = None, *, offloads: bool = True, **options: Any) -> None:
        if not world.inside():
            raise LabError("a lab is only built inside the private world", hint="see testbed.network.world")
        self.offloads = offloads
        # Unique among all labs of this world's root namespace, whichever process builds them.
        self._group = os.getpid() << 8 | next(_groups)
        self._unplugged: dict[str, LabLink] = {}
        _raise_file_limit()
        _prepare_root_namespace()
        util.numCores.ncores = os.cpu_count()  # Mininet runs grep for it
        defaults = {"host": LabNode, "switch": LabBridge, "link": LabLink, "intf": LabIntf, "controller": None}
        with _limits_left_alone():
            super().__init__(topo=topo, **{**defaults, **options})

    @classmethod
    def init(cls) -> None:
        """Mininet would write fs.file-max, kernel.pty.max and the like here: they belong to the host. See world."""

    def addSwitch(self, name: str, cls: Any = None, **params: Any) -> Any:
        """Add a LAN."""
        return super().addSwitch(name, cls, **{"group": self._group, **params})

    def addLink(
        self, node1: Any, node2: Any, port1: Any = None, port2: Any = None, cls: Any = None, **params: Any
    ) -> Any:
        """Lay a cable between two nodes, or plug a node into a LAN."""
        kind = self.link if cls is None else cls
        if isinstance(kind, type) and issubclass(kind, LabLink):
            params.setdefault("offloads", self.offloads)
        return super().addLink(node1, node2, port1, port2, cls, **params)

    # Moving cables

    def move_cable(self, node: str, from_bridge: str, to_bridge: str) -> None:
        """Pull a node's cable out of one LAN and put it into another one.

        The node sees the carrier go down, then up: each is waited for, since the kernel tells of carrier changes late
        and leaves out what has been undone meanwhile (net/core/link_watch.c). Raises ``ScenarioError`` where the cable
        is not where it is said to be.
        """
        self._bridge(to_bridge)
        self.unplug(node, from_bridge)
        self.plug(node, to_bridge)

    def unplug(self, node: str, bridge: str | None = None) -> None:
        """Pull the cable of a node out of the LAN that it is in; the node sees its carrier go down."""
        link = self._plugged(node, bridge)
        own, port = _ends(link)
        lan = port.node
        with _carrier(own, up=False):
            lan.request(rtnetlink.set_link(port.index, up=False), link_requests.set_master(port.index, 0))
        lan.delIntf(port)
        self.links.remove(link)
        self._unplugged[node] = link

    def plug(self, node: str, bridge: str) -> None:
        """Put a node's unplugged cable into a LAN; the node sees its carrier come up."""
        lan = self._bridge(bridge)
        link = self._unplugged.get(node)
        if link is None:
            raise ScenarioError(f"the cable of {node} is not unplugged")
        own, port = _ends(link)
        with _carrier(own, up=True):
            lan.request(link_requests.set_master(port.index, lan.bridge_index), rtnetlink.set_link(port.index, up=True))
        del self._unplugged[node]
        port.node = lan
        lan.addIntf(port, moveIntfFn=lambda *_: None)
        self.links.append(link)

    def where(self, node: str) -> str | None:
        """The LAN that a node is plugged into, None where its cable hangs loose."""
        self._node(node)
        return next((bridge.name for bridge in self.switches if self._cables(node, bridge.name)), None)

    def _plugged(self, node: str, bridge: str | None) -> LabLink:
        if bridge is not None:
            self._bridge(bridge)
        wanted = bridge or self.where(node)
        found = self._cables(node, wanted) if wanted else []
        if not found:
            raise ScenarioError(f"{node} is not plugged into {bridge or 'any LAN'}; it is in: {self.where(node)}")
        return found[0]

    def _cables(self, node: str, bridge: str) -> list[LabLink]:
        return list(self.linksBetween(self._node(node), self._bridge(bridge)))

    def _node(self, name: str) -> Any:
        if name not in self.nameToNode:
            raise ScenarioError(f"no node {name} in this lab; there are: {', '.join(self)}")
        return self.nameToNode[name]

    def _bridge(self, name: str) -> LabBridge:
        found = self._node(name)
        if not isinstance(found, LabBridge):
            raise ScenarioError(f"{name} is not a LAN; there are: {', '.join(lan.name for lan in self.switches)}")
        return found

    # The end

    def stop(self) -> None:
        """Hang up shells, delete bridges with all their ports, let namespaces go. Twice is once.

        Unlike Mininet, not cable by cable: all that is in the root namespace goes in one request, and cables between
        nodes go with the nodes' namespaces.
        """
        for controller in self.controllers:
            controller.stop()
        if self.terms:
            self.stopXterms()
        bridges = [switch for switch in self.switches if isinstance(switch, LabBridge)]
        for switch in self.switches:
            if switch not in bridges:
                switch.stop()
        if bridges:
            bridges[0].delete_all()
        for node in (*self.hosts, *self.switches):
            node.terminate()
        self.hosts, self.switches, self.controllers, self.links = [], [], [], []
        self.nameToNode, self._unplugged = {}, {}


def _ends(link: LabLink) -> tuple[LabIntf, LabIntf]:
    """The node's end and the bridge's."""
    first, second = link.intf1, link.intf2
    return (second, first) if isinstance(first.node, LabBridge) else (first, second)


class _carrier:  # noqa: N801 - reads as a statement
    """Wait, at the end of the block, until the kernel has told of this interface's carrier going up or down.

    An interface that is administratively down has nothing to tell, nor has one that is already as wanted.
    """

    def __init__(self, interface: LabIntf, *, up: bool) -> None:
        self._interface, self._up = interface, up

    def __enter__(self) -> None:
        node = self._interface.node
        self._monitor = LinkMonitor(node.namespace.fd)
        flags = node.rtnetlink.link_flags(self._interface.index)
        carrier = bool(flags & rtnetlink.IFF_LOWER_UP)
        self._will_tell = bool(flags & rtnetlink.IFF_UP) and carrier is not self._up

    def __exit__(self, kind: object, *_exception: object) -> None:
        try:
            if kind is None and self._will_tell:
                self._wait()
        finally:
            self._monitor.close()

    def _wait(self) -> None:
        deadline_s = time.monotonic() + scaled(_CARRIER_TIMEOUT_S)
        while (left_s := deadline_s - time.monotonic()) > 0:
            select.select([self._monitor], [], [], left_s)
            if any(change.name == self._interface.name and change.up == self._up for change in self._monitor.read()):
                return
        state = "up" if self._up else "down"
        raise DeadlinePassed(
            f"waited for the carrier of {self._interface.name} to go {state}", node=self._interface.node.name
        )


class _limits_left_alone:  # noqa: N801 - reads as a statement
    """Keep ``Mininet.__init__`` from calling ``fixLimits``, which writes the host's sysctls: it names the base class,
    so an overridden ``init`` does not help. A plain Mininet made later in this process still does its own."""

    def __enter__(self) -> None:
        self._before = Mininet.inited
        Mininet.inited = True

    def __exit__(self, *_exception: object) -> None:
        Mininet.inited = self._before


def _raise_file_limit() -> None:
    """Each node holds two descriptors; the soft limit of this process alone is raised to its hard one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_ROOT_SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
    # Where br_netfilter is loaded, frames on bridges would go through the IP stack's hooks.
    "net/bridge/bridge-nf-call-iptables": 0,
    "net/bridge/bridge-nf-call-ip6tables": 0,
    "net/bridge/bridge-nf-call-arptables": 0,
}


def _prepare_root_namespace() -> None:
    root = Namespace.current("root")
    root.write_sysctls({key: value for key, value in _ROOT_SYSCTLS.items() if os.path.exists(f"/proc/sys/{key}")})
    root.close()
