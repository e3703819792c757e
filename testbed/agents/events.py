"""What can happen to an agent: the values that go into its state machine.

The shell makes them out of packets, link changes and the kernel's answers; simulations and tests make them by hand.
A packet that came from a neighbour on the agent's link carries that neighbour's MAC address; one that came over the
UDP socket from elsewhere has None there. Times are not in the events: they are passed next to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.actions import KernelAction
from testbed.agents.settings import Settings
from testbed.protocol.discovery import AgentAdvertisement
from testbed.protocol.packets import MacAddress
from testbed.protocol.registration import RegistrationReply, RegistrationRequest


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The interface got a carrier, perhaps on another link than before."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The interface lost its carrier."""


@dataclass(frozen=True, slots=True)
class AdvertisementHeard:
    """An agent made itself known."""

    advertisement: AgentAdvertisement
    source: IPv4Address
    source_mac: MacAddress


@dataclass(frozen=True, slots=True)
class SolicitationHeard:
    """Somebody looks for agents."""

    source: IPv4Address
    source_mac: MacAddress


@dataclass(frozen=True, slots=True)
class ArpRequestHeard:
    """Somebody asks for the MAC address of ``target``; ``unicast`` tells that the frame was sent to us alone."""

    sender: IPv4Address
    sender_mac: MacAddress
    target: IPv4Address
    unicast: bool


@dataclass(frozen=True, slots=True)
class RequestHeard:
    """A registration request came, with all of its headers that count."""

    request: RegistrationRequest
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    ttl: int
    source_mac: MacAddress | None


@dataclass(frozen=True, slots=True)
class ReplyHeard:
    """A registration reply came."""

    reply: RegistrationReply
    source: IPv4Address
    source_mac: MacAddress | None


@dataclass(frozen=True, slots=True)
class RelayFailed:
    """A relayed request did not get through: an ICMP error, or no route at once (RFC 5944 section 3.7.2.3)."""

    home_address: IPv4Address
    identification: int
    unreachable: str  # "network", "host", "port" or "other"


@dataclass(frozen=True, slots=True)
class KernelAgreed:
    """The kernel did what the action asked for."""

    action: KernelAction


@dataclass(frozen=True, slots=True)
class KernelDeclined:
    """The kernel did not; nothing of the action is in force, what was before still is."""

    action: KernelAction
    reason: str


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The configuration was read again; the settings are of the agent's own role."""

    settings: Settings


Event = (
    LinkUp
    | LinkDown
    | AdvertisementHeard
    | SolicitationHeard
    | ArpRequestHeard
    | RequestHeard
    | ReplyHeard
    | RelayFailed
    | KernelAgreed
    | KernelDeclined
    | SettingsChanged
)
