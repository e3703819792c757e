"""The foreign agent's visitor list: the mobile nodes that a home agent accepted here (RFC 5944 section 3.7.1, F2)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.deadlines import Deadlines
from testbed.protocol.packets import MacAddress
from testbed.tunnels.endpoints import TunnelEndpoints


@dataclass(frozen=True, slots=True)
class Visitor:
    """One registered mobile node; ``expires_at_s`` is monotonic, infinity if it never does."""

    home_address: IPv4Address
    mac: MacAddress
    tunnel: TunnelEndpoints
    reverse_tunnel: bool
    lifetime_s: int
    expires_at_s: float


class VisitorList:
    """The visitors by home address, and when each one's registration ends."""

    def __init__(self) -> None:
        self._visitors: dict[IPv4Address, Visitor] = {}
        self._expiries: Deadlines[IPv4Address] = Deadlines()

    def __len__(self) -> int:
        return len(self._visitors)

    def get(self, home_address: IPv4Address) -> Visitor | None:
        return self._visitors.get(home_address)

    def put(self, visitor: Visitor) -> None:
        """Add it, or put it in the place of the home address's earlier entry."""
        self._visitors[visitor.home_address] = visitor
        self._expiries.set(visitor.home_address, visitor.expires_at_s)

    def remove(self, home_address: IPv4Address) -> None:
        del self._visitors[home_address]
        self._expiries.drop(home_address)

    def deadline(self) -> float | None:
        return self._expiries.next()

    def expired(self, now_s: float) -> list[Visitor]:
        """The visitors whose lifetime is over; they are removed here."""
        return [self._visitors.pop(home_address) for home_address in self._expiries.due(now_s)]
