"""What a home agent says: its advertisement, its replies, and what it reports of a binding. Decides nothing."""

from __future__ import annotations

from testbed.agents.actions import Report, SendRegistration
from testbed.agents.admission import LIMITED_BROADCAST, Parties
from testbed.agents.bindings import Binding
from testbed.agents.events import RequestHeard
from testbed.agents.settings import HomeSettings
from testbed.protocol.authentication import sign
from testbed.protocol.discovery import AgentAdvertisement, AgentFlags, RouterAddress
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.registration import RegistrationReply, ReplyCode, RequestFlags


def advertisement(settings: HomeSettings, sequence: int) -> AgentAdvertisement:
    """D6: the home agent is one on its home link; its prefix is how mobile nodes know the link by (D7)."""
    return AgentAdvertisement(
        lifetime_s=settings.advertisement.lifetime_s,
        routers=(RouterAddress(settings.home_agent),),
        sequence=sequence,
        registration_lifetime_s=settings.advertisement.registration_lifetime_s,
        flags=AgentFlags.HOME_AGENT,
        prefix_lengths=(settings.home_network.prefixlen,),
    )


def reply(
    settings: HomeSettings,
    heard: RequestHeard,
    parties: Parties,
    code: ReplyCode,
    lifetime_s: int,
    identification: int | None = None,
) -> SendRegistration:
    """H8: back to where the request came from; to a neighbour on the home link straight, never into a tunnel.

    The identification is the request's unless another is given.
    """
    request = heard.request
    message = RegistrationReply(
        code,
        lifetime_s,
        request.home_address,
        settings.home_agent,
        request.identification if identification is None else identification,
    )
    message = sign(message, AuthenticationKind.MOBILE_HOME, parties.mobile)
    if parties.foreign is not None and request.lifetime_s != 0:  # F4: not on deregistration
        message = sign(message, AuthenticationKind.FOREIGN_HOME, parties.foreign)
    broadcast = heard.destination in (LIMITED_BROADCAST, settings.home_network.broadcast_address)
    return SendRegistration(
        message,
        source=settings.home_agent if broadcast else heard.destination,
        destination=heard.source,
        destination_port=heard.source_port,
        mac=heard.source_mac,
    )


def accepting_code(heard: RequestHeard) -> ReplyCode:
    """Code 1 tells who asked for simultaneous bindings that there are none here (section 0)."""
    simultaneous = heard.request.flags & RequestFlags.SIMULTANEOUS_BINDINGS
    return ReplyCode.ACCEPTED_WITHOUT_SIMULTANEOUS_BINDINGS if simultaneous else ReplyCode.ACCEPTED


def binding_report(event: str, binding: Binding, **more: object) -> Report:
    """News of a binding, for whoever watches the agent."""
    fields = {
        "home_address": binding.home_address,
        "care_of_address": binding.care_of_address,
        "lifetime_s": binding.lifetime_s,
        "reverse_tunnel": binding.reverse_tunnel,
    }
    return Report(event, {**fields, **more})
