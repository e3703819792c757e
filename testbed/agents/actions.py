"""What an agent wants done: the values that come out of its state machine, to be carried out in their order.

Kernel actions are answered: the shell feeds back a :class:`~testbed.agents.events.KernelAgreed` or a
:class:`~testbed.agents.events.KernelDeclined` with the action in it, and a state machine that must not promise what
the kernel refuses waits for that answer. Kernel actions say what shall hold, so that doing one twice does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from testbed.protocol.discovery import AgentAdvertisement
from testbed.protocol.packets import MacAddress
from testbed.protocol.registration import REGISTRATION_PORT, RegistrationReply, RegistrationRequest
from testbed.tunnels.endpoints import TunnelEndpoints

DEFAULT_TTL = 64
REVERSE_TUNNEL_TTL = 255
"""An agent can tell from it that the mobile node is on its own link (RFC 3024 section 3.3)."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Somebody on the agent's own link, addressed by MAC so that no ARP is needed."""

    address: IPv4Address
    mac: MacAddress


@dataclass(frozen=True, slots=True)
class SendAdvertisement:
    """Send on the link with TTL 1 (D1): to ``to`` alone, or to all systems on the link if None."""

    advertisement: AgentAdvertisement
    to: Neighbour | None = None


@dataclass(frozen=True, slots=True)
class SendSolicitation:
    """Ask all routers on the link for advertisements, with TTL 1 (D1); mobility agents among them answer."""

    source: IPv4Address


@dataclass(frozen=True, slots=True)
class SendRegistration:
    """Send a registration message over UDP: as a raw frame to ``mac``, or routed if None."""

    message: RegistrationRequest | RegistrationReply
    source: IPv4Address
    destination: IPv4Address
    destination_port: int = REGISTRATION_PORT
    source_port: int = REGISTRATION_PORT
    ttl: int = DEFAULT_TTL
    mac: MacAddress | None = None


@dataclass(frozen=True, slots=True)
class AnnounceAddress:
    """Broadcast a gratuitous ARP for ``address`` (RFC 5944 section 4.6): at ``mac``, or at our own if None."""

    address: IPv4Address
    mac: MacAddress | None = None


@dataclass(frozen=True, slots=True)
class AnswerArp:
    """Tell ``asker``, in a unicast ARP reply, that ``address`` is at our MAC."""

    address: IPv4Address
    asker: Neighbour


@dataclass(frozen=True, slots=True)
class InstallBinding:
    """Home agent: packets for the home address go into ``tunnel``; neighbours' ARP requests for it are answered."""

    home_address: IPv4Address
    tunnel: TunnelEndpoints


@dataclass(frozen=True, slots=True)
class RemoveBinding:
    """Home agent: packets for the home address go to the home link again, where nobody is answered for."""

    home_address: IPv4Address


@dataclass(frozen=True, slots=True)
class ReleaseTunnel:
    """Home agent: the home address needs ``tunnel`` no longer; with its last user it is removed.

    An action of its own because the kernel takes 20 ms to remove a device: the reply need not wait for that.
    """

    home_address: IPv4Address
    tunnel: TunnelEndpoints


@dataclass(frozen=True, slots=True)
class InstallVisitor:
    """Foreign agent: packets out of ``tunnel`` for the home address are delivered to ``mac``.

    With ``reverse`` the visitor's own packets go into the tunnel (RFC 3024, direct delivery).
    """

    home_address: IPv4Address
    mac: MacAddress
    tunnel: TunnelEndpoints
    reverse: bool


@dataclass(frozen=True, slots=True)
class RemoveVisitor:
    """Foreign agent: undo :class:`InstallVisitor`; the tunnel goes with its last user."""

    home_address: IPv4Address
    tunnel: TunnelEndpoints


@dataclass(frozen=True, slots=True)
class LeaveHome:
    """Mobile node: no ARP in either direction, no neighbours on the home prefix (M11)."""


@dataclass(frozen=True, slots=True)
class UseForeignAgent:
    """Mobile node: the default router is this foreign agent, at the MAC address its advertisement came from (M11)."""

    agent: Neighbour


@dataclass(frozen=True, slots=True)
class ReturnHome:
    """Mobile node: ARP again, the home prefix on the link, the home gateway as default router (D16)."""


@dataclass(frozen=True, slots=True)
class Report:
    """Tell whoever watches the agent; changes nothing."""

    event: str
    fields: Mapping[str, object] = field(default_factory=dict)


HomeKernelAction = InstallBinding | RemoveBinding | ReleaseTunnel
ForeignKernelAction = InstallVisitor | RemoveVisitor
MobileKernelAction = LeaveHome | UseForeignAgent | ReturnHome
KernelAction = HomeKernelAction | ForeignKernelAction | MobileKernelAction
SendAction = SendAdvertisement | SendSolicitation | SendRegistration | AnnounceAddress | AnswerArp
Action = KernelAction | SendAction | Report
