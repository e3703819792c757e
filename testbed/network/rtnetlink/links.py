"""Requests about links - devices and what they are like - and the reading of the kernel's answers (linux/if_link.h).

Each request function returns a `Message` for `RouteNetlink.request`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.network.rtnetlink.message import (
    AF_INET,
    CREATE_NEW,
    Message,
    attribute,
    attribute_address,
    attribute_text,
    attribute_u8,
    attribute_u32,
    attributes,
    nested,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18

IFF_UP, IFF_NOARP, IFF_MULTICAST, IFF_LOWER_UP = 0x1, 0x80, 0x1000, 0x10000
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_STATS64 = 1, 3, 4, 5, 23
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_GSO_MAX_SIZE = 18, 20, 26, 41
IFLA_CARRIER_UP_COUNT = 47
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_IPTUN_LINK, IFLA_IPTUN_LOCAL, IFLA_IPTUN_REMOTE, IFLA_IPTUN_TTL, IFLA_IPTUN_TOS = 1, 2, 3, 4, 5
IFLA_IPTUN_PMTUDISC = 10
VETH_INFO_PEER = 1
IFLA_INET_CONF = 1
_TOS_INHERIT = 1

LINK_HEADER = struct.Struct("=BxHiII")


@dataclass(frozen=True, kw_only=True)
class Link:
    """A network device as the kernel describes it; ``up`` is administratively up *and* carrier.

    ``carrier_ups`` counts how often the carrier came: a change of cable may be over before anybody looks.
    """

    index: int
    name: str
    flags: int
    mtu: int
    mac: bytes
    kind: str
    alias: str
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    carrier_ups: int = 0

    @property
    def up(self) -> bool:
        return self.flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP


def decode_link(body: memoryview) -> Link:
    """What an RTM_NEWLINK or RTM_DELLINK message says."""
    _family, _type, index, flags, _change = LINK_HEADER.unpack_from(body)
    found = attributes(body, LINK_HEADER.size)
    about = attributes(found.get(IFLA_LINKINFO, b""))
    statistics = found.get(IFLA_STATS64, bytes(64))
    rx_packets, tx_packets, rx_bytes, tx_bytes, _rx_errors, _tx_errors, _rx_dropped, tx_dropped = struct.unpack_from(
        "=8Q", statistics
    )
    return Link(
        index=index,
        name=_text(found.get(IFLA_IFNAME)),
        flags=flags,
        mtu=struct.unpack("=I", found.get(IFLA_MTU, bytes(4)))[0],
        mac=found.get(IFLA_ADDRESS, b""),
        kind=_text(about.get(IFLA_INFO_KIND)),
        alias=_text(found.get(IFLA_IFALIAS)),
        rx_packets=rx_packets,
        rx_bytes=rx_bytes,
        tx_packets=tx_packets,
        tx_bytes=tx_bytes,
        tx_dropped=tx_dropped,
        carrier_ups=struct.unpack("=I", found.get(IFLA_CARRIER_UP_COUNT, bytes(4)))[0],
    )


def _text(payload: bytes | None) -> str:
    return (payload or b"").rstrip(b"\0").decode(errors="replace")


def set_link(
    device: int | str,
    *,
    up: bool | None = None,
    arp: bool | None = None,
    multicast: bool | None = None,
    mtu: int | None = None,
    alias: str | None = None,
    ipv4_settings: dict[int, int] | None = None,
) -> Message:
    """Change what is given of a device, named by index or name.

    ``arp=False`` sets IFF_NOARP: the kernel neither asks nor answers ARP there. ``alias`` is a note that stays with it.

    ``ipv4_settings`` are net.ipv4.conf values by their number in linux/ip.h (IPV4_DEVCONF_FORWARDING is 1).
    """
    flags = mask = 0
    for wanted, flag in ((up, IFF_UP), (None if arp is None else not arp, IFF_NOARP), (multicast, IFF_MULTICAST)):
        if wanted is not None:
            mask |= flag
            flags |= flag if wanted else 0
    index, body = (0, attribute_text(IFLA_IFNAME, device)) if isinstance(device, str) else (device, b"")
    body = LINK_HEADER.pack(0, 0, index, flags, mask) + body
    if mtu is not None:
        body += attribute_u32(IFLA_MTU, mtu)
    if alias is not None:
        body += attribute_text(IFLA_IFALIAS, alias)
    if ipv4_settings:
        values = (attribute_u32(number, value) for number, value in ipv4_settings.items())
        body += nested(IFLA_AF_SPEC, nested(AF_INET, nested(IFLA_INET_CONF, *values)))
    words = {"up": up, "arp": arp, "multicast": multicast, "mtu": mtu, "alias": alias, "ipv4": ipv4_settings}
    return Message(RTM_NEWLINK, 0, body, "set device {} {}", (device, _Settings(words)))


class _Settings(dict[str, object]):
    """Settings that print as ``up=True mtu=1480``, those left alone left out."""

    def __format__(self, specification: str) -> str:
        words = " ".join(f"{name}={value}" for name, value in self.items() if value is not None)
        return format(words, specification)


def add_ipip(
    name: str,
    local: IPv4Address | None,
    remote: IPv4Address | None,
    *,
    ttl: int = 64,
    device: int | None = None,
    mtu: int | None = None,
) -> Message:
    """An ``ipip`` device by RFC 2003: outer TOS copied from the inner, its own ``ttl`` (0: copied too).

    Outer DF is copied with ``ttl`` 0 and always set otherwise, as RFC 2003 section 3.1 allows and the kernel has it
    (ipip_netlink_parms). ``local`` and ``remote`` None match any; ``device`` binds the tunnel to an underlay device.
    """
    options = attribute_u8(IFLA_IPTUN_TTL, ttl) + attribute_u8(IFLA_IPTUN_TOS, _TOS_INHERIT)
    options += attribute_u8(IFLA_IPTUN_PMTUDISC, 0)
    if local is not None:
        options += attribute_address(IFLA_IPTUN_LOCAL, local)
    if remote is not None:
        options += attribute_address(IFLA_IPTUN_REMOTE, remote)
    if device is not None:
        options += attribute_u32(IFLA_IPTUN_LINK, device)
    body = LINK_HEADER.pack(0, 0, 0, 0, 0) + _link_attributes(name, mtu=mtu)
    body += nested(IFLA_LINKINFO, attribute_text(IFLA_INFO_KIND, "ipip"), attribute(IFLA_INFO_DATA, options))
    words = (name, local or "any", remote or "any")
    return Message(RTM_NEWLINK, CREATE_NEW, body, "add ipip device {} from {} to {}", words)


def add_veth(
    name: str,
    peer: str,
    *,
    mtu: int | None = None,
    mac: bytes | None = None,
    peer_mac: bytes | None = None,
    gso_max_size: int | None = None,
    arp: bool = True,
) -> Message:
    """A veth pair in this namespace; ``mtu`` and ``arp`` hold for both ends.

    They cannot be up from the start: veth refuses that with ENOTCONN until both exist.
    """
    header = LINK_HEADER.pack(0, 0, 0, 0 if arp else IFF_NOARP, IFF_NOARP)
    ours = _link_attributes(name, mtu=mtu, mac=mac, gso_max_size=gso_max_size)
    theirs = header + _link_attributes(peer, mtu=mtu, mac=peer_mac)
    body = header + ours
    body += nested(
        IFLA_LINKINFO,
        attribute_text(IFLA_INFO_KIND, "veth"),
        nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, theirs)),
    )
    return Message(RTM_NEWLINK, CREATE_NEW, body, "add veth pair {} and {}", (name, peer))


def _link_attributes(
    name: str,
    *,
    mtu: int | None = None,
    mac: bytes | None = None,
    gso_max_size: int | None = None,
) -> bytes:
    body = attribute_text(IFLA_IFNAME, name)
    if mtu is not None:
        body += attribute_u32(IFLA_MTU, mtu)
    if mac is not None:
        body += attribute(IFLA_ADDRESS, mac)
    if gso_max_size is not None:
        body += attribute_u32(IFLA_GSO_MAX_SIZE, gso_max_size)
    return body


def delete_link(device: int) -> Message:
    """Remove a device (of a veth pair, both ends); ENODEV where there is none."""
    return Message(RTM_DELLINK, 0, LINK_HEADER.pack(0, 0, device, 0, 0), "delete device {}", (device,))
