"""The mobile node's side of a registration: asking, asking again, and what an answer means (RFC 5944 section 3.6).

One request series at a time. Which agent to ask, and what follows from the outcome, is the state machine's business.
Times are monotonic seconds; the wall clock (Unix seconds) is only for identifications.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.agents.actions import DEFAULT_TTL, REVERSE_TUNNEL_TTL, Neighbour, SendRegistration
from testbed.agents.agent_list import HeardAgent, has_restarted
from testbed.agents.bindings import expiry
from testbed.agents.events import ReplyHeard
from testbed.agents.limits import TokenBucket
from testbed.agents.settings import Associations, MobileSettings
from testbed.errors import AuthenticationError
from testbed.protocol.authentication import authentication_extensions, sign, verify
from testbed.protocol.discovery import AgentFlags
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.identification import Identifier, answers
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, ReplyCode, RequestFlags

FIRST_TIMEOUT_S = 1.0
"""At least a second (M10); enough for a round trip of 450 ms."""

REQUESTS_PER_S = 1.0
REQUEST_BURST = 5
"""On average one request a second (D15), yet a few genuine moves in a row are not delayed."""

RENEWAL_SHARE = 0.75
"""After which part of its lifetime a registration is renewed: what is left is for retransmissions."""

HOP_TO_FOREIGN_AGENT_TTL = 1


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask of whom: ``lifetime_s`` 0 with the home address as care-of address ends all bindings (M5)."""

    agent: Neighbour
    care_of_address: IPv4Address
    lifetime_s: int
    reverse_tunnel: bool = False
    foreign: bool = True
    alternatives: tuple[IPv4Address, ...] = ()
    """Further care-of addresses that the agent offers (D17)."""

    def describe(self) -> dict[str, object]:
        """For whoever watches the agent."""
        return {
            "agent": self.agent.address,
            "care_of_address": self.care_of_address,
            "lifetime_s": self.lifetime_s,
            "reverse_tunnel": self.reverse_tunnel,
        }


@dataclass(frozen=True, slots=True)
class Granted:
    """``expires_at_s`` counts from when the request was sent (M8)."""

    target: Target
    code: int
    lifetime_s: int
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Registration:
    """What the home agent granted last, until when, when to ask for more, and the agent's latest sequence number."""

    target: Target
    expires_at_s: float
    renew_at_s: float
    sequence: int

    @classmethod
    def granted(cls, now_s: float, granted: Granted, sequence: int) -> Registration:
        """A registration that has just begun."""
        renew_at_s = now_s + RENEWAL_SHARE * (granted.expires_at_s - now_s)
        return cls(granted.target, granted.expires_at_s, renew_at_s, sequence)

    def is_known_to(self, agent: HeardAgent, settings: MobileSettings) -> bool:
        """Whether ``agent`` is still serving us as we wish: it is the one, and has not started anew unheard (D10)."""
        same = self.target == target_at(agent, settings)
        return same and not has_restarted(self.sequence, agent.advertisement.sequence)


@dataclass(frozen=True, slots=True)
class Refused:
    """The next request goes out by itself: at once where the answer told how to do better (M9), else by the timer."""

    target: Target
    code: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Not an answer to us, or not provably so (M7); ``reason`` is for people."""

    reason: str


def target_at(agent: HeardAgent, settings: MobileSettings) -> Target:
    """What we want of a foreign agent, as far as it advertises it (M4, D17)."""
    advertisement = agent.advertisement
    first, *others = advertisement.care_of_addresses
    offers_reverse_tunnel = bool(advertisement.flags & AgentFlags.REVERSE_TUNNELLING)
    return Target(
        agent.neighbour,
        first,
        min(settings.lifetime_s, advertisement.registration_lifetime_s),
        reverse_tunnel=settings.reverse_tunnel and offers_reverse_tunnel,
        alternatives=tuple(others),
    )


def home_target(home_agent: Neighbour, settings: MobileSettings) -> Target:
    """What we want when we are home again: the end of all bindings (M5)."""
    return Target(home_agent, settings.home_address, lifetime_s=0, foreign=False)


class RegistrationClient:
    """Requests and their retransmission (M10) for one mobile node."""

    def __init__(self, settings: MobileSettings, wall_clock: Callable[[], float]) -> None:
        self.settings = settings
        self.home_agent = settings.home_agent
        self.target: Target | None = None
        self._wall_clock = wall_clock
        self._identifier = Identifier()
        self._limit = TokenBucket(REQUESTS_PER_S, REQUEST_BURST)
        self._next_s: float | None = None
        self._timeout_s = 0.0
        self._latest: RegistrationRequest | None = None
        self._latest_sent_s = 0.0
        self._adjusted_for: set[int] = set()

    def begin(self, now_s: float, target: Target) -> None:
        """Start asking; what was asked before is given up."""
        self.cancel()
        self.target = target
        self._next_s = now_s
        self._timeout_s = 0.0
        self._adjusted_for.clear()

    def cancel(self) -> None:
        """Ask no more, and take no answer to what was asked."""
        self.target = self._next_s = self._latest = None

    def deadline(self) -> float | None:
        return self._next_s

    def due(self, now_s: float) -> SendRegistration | None:
        """The request to be sent now, if one is; each has a new identification (M10)."""
        if self.target is None or self._next_s is None or now_s < self._next_s:
            return None
        if not self._limit.take(now_s):
            self._next_s = self._limit.ready_at(now_s)
            return None
        longest_s = float(self.target.lifetime_s or self.settings.lifetime_s)
        self._timeout_s = max(FIRST_TIMEOUT_S, min(2 * self._timeout_s, longest_s))
        self._next_s = now_s + self._timeout_s
        self._latest = self._request(self.target)
        self._latest_sent_s = now_s
        return SendRegistration(
            self._latest,
            source=self.settings.home_address,  # M1
            destination=self.target.agent.address,
            ttl=_ttl(self.target),
            mac=self.target.agent.mac,
        )

    def judge(self, now_s: float, heard: ReplyHeard) -> Granted | Refused | Ignored:
        """What a reply means; after a refusal that can be mended, the mended request is due at once."""
        reply, request, target = heard.reply, self._latest, self.target
        if request is None or target is None or reply.home_address != request.home_address:
            return Ignored("answers nothing that we asked")
        if not answers(reply.identification, request.identification):
            return Ignored("answers an earlier request")
        failure = self._authentication_failure(reply, target)
        if failure is not None:
            return Ignored(failure)
        lifetime_s = min(reply.lifetime_s, target.lifetime_s)  # M8
        if reply.accepted and (lifetime_s > 0 or target.lifetime_s == 0):
            expires_at_s = expiry(self._latest_sent_s, lifetime_s)
            self.cancel()
            return Granted(target, int(reply.code), lifetime_s, expires_at_s)
        if self._adjust(reply, target):
            self._next_s = now_s
        return Refused(target, int(reply.code))

    def _adjust(self, reply: RegistrationReply, target: Target) -> bool:
        """M9, D17: whether there is a better way to ask; if so, it is taken. Each code mends a series but once."""
        if reply.denied_by == "foreign agent" and reply.code != ReplyCode.LIFETIME_TOO_LONG and target.alternatives:
            first, *others = target.alternatives
            self.target = replace(target, care_of_address=first, alternatives=tuple(others))
            return True
        if reply.code in self._adjusted_for:
            return False
        self._adjusted_for.add(reply.code)
        match reply.code:
            case ReplyCode.LIFETIME_TOO_LONG if 0 < reply.lifetime_s < target.lifetime_s:
                self.target = replace(target, lifetime_s=reply.lifetime_s)
            case ReplyCode.IDENTIFICATION_MISMATCH:
                self._identifier.resynchronise(reply.identification)
            case ReplyCode.UNKNOWN_HOME_AGENT if _is_host(reply.home_agent) and reply.home_agent != self.home_agent:
                self.home_agent = reply.home_agent
            case _:
                return False
        return True

    def _authentication_failure(self, reply: RegistrationReply, target: Target) -> str | None:
        """M7: the foreign agent's authentication where we share a key, and the home agent's on all that it says."""
        if target.foreign:
            associations = self.settings.foreign_agents.get(target.agent.address, ())
            failure = _failure(reply, AuthenticationKind.MOBILE_FOREIGN, associations) if associations else None
            if failure is not None or reply.denied_by == "foreign agent":
                return failure
        return _failure(reply, AuthenticationKind.MOBILE_HOME, self.settings.security_associations)

    def _request(self, target: Target) -> RegistrationRequest:
        """M6: mobile-home authentication, then mobile-foreign authentication where we share a key."""
        request = RegistrationRequest(
            RequestFlags.REVERSE_TUNNEL if target.reverse_tunnel else RequestFlags(0),
            target.lifetime_s,
            self.settings.home_address,
            self.home_agent,
            target.care_of_address,
            self._identifier.next(self._wall_clock()),
        )
        request = sign(request, AuthenticationKind.MOBILE_HOME, self.settings.security_associations[0])
        associations = self.settings.foreign_agents.get(target.agent.address, ()) if target.foreign else ()
        return sign(request, AuthenticationKind.MOBILE_FOREIGN, associations[0]) if associations else request


def _ttl(target: Target) -> int:
    """Section 0: 255 shows the foreign agent that we are its neighbour; without T the request stops at it."""
    if target.reverse_tunnel:
        return REVERSE_TUNNEL_TTL
    return HOP_TO_FOREIGN_AGENT_TTL if target.foreign else DEFAULT_TTL


def _failure(reply: RegistrationReply, kind: AuthenticationKind, associations: Associations) -> str | None:
    carried = [extension.spi for extension in authentication_extensions(reply, kind)]
    association = next((known for known in associations if known.spi in carried), associations[0])
    try:
        verify(reply, kind, association)
    except AuthenticationError as failure:
        return str(failure)
    return None


def _is_host(address: IPv4Address) -> bool:
    return not (address.is_unspecified or address.is_multicast or address.is_reserved or address.is_loopback)
