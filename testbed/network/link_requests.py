"""Netlink requests that build a lab: cables between namespaces, bridges, their ports; and the offloads of a device.

Responsible for the few requests about links that only a lab's builder makes; the grammar, the socket and all other
requests are rtnetlink's. Each function returns a ``Message`` for ``RouteNetlink.request``.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from dataclasses import dataclass

from testbed.network.rtnetlink import IFF_UP, Message
from testbed.network.rtnetlink.links import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    LINK_HEADER,
    RTM_DELLINK,
    RTM_NEWLINK,
    VETH_INFO_PEER,
)
from testbed.network.rtnetlink.message import (
    CREATE_NEW,
    attribute,
    attribute_text,
    attribute_u8,
    attribute_u32,
    nested,
)

_IFLA_MASTER, _IFLA_GROUP, _IFLA_NET_NS_FD = 10, 27, 28
_IFLA_BR_FORWARD_DELAY, _IFLA_BR_STP_STATE, _IFLA_BR_MCAST_SNOOPING = 1, 5, 23

_SIOCETHTOOL = 0x8946
# linux/ethtool.h: GRO, GSO, TSO and transmit checksums.
_ETHTOOL_SETTERS = (0x2C, 0x24, 0x1F, 0x17)


@dataclass(frozen=True)
class Plug:
    """One end of a cable that is to be made."""

    node: str  # for error messages
    name: str
    mac: bytes | None = None
    namespace_fd: int | None = None  # None: the namespace that the request is sent in
    master: int | None = None  # index of the bridge it is a port of
    group: int | None = None  # what it can be deleted with; see delete_group

    def attributes(self) -> bytes:
        """The end as netlink attributes."""
        body = attribute_text(IFLA_IFNAME, self.name)
        if self.mac is not None:
            body += attribute(IFLA_ADDRESS, self.mac)
        for kind, value in (
            (_IFLA_MASTER, self.master),
            (_IFLA_GROUP, self.group),
            (_IFLA_NET_NS_FD, self.namespace_fd),
        ):
            if value is not None:
                body += attribute_u32(kind, value)
        return body


def add_cable(near: Plug, far: Plug) -> Message:
    """A veth pair whose ends come to life in their namespaces, under their final names and addresses.

    The near end is up at once; the far one cannot be, since veth refuses to raise the end that it registers first.
    """
    peer = attribute(VETH_INFO_PEER, LINK_HEADER.pack(0, 0, 0, 0, 0) + far.attributes())
    body = LINK_HEADER.pack(0, 0, 0, IFF_UP, IFF_UP) + near.attributes()
    body += nested(IFLA_LINKINFO, attribute_text(IFLA_INFO_KIND, "veth"), nested(IFLA_INFO_DATA, peer))
    values = (near.node, near.name, far.node, far.name)
    return Message(RTM_NEWLINK, CREATE_NEW, body, "lay a cable from {}:{} to {}:{}", values)


def add_bridge(name: str, group: int) -> Message:
    """A bridge that forwards from its first moment: no spanning tree, no forward delay, no multicast snooping."""
    options = attribute_u32(_IFLA_BR_FORWARD_DELAY, 0)
    options += attribute_u32(_IFLA_BR_STP_STATE, 0)
    options += attribute_u8(_IFLA_BR_MCAST_SNOOPING, 0)
    body = LINK_HEADER.pack(0, 0, 0, 0, 0) + attribute_text(IFLA_IFNAME, name) + attribute_u32(_IFLA_GROUP, group)
    body += nested(IFLA_LINKINFO, attribute_text(IFLA_INFO_KIND, "bridge"), attribute(IFLA_INFO_DATA, options))
    return Message(RTM_NEWLINK, CREATE_NEW, body, "add bridge {}", (name,))


def set_master(device: int, bridge: int) -> Message:
    """Make a device a port of a bridge; bridge 0 takes it out of the one that it is in."""
    body = LINK_HEADER.pack(0, 0, device, 0, 0) + attribute_u32(_IFLA_MASTER, bridge)
    return Message(RTM_NEWLINK, 0, body, "make device {} a port of bridge {}", (device, bridge))


def set_mac(device: int, mac: bytes) -> Message:
    """Change a device's hardware address; veth allows it while the device is up."""
    body = LINK_HEADER.pack(0, 0, device, 0, 0) + attribute(IFLA_ADDRESS, mac)
    return Message(RTM_NEWLINK, 0, body, "set the address of device {} to {}", (device, mac.hex(":")))


def rename(device: int, name: str) -> Message:
    """Change a device's name; older kernels want it down for that."""
    body = LINK_HEADER.pack(0, 0, device, 0, 0) + attribute_text(IFLA_IFNAME, name)
    return Message(RTM_NEWLINK, 0, body, "rename device {} to {}", (device, name))


def delete_group(group: int) -> Message:
    """Delete all devices of a group at once.

    The kernel waits for its grace periods once for the group instead of once for each device: 100 veth pairs go in
    60 ms, where one by one they take 2 s.
    """
    body = LINK_HEADER.pack(0, 0, 0, 0, 0) + attribute_u32(_IFLA_GROUP, group)
    return Message(RTM_DELLINK, 0, body, "delete the devices of group {}", (group,))


def disable_offloads(control: socket.socket, name: str) -> None:
    """Have the device's packets leave with their checksums filled in and no longer than its MTU, and stay so.

    ``control`` is any IPv4 socket made in the device's namespace. Raises ``OSError``.
    """
    for command in _ETHTOOL_SETTERS:
        # struct ifreq points to a struct ethtool_value {command, data}.
        value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
        fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(value)))
