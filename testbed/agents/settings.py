"""What an agent is told at its start, as plain frozen values; reading them from a file is config.py's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from testbed.protocol.authentication import SecurityAssociation

Associations = tuple[SecurityAssociation, ...]

MOVEMENT_DETECTION = ("link", "lazy", "prefix", "eager")
"""Ways to notice a new link: carrier, lifetime expiry, prefix change, any new agent (RFC 5944 section 2.4.2)."""

TUNNEL_DRIVERS = ("auto", "netdev", "ebpf")


@dataclass(frozen=True)
class AdvertisementSettings:
    """How an agent advertises itself; the lifetime is at least three intervals (D3)."""

    interval_s: float = 1.0
    lifetime_s: int = 3
    registration_lifetime_s: int = 1800


@dataclass(frozen=True)
class MobileNodeEntry:
    """A mobile node that a home agent serves."""

    security_associations: Associations
    registration_allowed: bool = True
    """False: requests that are otherwise right are refused with code 129."""


@dataclass(frozen=True)
class HomeSettings:
    """A home agent: ``interface`` is the one on the home link, ``underlay`` those that tunnelled packets arrive on."""

    name: str
    home_agent: IPv4Address
    home_network: IPv4Network
    interface: str
    underlay: tuple[str, ...]
    mobile_nodes: Mapping[IPv4Address, MobileNodeEntry]
    foreign_agents: Mapping[IPv4Address, Associations] = field(default_factory=dict)
    max_lifetime_s: int = 1800
    advertisement: AdvertisementSettings = AdvertisementSettings()
    reverse_tunnel: bool = True
    tunnel_driver: str = "auto"


@dataclass(frozen=True)
class ForeignSettings:
    """A foreign agent: ``interface`` is the one that mobile nodes visit."""

    name: str
    interface: str
    care_of_address: IPv4Address
    underlay: tuple[str, ...]
    mobile_nodes: Mapping[IPv4Address, Associations] = field(default_factory=dict)
    home_agents: Mapping[IPv4Address, Associations] = field(default_factory=dict)
    max_lifetime_s: int = 1800
    max_visitors: int = 256
    max_pending: int = 5
    pending_timeout_s: float = 7.0
    advertisement: AdvertisementSettings = AdvertisementSettings()
    reverse_tunnel: bool = True
    registration_required: bool = False
    tunnel_driver: str = "auto"


@dataclass(frozen=True)
class MobileSettings:
    """A mobile node; ``foreign_agents`` are those that share a key with it, by the address they advertise from."""

    name: str
    interface: str
    home_address: IPv4Address
    home_network: IPv4Network
    home_agent: IPv4Address
    home_gateway: IPv4Address
    security_associations: Associations
    foreign_agents: Mapping[IPv4Address, Associations] = field(default_factory=dict)
    lifetime_s: int = 30
    reverse_tunnel: bool = False
    care_of: str = "foreign"
    movement_detection: str = "link"


Settings = HomeSettings | ForeignSettings | MobileSettings
