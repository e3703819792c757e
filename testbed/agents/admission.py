"""Whether a home agent grants a registration request: the checks of RFC 5944 section 3.8.2.1, in their order.

Authentication (H2), identification (H3), foreign-home authentication (H4), then what is asked for (H5, H6, RFC 3024).
Nothing is changed here and nothing is answered: the result says what the answer is to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.events import RequestHeard
from testbed.agents.settings import HomeSettings
from testbed.errors import AuthenticationError
from testbed.protocol.authentication import SecurityAssociation, authentication_extensions, verify
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.identification import IdentificationVerdict, TimestampReplayProtection, rejection_identification
from testbed.protocol.registration import RegistrationRequest, ReplyCode, RequestFlags

LIMITED_BROADCAST = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True)
class Parties:
    """With whom the answer is authenticated: the mobile node, and the foreign agent where one shares a key with us."""

    mobile: SecurityAssociation
    foreign: SecurityAssociation | None


@dataclass(frozen=True, slots=True)
class Granted:
    """The request is to be carried out."""

    parties: Parties


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The very request that made the present binding, once more (H7)."""

    parties: Parties


@dataclass(frozen=True, slots=True)
class Denied:
    """``identification`` goes into the reply; ``reason`` is for people."""

    code: ReplyCode
    identification: int
    parties: Parties
    reason: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """No answer at all; ``reason`` is for people."""

    reason: str


Verdict = Granted | Duplicate | Denied | Discarded
LastAccepted = Callable[[IPv4Address], int | None]
MadeBinding = Callable[[RegistrationRequest], bool]


def judge(
    heard: RequestHeard, settings: HomeSettings, clock_s: float, last_accepted: LastAccepted, made_binding: MadeBinding
) -> Verdict:
    """Judge one request; ``clock_s`` is Unix time, the other two functions tell what was accepted before."""
    request = heard.request
    entry = settings.mobile_nodes.get(request.home_address)
    if entry is None:
        return Discarded("no security association with the mobile node")  # H2
    if len(authentication_extensions(request, AuthenticationKind.MOBILE_HOME)) != 1:
        return Discarded("not exactly one mobile-home authentication extension")  # H2
    foreign, foreign_failure = _foreign_association(heard, settings)
    verdict = _check_mobile(request, entry.security_associations, foreign, foreign_failure)
    if not isinstance(verdict, Parties):
        return verdict
    if made_binding(request):
        return Duplicate(verdict)
    replay = TimestampReplayProtection(verdict.mobile.tolerance_s)
    standing = replay.check(request.identification, clock_s, last_accepted(request.home_address))
    if standing is not IdentificationVerdict.OK:
        identification = rejection_identification(request.identification, clock_s)
        return Denied(
            ReplyCode.IDENTIFICATION_MISMATCH, identification, verdict, standing.name.lower().replace("_", " ")
        )
    return _check_content(heard, settings, verdict, foreign_failure)


def _foreign_association(heard: RequestHeard, settings: HomeSettings) -> tuple[SecurityAssociation | None, str | None]:
    """The association with the foreign agent that relayed the request, and what is wrong with its authentication.

    Whoever relays in the name of a care-of address that shares a key with us must prove it, whatever its IP source is.
    """
    request = heard.request
    associations = settings.foreign_agents.get(heard.source)
    if associations is None and not request.flags & RequestFlags.DECAPSULATES:
        associations = settings.foreign_agents.get(request.care_of_address)
    carried = authentication_extensions(request, AuthenticationKind.FOREIGN_HOME)
    if associations is None:
        return None, "foreign-home authentication without a security association" if carried else None
    spi = carried[0].spi if carried else None
    association = next((known for known in associations if known.spi == spi), associations[0])
    if request.lifetime_s == 0 and not carried:
        return None, None  # H4 asks for it only where a lifetime is asked for
    try:
        verify(request, AuthenticationKind.FOREIGN_HOME, association)
    except AuthenticationError as failure:
        return association, str(failure)
    return association, None


def _check_mobile(
    request: RegistrationRequest,
    associations: tuple[SecurityAssociation, ...],
    foreign: SecurityAssociation | None,
    foreign_failure: str | None,
) -> Parties | Denied | Discarded:
    """H2: the mobile node is who it says. 131 where we can sign it; the caller limits how often."""
    (carried,) = authentication_extensions(request, AuthenticationKind.MOBILE_HOME)
    association = next((known for known in associations if known.spi == carried.spi), None)
    relayed_by_friend = foreign is not None and foreign_failure is None
    if association is None and not relayed_by_friend:
        return Discarded(f"no security association with SPI {carried.spi}")
    parties = Parties(association or associations[0], foreign)
    try:
        verify(request, AuthenticationKind.MOBILE_HOME, parties.mobile)
    except AuthenticationError as failure:
        code = ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION
        return Denied(code, request.identification, parties, str(failure))
    return parties


def _check_content(
    heard: RequestHeard, settings: HomeSettings, parties: Parties, foreign_failure: str | None
) -> Granted | Denied | Discarded:
    """H4 to H6: everything that the mobile node is told about once it is known that it asked."""
    request = heard.request
    if foreign_failure is not None and parties.foreign is None:
        return Discarded(foreign_failure)  # H4

    def denied(code: ReplyCode, reason: str) -> Denied:
        return Denied(code, request.identification, parties, reason)

    if foreign_failure is not None:
        return denied(ReplyCode.FOREIGN_AGENT_FAILED_AUTHENTICATION, foreign_failure)  # H4
    everybody = (LIMITED_BROADCAST, settings.home_network.broadcast_address)
    if request.home_agent != settings.home_agent or heard.destination in everybody:
        return denied(ReplyCode.UNKNOWN_HOME_AGENT, f"home agent is {settings.home_agent}")  # H5
    if not settings.mobile_nodes[request.home_address].registration_allowed:
        return denied(ReplyCode.HOME_ADMINISTRATIVELY_PROHIBITED, "home address may not register")  # H6
    if request.lifetime_s == 0:
        return Granted(parties)
    if not _can_end_a_tunnel(request.care_of_address, settings) or request.care_of_address == request.home_address:
        return denied(ReplyCode.HOME_POORLY_FORMED_REQUEST, f"care-of address is {request.care_of_address}")
    if request.flags & (RequestFlags.MINIMAL | RequestFlags.GRE):
        return denied(ReplyCode.HOME_ENCAPSULATION_UNAVAILABLE, "only IP in IP is offered")  # RFC 3024: before 137
    if request.flags & RequestFlags.REVERSE_TUNNEL and not settings.reverse_tunnel:
        return denied(ReplyCode.HOME_REVERSE_TUNNEL_UNAVAILABLE, "reverse tunnels are not offered")
    return Granted(parties)


def _can_end_a_tunnel(address: IPv4Address, settings: HomeSettings) -> bool:
    return not (
        address.is_multicast or address.is_unspecified or address.is_loopback or address.is_reserved
    ) and address not in (settings.home_agent, settings.home_network.broadcast_address)
