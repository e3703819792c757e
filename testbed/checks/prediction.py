"""What the protocol promises: the way of a packet as a pure function of where the mobile node is and what is in force.

Checks compare these promises with the ways that packets really took. Sources: RFC 5944 section 1 (triangle), RFC 3024
(reverse tunnel with direct delivery), RFC 2827 and RFC 3704 (ingress filtering); promises G1, G2, G3, G8 and G9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

from testbed.evidence.trace import Path
from testbed.topologies.plan import HomeNetwork, VisitedNetwork

Walk = Callable[[str, str], tuple[str, ...]]  # the nodes from one to another along the routes, ends included


class OuterHeader(NamedTuple):
    """The addresses that a packet bears while it is in the tunnel (RFC 2003, section 3.1)."""

    source: IPv4Address
    destination: IPv4Address

    def __str__(self) -> str:
        return f"{self.source} > {self.destination}"


@dataclass(frozen=True)
class Situation:
    """Where the mobile node is and what is in force there.

    ``visited`` is None at home. ``registered`` says that the home agent holds a binding.
    """

    mobile: str
    home: HomeNetwork
    visited: VisitedNetwork | None = None
    registered: bool = False
    reverse_tunnel: bool = False
    ingress: str = "off"

    @property
    def triangle(self) -> bool:
        """Away, with packets to the mobile node in the tunnel and those from it not."""
        return self.visited is not None and self.registered and not self.reverse_tunnel


@dataclass(frozen=True)
class Way:
    """The path that a packet takes, why it ends early if it does, and the header around it in the tunnel."""

    path: Path
    lost_because: str | None = None
    outer: OuterHeader | None = None

    def __str__(self) -> str:
        return str(self.path)

    @property
    def arrives(self) -> bool:
        return self.lost_because is None


def downlink(situation: Situation, sender: str, walk: Walk) -> Way:
    """The way of a packet that ``sender`` sends to the mobile node's home address."""
    home, visited = situation.home, situation.visited
    if visited is None:
        return _plain(walk(sender, situation.mobile))
    to_home_agent = walk(sender, home.home_agent)
    if not situation.registered:
        return _plain(to_home_agent, "nobody on the home network answers for the home address")  # G1
    return _tunnelled(
        to_home_agent,
        walk(home.home_agent, visited.foreign_agent),
        walk(visited.foreign_agent, situation.mobile),
        OuterHeader(home.home_agent_address, visited.care_of_address),
    )


def uplink(situation: Situation, receiver: str, walk: Walk) -> Way:
    """The way of a packet that the mobile node sends from its home address to ``receiver``."""
    home, visited = situation.home, situation.visited
    if visited is not None and situation.reverse_tunnel:
        return _tunnelled(
            walk(situation.mobile, visited.foreign_agent),
            walk(visited.foreign_agent, home.home_agent),
            walk(home.home_agent, receiver),
            OuterHeader(visited.care_of_address, home.home_agent_address),
        )
    direct = walk(situation.mobile, receiver)
    if visited is not None and visited.edge_router in direct and drops_home_source(situation.ingress):
        edge = visited.edge_router
        return _plain(direct[: direct.index(edge) + 1], f"the ingress filter of {edge} drops its source")  # G9
    return _plain(direct)


def drops_home_source(ingress: str) -> bool:
    """Whether an edge router in that mode drops a source address of the home network.

    An access list and strict reverse-path forwarding do; loose reverse-path forwarding finds a route back to the home
    network (the default route counts, RFC 3704 section 2.4) and lets it pass.
    """
    return ingress in ("acl", "strict")


def _plain(nodes: tuple[str, ...], lost_because: str | None = None) -> Way:
    return Way(Path(nodes, (False,) * (len(nodes) - 1)), lost_because)


def _tunnelled(before: tuple[str, ...], tunnel: tuple[str, ...], after: tuple[str, ...], outer: OuterHeader) -> Way:
    """Three legs that share their end nodes, the one in the middle inside the tunnel."""
    inside = [False] * (len(before) - 1) + [True] * (len(tunnel) - 1) + [False] * (len(after) - 1)
    return Way(Path(before + tunnel[1:] + after[1:], tuple(inside)), outer=outer)
