"""Mininet's interfaces and links over netlink: a cable is one request, made where its ends belong.

Responsible for naming and creating cables and for the state of one interface. Which LAN a cable is plugged into, and
moving it, is mininet_net.py's business.
"""

from __future__ import annotations

import errno
import itertools
import re
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any

from mininet.link import Intf, Link

from testbed.errors import LabError
from testbed.network import link_requests, rtnetlink
from testbed.network.link_requests import Plug
from testbed.network.mininet_bridge import LabBridge
from testbed.network.mininet_node import NetlinkNode

_LONGEST_NAME = 15  # IFNAMSIZ - 1


class LabIntf(Intf):  # type: ignore[misc]  # Mininet has no types
    """One interface of a node of ours. What the kernel refuses is raised, not printed."""

    name: str
    node: NetlinkNode
    ip: str | None
    prefixLen: int | None  # noqa: N815 - Mininet's name
    mac: str | None
    link: LabLink | None

    @property
    def index(self) -> int:
        """The kernel's index; looked up once, since it stays for the interface's life."""
        if self._index is None:
            self._index = self.node.index(self.name)
        return self._index

    _index: int | None = None

    def setIP(self, ipstr: str, prefixLen: int | str | None = None) -> str:
        """Give the interface this address in place of the one that Mininet knows; raises ``LabError``."""
        text = ipstr if "/" in ipstr else f"{ipstr}/{prefixLen}"
        try:
            address = IPv4Interface(text)
        except ValueError:
            raise LabError(f"{self.name}: {text} is not an address with a prefix length", node=self.node.name) from None
        changes = [rtnetlink.add_address(self.index, address), rtnetlink.set_link(self.index, up=True)]
        if self.ip is not None and (before := IPv4Interface(f"{self.ip}/{self.prefixLen}")) != address:
            self.node.request(rtnetlink.delete_address(self.index, before), ignore=(errno.EADDRNOTAVAIL,))
        self.node.request(*changes, ignore=(errno.EEXIST,))
        self.ip, self.prefixLen = str(address.ip), address.network.prefixlen
        return ""

    def setMAC(self, macstr: str) -> str:
        """Change the hardware address; nothing is asked of the kernel where it is the same."""
        if macstr != self.mac:
            self.node.request(link_requests.set_mac(self.index, _parsed(macstr)))
            self.mac = macstr
        return ""

    def isUp(self, setUp: bool = False) -> bool:
        """Is the interface administratively up? ``setUp`` raises it first."""
        if setUp:
            self.node.request(rtnetlink.set_link(self.index, up=True))
            return True
        return bool(self.node.rtnetlink.link_flags(self.index) & rtnetlink.IFF_UP)

    def ifconfig(self, *args: str) -> str:
        """``up`` and ``down`` over netlink, anything else by ifconfig in the node's shell."""
        if args in (("up",), ("down",)):
            self.node.request(rtnetlink.set_link(self.index, up=args == ("up",)))
            return ""
        return str(super().ifconfig(*args))

    def updateIP(self) -> str | None:
        """The address that the kernel has."""
        found = self.node.rtnetlink.addresses(self.index)
        address = found[0][1] if found else None
        self.ip, self.prefixLen = (str(address.ip), address.network.prefixlen) if address else (None, None)
        return self.ip

    def updateMAC(self) -> str | None:
        """The hardware address that the kernel has."""
        link = self.node.rtnetlink.link(self.index)
        self.mac = link.mac.hex(":") if link else None
        return self.mac

    def updateAddr(self) -> tuple[str | None, str | None]:
        """Both."""
        return self.updateIP(), self.updateMAC()

    def rename(self, newname: str) -> str:
        """Change the name, here and in the kernel."""
        down, up = (rtnetlink.set_link(self.index, up=up) for up in (False, True))
        self.node.request(down, link_requests.rename(self.index, newname), up)
        if self.name in self.node.nameToIntf:
            self.node.nameToIntf[newname] = self.node.nameToIntf.pop(self.name)
        self.name = newname
        return ""

    def delete(self) -> None:
        """Remove the interface, and with it the other end of its cable; gone already is good too."""
        if self.node.namespace.fd >= 0 and (link := self.node.rtnetlink.link(self.name)) is not None:
            self.node.request(rtnetlink.delete_link(link.index), ignore=(errno.ENODEV,))
        self.node.delIntf(self)
        self.link = None

    def status(self) -> str:
        """OK or MISSING, as Mininet's CLI prints it."""
        return "OK" if self.node.rtnetlink.link(self.name) is not None else "MISSING"


class LabLink(Link):  # type: ignore[misc]
    """A cable: a veth pair between two nodes, or between a node and a port of a bridge.

    Names, unless given: ``ethN`` on a node, the node's name on a bridge.
    """

    def __init__(self, node1: NetlinkNode, node2: NetlinkNode, **params: Any) -> None:
        for node in (node1, node2):
            if not isinstance(node, NetlinkNode):
                raise LabError("a LabLink joins nodes of a LabNet only", node=str(node))
        params["intfName1"] = params.get("intfName1") or _name(node1, node2, params.get("port1"))
        params["intfName2"] = params.get("intfName2") or _name(node2, node1, params.get("port2"))
        offloads = params.pop("offloads", True)
        for node, other, place in ((node1, node2, "params1"), (node2, node1, "params2")):
            if isinstance(node, LabBridge) and not isinstance(other, LabBridge):
                params[place] = {"up": None, **(params.get(place) or {})}  # a port is made up
        super().__init__(node1, node2, **params)
        if not offloads:
            for end in (self.intf1, self.intf2):
                end.node.disable_offloads(end.name)

    @classmethod
    def makeIntfPair(
        cls,
        intfname1: str,
        intfname2: str,
        addr1: str | None = None,
        addr2: str | None = None,
        node1: Any = None,
        node2: Any = None,
        deleteIntfs: bool = True,
    ) -> None:
        """Lay the cable. The request goes to the bridge's namespace where there is a bridge, since the end made there
        can be made a port, and up, in the same request."""
        ends = [(node1, intfname1, addr1), (node2, intfname2, addr2)]
        ends.sort(key=lambda end: not isinstance(end[0], LabBridge))
        near, far = (Plug(node.name, name, _mac(mac)) for node, name, mac in ends)
        (near_node, *_), (far_node, *_) = ends
        if isinstance(near_node, LabBridge):
            near = replace(near, master=near_node.bridge_index, group=near_node.group)
        far = replace(far, namespace_fd=far_node.namespace.fd)
        near_node.request(link_requests.add_cable(near, far))
        if isinstance(far_node, LabBridge):
            far_node.request(link_requests.set_master(far_node.index(far.name), far_node.bridge_index))


def _name(node: NetlinkNode, other: NetlinkNode, port: int | None) -> str:
    if not isinstance(node, LabBridge):
        return f"eth{node.newPort() if port is None else port}"
    # All bridges share a namespace, so a cable between two of them is named after both.
    wanted = f"{node.name}-{other.name}" if isinstance(other, LabBridge) else str(other.name)
    tails = itertools.chain([""], (f"-{number}" for number in itertools.count(1)))
    names = (wanted[: _LONGEST_NAME - len(tail)] + tail for tail in tails)
    return next(name for name in names if node.rtnetlink.link(name) is None)


def _mac(text: str | None) -> bytes | None:
    return None if text is None else _parsed(text)


def _parsed(text: str) -> bytes:
    if not re.fullmatch(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", text):
        raise LabError(f"{text!r} is not a hardware address such as 02:00:c0:00:02:0a")
    return bytes.fromhex(text.replace(":", ""))
