"""Looks into the kernel of a node: :func:`take_snapshot`, and :func:`read_nft_counters` for its packet filters.

Checks read this instead of believing an agent. What was seen is plain data (``kernel_state.py``); how it is asked for
is told in ``netlink_dump.py``. The numbers are those of include/uapi/linux/{rtnetlink,if_link,neighbour,fib_rules}.h.
Nothing here changes anything.
"""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from socket import AF_INET

from testbed.evidence.kernel_state import (
    TABLE_LOCAL,
    TABLE_MAIN,
    Address,
    KernelSnapshot,
    Link,
    Neighbour,
    ProxyNeighbour,
    Route,
    Rule,
    diff,
)
from testbed.evidence.netlink_dump import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_GETRULE,
    Attributes,
    Entry,
    NetlinkDump,
    attributes,
)
from testbed.evidence.place import Place
from testbed.network import programs

__all__ = [
    "TABLE_LOCAL",
    "TABLE_MAIN",
    "Address",
    "KernelSnapshot",
    "Link",
    "Neighbour",
    "NftCounter",
    "ProxyNeighbour",
    "Route",
    "Rule",
    "diff",
    "read_nft_counters",
    "take_snapshot",
]

_IFF_UP, _IFF_NOARP = 0x1, 0x80
_RTM_F_CLONED = 0x200
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER = 1, 3, 4, 10
_IFLA_LINKINFO, _IFLA_STATS64, _IFLA_CARRIER = 18, 23, 33
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS, _RTA_TABLE = 1, 4, 5, 6, 7, 8, 15
_RTAX_MTU = 2
_RTNH_F_ONLINK = 4
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE, _FRA_OIFNAME = 1, 2, 3, 6, 10, 15, 17
_FIB_RULE_INVERT = 2
_NDA_DST, _NDA_LLADDR = 1, 2
_NTF_PROXY = 8

_ROUTE_KINDS = (
    *("unspecified", "unicast", "local", "broadcast", "anycast", "multicast"),
    *("blackhole", "unreachable", "prohibit", "throw", "nat"),
)
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_RULE_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_LOOKUP = 1
_NEIGHBOUR_STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}


def take_snapshot(place: Place) -> KernelSnapshot:
    """Everything that the kernel of a node holds now; takes less than a millisecond.

    :raises KernelRefused: the kernel will not answer.
    """
    time_ns = time.time_ns()
    with NetlinkDump(place.entered(), place.name) as netlink:
        links = tuple(_link(entry) for entry in netlink.dump(RTM_GETLINK))
        names = {link.index: link.name for link in links}
        return KernelSnapshot(
            place.name,
            time_ns,
            links,
            tuple(_address(entry, names) for entry in netlink.dump(RTM_GETADDR, AF_INET)),
            tuple(_route(entry, names) for entry in netlink.dump(RTM_GETROUTE, AF_INET) if not _is_cached(entry)),
            tuple(_rule(entry) for entry in netlink.dump(RTM_GETRULE, AF_INET)),
            tuple(_neighbour(entry, names) for entry in netlink.dump(RTM_GETNEIGH, AF_INET)),
            tuple(_proxy(entry, names) for entry in netlink.dump(RTM_GETNEIGH, AF_INET, 0, 0, _NTF_PROXY)),
        )


@dataclass(frozen=True)
class NftCounter:
    """A counter of one nftables rule."""

    family: str
    table: str
    chain: str
    handle: int
    comment: str  # of the rule; empty where it has none
    packets: int
    bytes: int


def read_nft_counters(place: Place, table: str | None = None) -> list[NftCounter]:
    """The counters of all rules in a node's packet filters, or of one table's, in rule order.

    :raises CommandFailed: nft refused.
    """
    listing = programs.run(["nft", "-j", "list", "ruleset"], node=place.name, popen=place.popen).stdout
    rules = [entry["rule"] for entry in json.loads(listing)["nftables"] if "rule" in entry]
    return [
        NftCounter(
            rule["family"],
            rule["table"],
            rule["chain"],
            rule["handle"],
            rule.get("comment", ""),
            part["counter"]["packets"],
            part["counter"]["bytes"],
        )
        for rule in rules
        if table in (None, rule["table"])
        for part in rule["expr"]
        if isinstance(part.get("counter"), dict)
    ]


def _link(entry: Entry) -> Link:
    (_, _, index, flags, _), found = entry
    statistics = struct.unpack_from("=8Q", found[_IFLA_STATS64]) if _IFLA_STATS64 in found else (0,) * 8
    rx_packets, tx_packets, rx_bytes, tx_bytes, _, _, rx_dropped, tx_dropped = statistics
    return Link(
        name=_text(found, _IFLA_IFNAME) or "",
        index=index,
        kind=_text(attributes(found.get(_IFLA_LINKINFO, b"")), _IFLA_INFO_KIND) or "",
        up=bool(flags & _IFF_UP),
        carrier=found.get(_IFLA_CARRIER) == b"\x01",
        arp=not flags & _IFF_NOARP,
        mtu=_number(found, _IFLA_MTU) or 0,
        mac=_mac(found.get(_IFLA_ADDRESS, b"")),
        master=_number(found, _IFLA_MASTER),
        rx_packets=rx_packets,
        tx_packets=tx_packets,
        rx_bytes=rx_bytes,
        tx_bytes=tx_bytes,
        rx_dropped=rx_dropped,
        tx_dropped=tx_dropped,
    )


def _address(entry: Entry, names: dict[int, str]) -> Address:
    (_, prefix_length, _, _, index), found = entry
    # On point-to-point links IFA_ADDRESS is the peer's; where both are there, IFA_LOCAL is ours.
    address = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
    return Address(names.get(index, f"#{index}"), IPv4Interface((address, prefix_length)))


def _is_cached(entry: Entry) -> bool:
    """What the kernel learned of one destination (a path MTU) is told as if it were a route; nobody has made it."""
    (*_, flags), _ = entry
    return bool(flags & _RTM_F_CLONED)


def _route(entry: Entry, names: dict[int, str]) -> Route:
    (_, length, _, _, short_table, _, scope, kind, flags), found = entry
    device = _number(found, _RTA_OIF)
    table = _number(found, _RTA_TABLE)
    return Route(
        destination=_network(found.get(_RTA_DST, b""), length),
        kind=_ROUTE_KINDS[kind] if kind < len(_ROUTE_KINDS) else f"type {kind}",
        table=short_table if table is None else table,
        interface=None if device is None else names.get(device, f"#{device}"),
        gateway=_ipv4(found, _RTA_GATEWAY),
        source=_ipv4(found, _RTA_PREFSRC),
        scope=_SCOPES.get(scope, str(scope)),
        metric=_number(found, _RTA_PRIORITY) or 0,
        mtu=_number(attributes(found.get(_RTA_METRICS, b"")), _RTAX_MTU),
        onlink=bool(flags & _RTNH_F_ONLINK),
    )


def _rule(entry: Entry) -> Rule:
    (_, to_length, from_length, _, short_table, _, _, action, flags), found = entry
    table = _number(found, _FRA_TABLE)
    return Rule(
        priority=_number(found, _FRA_PRIORITY) or 0,
        source=_network(found[_FRA_SRC], from_length) if _FRA_SRC in found else None,
        destination=_network(found[_FRA_DST], to_length) if _FRA_DST in found else None,
        incoming=_text(found, _FRA_IIFNAME),
        outgoing=_text(found, _FRA_OIFNAME),
        mark=_number(found, _FRA_FWMARK) or None,
        inverted=bool(flags & _FIB_RULE_INVERT),
        action=_RULE_ACTIONS.get(action, f"action {action}"),
        table=(short_table if table is None else table) if action == _LOOKUP else None,
    )


def _neighbour(entry: Entry, names: dict[int, str]) -> Neighbour:
    (_, index, state, _, _), found = entry
    return Neighbour(
        IPv4Address(found[_NDA_DST]),
        names.get(index, f"#{index}"),
        _mac(found.get(_NDA_LLADDR, b"")),
        _NEIGHBOUR_STATES.get(state, "none" if state == 0 else f"state {state:#x}"),
    )


def _proxy(entry: Entry, names: dict[int, str]) -> ProxyNeighbour:
    (_, index, _, _, _), found = entry
    return ProxyNeighbour(IPv4Address(found[_NDA_DST]), names.get(index, f"#{index}"))


def _network(address: bytes, length: int) -> IPv4Network:
    return IPv4Network((address or bytes(4), length))


def _ipv4(found: Attributes, kind: int) -> IPv4Address | None:
    return IPv4Address(found[kind]) if kind in found else None


def _number(found: Attributes, kind: int) -> int | None:
    return int(struct.unpack_from("=I", found[kind])[0]) if kind in found else None


def _text(found: Attributes, kind: int) -> str | None:
    return found[kind].rstrip(b"\0").decode(errors="replace") if kind in found else None


def _mac(address: bytes) -> str:
    return address.hex(":") if len(address) == 6 else ""
