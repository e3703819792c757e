"""What a foreign agent may relay: its checks of requests and replies, and what it changes in them (RFC 5944 3.7).

Nothing is sent and nothing remembered here. A check returns a :class:`Refusal` or None.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.actions import REVERSE_TUNNEL_TTL
from testbed.agents.events import RequestHeard
from testbed.agents.settings import Associations, ForeignSettings
from testbed.errors import AuthenticationError
from testbed.protocol.authentication import (
    SecurityAssociation,
    authentication_extensions,
    sign,
    verify,
    without_extensions_after,
)
from testbed.protocol.extensions import AuthenticationKind, ExtensionType
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, ReplyCode, RequestFlags

_EVERYBODY = (IPv4Address("0.0.0.0"), IPv4Address("255.255.255.255"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a foreign agent denies; ``lifetime_s`` goes into the reply, ``reason`` is for people."""

    code: ReplyCode
    reason: str
    lifetime_s: int = 0


def check_request(heard: RequestHeard, settings: ForeignSettings, own: IPv4Address) -> Refusal | None:
    """F3 and RFC 3024 sections 3.3 and 5.2; ``own`` is the agent's address on the link."""
    request, flags = heard.request, heard.request.flags
    if len(authentication_extensions(request, AuthenticationKind.MOBILE_HOME)) != 1:
        return Refusal(ReplyCode.FOREIGN_POORLY_FORMED_REQUEST, "not exactly one mobile-home authentication extension")
    failure = _mobile_foreign_failure(request, settings.mobile_nodes.get(request.home_address, ()))
    if failure is not None:
        return Refusal(ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION_AT_FOREIGN, failure)
    refusal = _check_addresses(request, settings, own)
    if refusal is not None:
        return refusal
    if request.lifetime_s == 0:
        return None  # whoever leaves need not fit in
    if request.lifetime_s > settings.max_lifetime_s:
        most_s = settings.max_lifetime_s
        return Refusal(ReplyCode.LIFETIME_TOO_LONG, f"at most {most_s} s are granted", most_s)
    if not flags & RequestFlags.DECAPSULATES and request.care_of_address != settings.care_of_address:
        return Refusal(ReplyCode.INVALID_CARE_OF_ADDRESS, f"{request.care_of_address} is not offered")
    return _check_tunnel(heard, settings)


def _mobile_foreign_failure(message: RegistrationRequest, associations: Associations) -> str | None:
    """What is wrong with the mobile-foreign authentication, if the two share a key at all."""
    if not associations:
        return None
    try:
        verify(
            message,
            AuthenticationKind.MOBILE_FOREIGN,
            _association_of(message, associations, AuthenticationKind.MOBILE_FOREIGN),
        )
    except AuthenticationError as failure:
        return str(failure)
    return None


def _check_addresses(request: RegistrationRequest, settings: ForeignSettings, own: IPv4Address) -> Refusal | None:
    home, agent = request.home_address, request.home_agent
    if home in _EVERYBODY:
        return Refusal(ReplyCode.NONZERO_HOME_ADDRESS_REQUIRED, "no home address")
    if home.is_multicast or home.is_loopback or home in (own, settings.care_of_address):
        return Refusal(ReplyCode.FOREIGN_POORLY_FORMED_REQUEST, f"home address is {home}")
    if agent in _EVERYBODY:
        return Refusal(ReplyCode.NONZERO_HOME_AGENT_REQUIRED, "no home agent")
    if agent in (own, settings.care_of_address) or agent.is_multicast or agent.is_loopback:
        return Refusal(ReplyCode.INVALID_HOME_AGENT_ADDRESS, f"{agent} is no home agent")
    return None


def _check_tunnel(heard: RequestHeard, settings: ForeignSettings) -> Refusal | None:
    """In RFC 3024's order of preference: encapsulation 72, delivery style 79, then 74; the distance last."""
    request, flags = heard.request, heard.request.flags
    if flags & (RequestFlags.MINIMAL | RequestFlags.GRE) and not flags & RequestFlags.DECAPSULATES:
        return Refusal(ReplyCode.FOREIGN_ENCAPSULATION_UNAVAILABLE, "only IP in IP is offered")
    if not flags & RequestFlags.REVERSE_TUNNEL:
        return None
    if any(extension.type == ExtensionType.ENCAPSULATING_DELIVERY for extension in request.extensions):
        return Refusal(ReplyCode.DELIVERY_STYLE_NOT_SUPPORTED, "only direct delivery is offered")
    if not settings.reverse_tunnel:
        return Refusal(ReplyCode.FOREIGN_REVERSE_TUNNEL_UNAVAILABLE, "reverse tunnels are not offered")
    if heard.ttl != REVERSE_TUNNEL_TTL:
        return Refusal(ReplyCode.MOBILE_NODE_TOO_DISTANT, f"TTL is {heard.ttl}, expected {REVERSE_TUNNEL_TTL}")
    return None


def request_to_relay(request: RegistrationRequest, settings: ForeignSettings) -> RegistrationRequest:
    """F4: unchanged up to and with the mobile-home authentication, nothing after it but our own authentication."""
    relayed = without_extensions_after(request, AuthenticationKind.MOBILE_HOME)
    associations = settings.home_agents.get(request.home_agent, ())
    if associations and request.lifetime_s != 0 and request.care_of_address == settings.care_of_address:
        relayed = sign(relayed, AuthenticationKind.FOREIGN_HOME, associations[0])
    return relayed


def check_reply(reply: RegistrationReply, heard: RequestHeard, settings: ForeignSettings) -> Refusal | None:
    """RFC 5944 section 3.7.3.1: what the mobile node is told instead when the home agent's reply is no good."""
    associations = settings.home_agents.get(heard.request.home_agent, ())
    if associations and heard.request.lifetime_s != 0:
        try:
            verify(
                reply,
                AuthenticationKind.FOREIGN_HOME,
                _association_of(reply, associations, AuthenticationKind.FOREIGN_HOME),
            )
        except AuthenticationError as failure:
            return Refusal(ReplyCode.HOME_AGENT_FAILED_AUTHENTICATION, str(failure))
    if len(authentication_extensions(reply, AuthenticationKind.MOBILE_HOME)) != 1:
        return Refusal(ReplyCode.POORLY_FORMED_REPLY, "not exactly one mobile-home authentication extension")
    agent = reply.home_agent
    if reply.accepted and (agent in _EVERYBODY or agent.is_multicast or agent.is_loopback):
        return Refusal(ReplyCode.POORLY_FORMED_REPLY, f"home agent is {agent}")
    return None


def reply_to_relay(reply: RegistrationReply, settings: ForeignSettings) -> RegistrationReply:
    """The home agent's reply without what was meant for us, with our own authentication where we share a key."""
    relayed = without_extensions_after(reply, AuthenticationKind.MOBILE_HOME)
    return signed_for_mobile(relayed, settings)


def signed_for_mobile(reply: RegistrationReply, settings: ForeignSettings) -> RegistrationReply:
    """Mobile-foreign authentication appended where the two share a key."""
    associations = settings.mobile_nodes.get(reply.home_address, ())
    return sign(reply, AuthenticationKind.MOBILE_FOREIGN, associations[0]) if associations else reply


def _association_of(
    message: RegistrationRequest | RegistrationReply, associations: Associations, kind: AuthenticationKind
) -> SecurityAssociation:
    """The one that the message names by its SPI; the first if it names none of them, to fail by."""
    carried = [extension.spi for extension in authentication_extensions(message, kind)]
    return next((known for known in associations if known.spi in carried), associations[0])
