"""What a foreign agent says: its advertisement, its denials, and what it reports of a visitor. Decides nothing."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from testbed.agents.actions import Report, SendRegistration
from testbed.agents.events import RequestHeard
from testbed.agents.relaying import Refusal, signed_for_mobile
from testbed.agents.settings import ForeignSettings
from testbed.agents.visitors import Visitor
from testbed.protocol.discovery import AgentAdvertisement, AgentFlags, RouterAddress
from testbed.protocol.registration import RegistrationReply, RegistrationRequest

_EVERYBODY = IPv4Address("255.255.255.255")


def advertisement(settings: ForeignSettings, access: IPv4Interface, sequence: int, *, busy: bool) -> AgentAdvertisement:
    """D4: a foreign agent with its care-of address; B when it has no room (D5), T when it offers reverse tunnels."""
    flags = AgentFlags.FOREIGN_AGENT
    if busy:
        flags |= AgentFlags.BUSY
    if settings.reverse_tunnel:
        flags |= AgentFlags.REVERSE_TUNNELLING
    if settings.registration_required:
        flags |= AgentFlags.REGISTRATION_REQUIRED
    return AgentAdvertisement(
        lifetime_s=settings.advertisement.lifetime_s,
        routers=(RouterAddress(access.ip),),
        sequence=sequence,
        registration_lifetime_s=settings.advertisement.registration_lifetime_s,
        flags=flags,
        care_of_addresses=(settings.care_of_address,),
        prefix_lengths=(access.network.prefixlen,),
    )


def denial(request: RegistrationRequest, refusal: Refusal, settings: ForeignSettings) -> RegistrationReply:
    """F5: home address, home agent and identification are the request's own."""
    reply = RegistrationReply(
        refusal.code, refusal.lifetime_s, request.home_address, request.home_agent, request.identification
    )
    return signed_for_mobile(reply, settings)


def to_mobile(reply: RegistrationReply, heard: RequestHeard, own: IPv4Address) -> SendRegistration:
    """F5: to the MAC, address and port that asked, from the address that was asked (our own if that was a group)."""
    group = heard.destination.is_multicast or heard.destination == _EVERYBODY
    return SendRegistration(
        reply,
        source=own if group else heard.destination,
        destination=_EVERYBODY if heard.source.is_unspecified else heard.source,
        destination_port=heard.source_port,
        mac=heard.source_mac,
    )


def visitor_report(event: str, visitor: Visitor, **more: object) -> Report:
    """News of a visitor, for whoever watches the agent."""
    fields = {
        "home_address": visitor.home_address,
        "home_agent": visitor.tunnel.remote,
        "lifetime_s": visitor.lifetime_s,
        "reverse_tunnel": visitor.reverse_tunnel,
    }
    return Report(event, {**fields, **more})
