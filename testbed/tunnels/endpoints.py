"""What a tunnel is between, and how it wraps packets. Pure words: agents' state machines use them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address


class Encapsulation(StrEnum):
    """How inner packets are wrapped. GRE, minimal encapsulation (RFC 2004) and IP in UDP (RFC 3519) belong here too."""

    IPIP = "ipip"

    @property
    def overhead(self) -> int:
        """Bytes that the encapsulation adds to every packet."""
        return {Encapsulation.IPIP: 20}[self]


@dataclass(frozen=True)
class TunnelEndpoints:
    """The outer addresses: ``local`` is this node's, ``remote`` the other end's."""

    local: IPv4Address
    remote: IPv4Address
    encapsulation: Encapsulation = Encapsulation.IPIP

    def __str__(self) -> str:
        return f"{self.local} to {self.remote} ({self.encapsulation})"
