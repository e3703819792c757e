"""Requests about addresses, routes, policy rules and neighbours (linux/rtnetlink.h, fib_rules.h, neighbour.h).

Each function returns a `Message` for `RouteNetlink.request`. Devices are interface indexes; only IPv4.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal

from testbed.network.rtnetlink.message import (
    AF_INET,
    CREATE_NEW,
    CREATE_OR_REPLACE,
    Message,
    attribute,
    attribute_address,
    attribute_text,
    attribute_u32,
    nested,
)

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
RTM_NEWRULE, RTM_DELRULE = 32, 33

IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_NOPREFIXROUTE = 0x200
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC, RTA_METRICS, RTA_TABLE = 1, 4, 5, 7, 8, 15
RTA_SRC = 2
RTAX_MTU = 2
RTNH_F_ONLINK = 4
FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_PRIORITY, FRA_TABLE = 1, 2, 3, 6, 15
FR_ACT_TO_TBL = 1
NDA_DST, NDA_LLADDR = 1, 2
NUD_REACHABLE, NUD_PERMANENT = 0x02, 0x80
NTF_PROXY = 0x08

TABLE_MAIN = 254
TABLE_LOCAL = 255
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_HOST, SCOPE_ANY = 0, 253, 254, 255

RouteType = Literal["unicast", "blackhole", "unreachable"]
ROUTE_TYPES: dict[RouteType, int] = {"unicast": 1, "blackhole": 6, "unreachable": 7}
_PROTOCOL_STATIC = 4
_PROTOCOL_ANY = 0

ADDRESS_HEADER = struct.Struct("=BBBBi")
ROUTE_HEADER = struct.Struct("=BBBBBBBBI")
_RULE_HEADER = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR_HEADER = struct.Struct("=BxxxiHBB")


def add_address(device: int, address: IPv4Interface, *, noprefixroute: bool = False) -> Message:
    """Give ``device`` an address; with ``noprefixroute`` the kernel makes no on-link route for its prefix."""
    body = _address_body(device, address)
    if noprefixroute:
        body += attribute_u32(IFA_FLAGS, IFA_F_NOPREFIXROUTE)
    return Message(RTM_NEWADDR, CREATE_NEW, body, "add address {} to device {}", (address, device))


def delete_address(device: int, address: IPv4Interface) -> Message:
    """Take an address from ``device``."""
    values = (address, device)
    return Message(RTM_DELADDR, 0, _address_body(device, address), "delete address {} of device {}", values)


def _address_body(device: int, address: IPv4Interface) -> bytes:
    header = ADDRESS_HEADER.pack(AF_INET, address.network.prefixlen, 0, 0, device)
    return header + attribute_address(IFA_LOCAL, address.ip) + attribute_address(IFA_ADDRESS, address.ip)


def add_route(
    destination: IPv4Network,
    *,
    device: int | None = None,
    gateway: IPv4Address | None = None,
    onlink: bool = False,
    table: int = TABLE_MAIN,
    scope: int | None = None,
    type: RouteType = "unicast",
    source: IPv4Address | None = None,
    mtu: int | None = None,
) -> Message:
    """A new route; refused with EEXIST when one for the same destination is in the table.

    ``source`` is the address that the host's own packets take along this route, ``onlink`` lets ``gateway`` lie outside
    every prefix of ``device``, ``mtu`` is in bytes. ``scope`` is *link* for a route without a gateway unless given.
    """
    body = _route_body(destination, device, gateway, onlink, table, scope, type, source, mtu)
    return Message(RTM_NEWROUTE, CREATE_NEW, body, *_route_words("add", destination, device, gateway, table, type))


def replace_route(
    destination: IPv4Network,
    *,
    device: int | None = None,
    gateway: IPv4Address | None = None,
    onlink: bool = False,
    table: int = TABLE_MAIN,
    scope: int | None = None,
    type: RouteType = "unicast",
    source: IPv4Address | None = None,
    mtu: int | None = None,
) -> Message:
    """As `add_route`, taking the place of the route for the same destination in one step where there is one."""
    body = _route_body(destination, device, gateway, onlink, table, scope, type, source, mtu)
    words = _route_words("set", destination, device, gateway, table, type)
    return Message(RTM_NEWROUTE, CREATE_OR_REPLACE, body, *words)


def delete_route(
    destination: IPv4Network,
    *,
    device: int | None = None,
    gateway: IPv4Address | None = None,
    table: int = TABLE_MAIN,
    type: RouteType | None = None,
) -> Message:
    """Take out the first route for ``destination`` that has what is given; ESRCH where there is none."""
    kind = 0 if type is None else ROUTE_TYPES[type]
    body = _route_header(destination, table, _PROTOCOL_ANY, SCOPE_ANY, kind, 0)
    body += _route_attributes(destination, device, gateway, table)
    words = _route_words("delete", destination, device, gateway, table, type or "unicast")
    return Message(RTM_DELROUTE, 0, body, *words)


def _route_body(
    destination: IPv4Network,
    device: int | None,
    gateway: IPv4Address | None,
    onlink: bool,
    table: int,
    scope: int | None,
    kind: RouteType,
    source: IPv4Address | None,
    mtu: int | None,
) -> bytes:
    if scope is None:
        scope = SCOPE_LINK if gateway is None and kind == "unicast" else SCOPE_UNIVERSE
    flags = RTNH_F_ONLINK if onlink else 0
    body = _route_header(destination, table, _PROTOCOL_STATIC, scope, ROUTE_TYPES[kind], flags)
    body += _route_attributes(destination, device, gateway, table)
    if source is not None:
        body += attribute_address(RTA_PREFSRC, source)
    if mtu is not None:
        body += nested(RTA_METRICS, attribute_u32(RTAX_MTU, mtu))
    return body


def _route_header(destination: IPv4Network, table: int, protocol: int, scope: int, kind: int, flags: int) -> bytes:
    # Tables above 255 do not fit the header; RTA_TABLE then says which.
    low = table if table < 256 else 0
    return ROUTE_HEADER.pack(AF_INET, destination.prefixlen, 0, 0, low, protocol, scope, kind, flags)


def _route_attributes(destination: IPv4Network, device: int | None, gateway: IPv4Address | None, table: int) -> bytes:
    body = attribute_u32(RTA_TABLE, table)
    if destination.prefixlen:
        body += attribute_address(RTA_DST, destination.network_address)
    if device is not None:
        body += attribute_u32(RTA_OIF, device)
    if gateway is not None:
        body += attribute_address(RTA_GATEWAY, gateway)
    return body


def _route_words(
    verb: str, destination: IPv4Network, device: int | None, gateway: IPv4Address | None, table: int, kind: str
) -> tuple[str, tuple[object, ...]]:
    template = "{} {} route {}"
    values: list[object] = [verb, kind, destination]
    for word, value in (("via", gateway), ("device", device)):
        if value is not None:
            template += f" {word} {{}}"
            values.append(value)
    return template + " in table {}", (*values, table)


def add_rule(
    priority: int,
    table: int,
    *,
    source: IPv4Network | None = None,
    destination: IPv4Network | None = None,
    iif: str | None = None,
) -> Message:
    """A policy rule: packets that match all that is given are routed by ``table``. EEXIST where it exists."""
    body = _rule_body(priority, table, source, destination, iif)
    return Message(RTM_NEWRULE, CREATE_NEW, body, *_rule_words("add", priority, table, source, destination, iif))


def delete_rule(
    priority: int,
    table: int,
    *,
    source: IPv4Network | None = None,
    destination: IPv4Network | None = None,
    iif: str | None = None,
) -> Message:
    """Take out the first rule that has all that is given; ENOENT where there is none."""
    body = _rule_body(priority, table, source, destination, iif)
    return Message(RTM_DELRULE, 0, body, *_rule_words("delete", priority, table, source, destination, iif))


def _rule_body(
    priority: int, table: int, source: IPv4Network | None, destination: IPv4Network | None, iif: str | None
) -> bytes:
    source_length = source.prefixlen if source else 0
    destination_length = destination.prefixlen if destination else 0
    low = table if table < 256 else 0
    body = _RULE_HEADER.pack(AF_INET, destination_length, source_length, 0, low, 0, 0, FR_ACT_TO_TBL, 0)
    body += attribute_u32(FRA_PRIORITY, priority) + attribute_u32(FRA_TABLE, table)
    if source is not None:
        body += attribute_address(FRA_SRC, source.network_address)
    if destination is not None:
        body += attribute_address(FRA_DST, destination.network_address)
    if iif is not None:
        body += attribute_text(FRA_IIFNAME, iif)
    return body


def _rule_words(
    verb: str,
    priority: int,
    table: int,
    source: IPv4Network | None,
    destination: IPv4Network | None,
    iif: str | None,
) -> tuple[str, tuple[object, ...]]:
    template = "{} rule {}:"
    values: list[object] = [verb, priority]
    for word, value in (("from", source), ("to", destination), ("iif", iif)):
        if value is not None:
            template += f" {word} {{}}"
            values.append(value)
    return template + " lookup table {}", (*values, table)


def set_neighbour(address: IPv4Address, mac: bytes, device: int, *, permanent: bool = True) -> Message:
    """Tell the kernel the MAC of a neighbour, in place of what it knew; ``permanent``: it never asks nor forgets."""
    state = NUD_PERMANENT if permanent else NUD_REACHABLE
    body = _neighbour_body(address, device, state, 0) + attribute(NDA_LLADDR, mac)
    words = ("set neighbour {} at {} on device {}", (address, _Mac(mac), device))
    return Message(RTM_NEWNEIGH, CREATE_OR_REPLACE, body, *words)


def delete_neighbour(address: IPv4Address, device: int) -> Message:
    """Forget a neighbour; ENOENT where it is not known."""
    body = _neighbour_body(address, device, 0, 0)
    return Message(RTM_DELNEIGH, 0, body, "delete neighbour {} on device {}", (address, device))


def add_proxy_neighbour(address: IPv4Address, device: int) -> Message:
    """Answer ARP for ``address`` on ``device`` in its stead (proxy ARP, RFC 5944 section 4.6)."""
    body = _neighbour_body(address, device, NUD_PERMANENT, NTF_PROXY)
    values = (address, device)
    return Message(RTM_NEWNEIGH, CREATE_OR_REPLACE, body, "add proxy neighbour {} on device {}", values)


def delete_proxy_neighbour(address: IPv4Address, device: int) -> Message:
    """Answer ARP for ``address`` no longer; ENOENT where it was not answered for."""
    body = _neighbour_body(address, device, 0, NTF_PROXY)
    return Message(RTM_DELNEIGH, 0, body, "delete proxy neighbour {} on device {}", (address, device))


def _neighbour_body(address: IPv4Address, device: int, state: int, flags: int) -> bytes:
    return _NEIGHBOUR_HEADER.pack(AF_INET, device, state, flags, 0) + attribute_address(NDA_DST, address)


class _Mac(bytes):
    """A hardware address that prints as people write it."""

    def __format__(self, specification: str) -> str:
        return format(self.hex(":"), specification)
