"""What the protocol promises: the way of a packet as a pure function of where the mobile node is and what is in force.

Checks compare these promises with the ways that packets really took. Sources: RFC 5944 section 1 (triangle), RFC 3024
(reverse tunnel with direct delivery), RFC 2827 and RFC 3704 (ingress filtering); promises G1, G2, G3, G8 and G9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.evidence.trace import Path

Walk = Callable[[str, str], tuple[str, ...]]  # the nodes from one to another along the routes, ends included


@dataclass(frozen=True)
class Situation:
    """Where the mobile node is and what is in force there.

    ``foreign_agent`` and ``edge`` are None at home. ``registered`` says that the home agent holds a binding.
    """

    mobile: str
    home_agent: str
    foreign_agent: str | None = None
    edge: str | None = None
    registered: bool = False
    reverse_tunnel: bool = False
    ingress: str = "off"

    @property
    def at_home(self) -> bool:
        return self.foreign_agent is None


@dataclass(frozen=True)
class Way:
    """The path that a packet takes, and why it ends early if it does."""

    path: Path
    lost_because: str | None = None

    def __str__(self) -> str:
        return str(self.path)

    @property
    def arrives(self) -> bool:
        return self.lost_because is None


def _plain(nodes: tuple[str, ...], lost_because: str | None = None) -> Way:
    return Way(Path(nodes, (False,) * (len(nodes) - 1)), lost_because)


def _joined(*legs: tuple[tuple[str, ...], bool]) -> Way:
    """One way out of legs that share their end nodes; each leg is its nodes and whether it runs in the tunnel."""
    nodes: tuple[str, ...] = legs[0][0][:1]
    tunnelled: tuple[bool, ...] = ()
    for leg, in_tunnel in legs:
        nodes += leg[1:]
        tunnelled += (in_tunnel,) * (len(leg) - 1)
    return Way(Path(nodes, tunnelled))


def downlink(situation: Situation, sender: str, walk: Walk) -> Way:
    """The way of a packet that ``sender`` sends to the mobile node's home address."""
    here = situation
    if here.foreign_agent is None:
        return _plain(walk(sender, here.mobile))
    to_home_agent = walk(sender, here.home_agent)
    if not here.registered:
        return _plain(to_home_agent, "nobody on the home network answers for the home address")  # G1
    return _joined(
        (to_home_agent, False),
        (walk(here.home_agent, here.foreign_agent), True),
        (walk(here.foreign_agent, here.mobile), False),
    )


def uplink(situation: Situation, receiver: str, walk: Walk) -> Way:
    """The way of a packet that the mobile node sends from its home address to ``receiver``."""
    here = situation
    if here.foreign_agent is None:
        return _plain(walk(here.mobile, receiver))
    if here.reverse_tunnel:
        return _joined(
            (walk(here.mobile, here.foreign_agent), False),
            (walk(here.foreign_agent, here.home_agent), True),
            (walk(here.home_agent, receiver), False),
        )
    direct = walk(here.mobile, receiver)
    if here.edge in direct and drops_home_source(here.ingress):
        return _plain(
            direct[: direct.index(here.edge) + 1], f"the ingress filter of {here.edge} drops its source"
        )  # G9
    return _plain(direct)


def drops_home_source(ingress: str) -> bool:
    """Whether an edge router in that mode drops a source address of the home network.

    An access list and strict reverse-path forwarding do; loose reverse-path forwarding finds a route back to the home
    network (the default route counts, RFC 3704 section 2.4) and lets it pass.
    """
    return ingress in ("acl", "strict")
