"""What the kernel of one node holds at one moment, as plain data: links, addresses, routes, rules, neighbours.

Every entry reads, as a string, much like what ``ip`` would print. Asking the kernel is ``kernel.py``'s business.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

TABLE_MAIN, TABLE_LOCAL = 254, 255
_TABLE_NAMES = {253: "default", TABLE_MAIN: "main", TABLE_LOCAL: "local"}
_TUNNEL_NAME = re.compile(r"tun-\d+")  # not tun-N-out, the eBPF driver's other end of the pair
_TUNNEL_NAME = re.compile(r"tun-\d+")
_EVERYTHING = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Link:
    """A network interface with its counters."""

    name: str
    index: int
    kind: str  # "veth", "ipip", "bridge" …; empty for a physical one
    up: bool  # administratively
    carrier: bool
    arp: bool  # False: IFF_NOARP, the kernel neither asks nor answers
    mtu: int
    mac: str  # empty where the link has no addresses
    master: int | None  # index of the bridge
    rx_packets: int = dataclasses.field(compare=False)
    tx_packets: int = dataclasses.field(compare=False)
    rx_bytes: int = dataclasses.field(compare=False)
    tx_bytes: int = dataclasses.field(compare=False)
    rx_dropped: int = dataclasses.field(compare=False)
    tx_dropped: int = dataclasses.field(compare=False)

    def __str__(self) -> str:
        state = "up" if self.up and self.carrier else "up, no carrier" if self.up else "down"
        return f"link {self.name} ({self.kind or 'physical'}) {state}{'' if self.arp else ' noarp'} mtu {self.mtu}"


@dataclass(frozen=True)
class Address:
    interface: str
    address: IPv4Interface

    def __str__(self) -> str:
        return f"address {self.address} dev {self.interface}"


@dataclass(frozen=True)
class Route:
    destination: IPv4Network
    kind: str  # "unicast", "local", "broadcast", "blackhole", "unreachable", "prohibit" …
    table: int
    interface: str | None
    gateway: IPv4Address | None
    source: IPv4Address | None
    scope: str
    metric: int
    mtu: int | None
    onlink: bool

    def __str__(self) -> str:
        parts = ["route" if self.kind == "unicast" else f"route {self.kind}"]
        parts.append("default" if self.destination == _EVERYTHING else str(self.destination))
        parts += [f"via {self.gateway}"] if self.gateway else []
        parts += [f"dev {self.interface}"] if self.interface else []
        parts += [] if self.table == TABLE_MAIN else [f"table {table_name(self.table)}"]
        parts += [f"src {self.source}"] if self.source else []
        parts += [f"metric {self.metric}"] if self.metric else []
        parts += [f"mtu {self.mtu}"] if self.mtu else []
        return " ".join(parts + (["onlink"] if self.onlink else []))


@dataclass(frozen=True)
class Rule:
    """A rule of policy routing; ``table`` is None where the action is not a lookup."""

    priority: int
    source: IPv4Network | None
    destination: IPv4Network | None
    incoming: str | None  # interface
    outgoing: str | None
    mark: int | None
    inverted: bool
    action: str  # "lookup", "blackhole", "unreachable" …
    table: int | None

    def __str__(self) -> str:
        parts = [f"rule {self.priority}: {'not ' if self.inverted else ''}from {self.source or 'all'}"]
        parts += [f"to {self.destination}"] if self.destination else []
        parts += [f"iif {self.incoming}"] if self.incoming else []
        parts += [f"oif {self.outgoing}"] if self.outgoing else []
        parts += [f"fwmark {self.mark:#x}"] if self.mark else []
        parts.append(f"{self.action}{f' {table_name(self.table)}' if self.table is not None else ''}")
        return " ".join(parts)


@dataclass(frozen=True)
class Neighbour:
    address: IPv4Address
    interface: str
    mac: str  # empty while unresolved
    state: str  # "permanent", "reachable", "stale", "failed" …

    @property
    def permanent(self) -> bool:
        return self.state == "permanent"

    def __str__(self) -> str:
        return f"neighbour {self.address} dev {self.interface} lladdr {self.mac or '-'} {self.state}"


@dataclass(frozen=True)
class ProxyNeighbour:
    """An address for which the kernel answers ARP requests in its owner's stead."""

    address: IPv4Address
    interface: str

    def __str__(self) -> str:
        return f"proxy neighbour {self.address} dev {self.interface}"


@dataclass(frozen=True)
class KernelSnapshot:
    """The network state of one node's kernel; lists are in the kernel's order."""

    node: str
    time_ns: int  # Unix time, taken before the first question
    links: tuple[Link, ...]
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]  # of all tables
    rules: tuple[Rule, ...]
    neighbours: tuple[Neighbour, ...]
    proxy_neighbours: tuple[ProxyNeighbour, ...]

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links if link.name == name), None)

    def tunnels(self) -> tuple[Link, ...]:
        """The links that agents made for tunnels, which are named ``tun-N``."""
        return tuple(link for link in self.links if _TUNNEL_NAME.fullmatch(link.name))

    def routes_for(self, destination: IPv4Network | IPv4Address, table: int | None = TABLE_MAIN) -> tuple[Route, ...]:
        """The routes for exactly this prefix (a host's, for an address); ``table`` None looks in all tables."""
        prefix = IPv4Network(destination)
        return tuple(r for r in self.routes if r.destination == prefix and table in (None, r.table))

    def neighbour(self, address: IPv4Address, interface: str | None = None) -> Neighbour | None:
        wanted = (n for n in self.neighbours if n.address == address and interface in (None, n.interface))
        return next(wanted, None)

    def proxies_for(self, address: IPv4Address) -> tuple[ProxyNeighbour, ...]:
        return tuple(proxy for proxy in self.proxy_neighbours if proxy.address == address)

    def entries(self) -> Iterator[Link | Address | Route | Rule | Neighbour | ProxyNeighbour]:
        """What ``ip`` would show a person: not the local table, nor neighbours on links without ARP."""
        yield from self.links
        yield from self.addresses
        yield from (route for route in self.routes if route.table != TABLE_LOCAL)
        yield from self.rules
        yield from (neighbour for neighbour in self.neighbours if neighbour.state != "noarp")
        yield from self.proxy_neighbours

    def summary(self) -> str:
        """One line that says how much there is, and names what mobility brings: tunnels and proxy neighbours."""
        text = f"{self.node}: {len(self.links)} links, {len([*self.entries()]) - len(self.links)} other entries"
        tunnels = ", ".join(link.name for link in self.tunnels())
        proxies = ", ".join(str(proxy.address) for proxy in self.proxy_neighbours)
        return text + (f"; tunnels {tunnels}" if tunnels else "") + (f"; proxy ARP for {proxies}" if proxies else "")

    def to_json(self) -> dict[str, Any]:
        """Plain lists, strings and numbers."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return plain


def diff(before: KernelSnapshot, after: KernelSnapshot) -> list[str]:
    """What went (``- …``) and what came (``+ …``); counters of links do not count.

    Neighbours' states come and go by themselves, so that only their addresses and permanence are compared.
    """
    old, new = ([_lasting(entry) for entry in snapshot.entries()] for snapshot in (before, after))
    gone = [f"- {entry}" for entry in old if entry not in new]
    return gone + [f"+ {entry}" for entry in new if entry not in old]


def table_name(table: int) -> str:
    return _TABLE_NAMES.get(table, str(table))


def _lasting(entry: object) -> object:
    if isinstance(entry, Neighbour) and not entry.permanent:
        return dataclasses.replace(entry, state="learned")
    return entry
