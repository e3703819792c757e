"""Who takes part in the tests of the state machines, and short ways to say what they send and find what comes out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeVar

from testbed.agents.actions import (
    Action,
    KernelAction,
    Report,
    SendRegistration,
)
from testbed.agents.events import AdvertisementHeard, Event, KernelAgreed, KernelDeclined, ReplyHeard, RequestHeard
from testbed.agents.settings import (
    ForeignSettings,
    HomeSettings,
    MobileNodeEntry,
    MobileSettings,
)
from testbed.protocol.authentication import SecurityAssociation, sign
from testbed.protocol.discovery import AgentAdvertisement, AgentFlags, RouterAddress
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.identification import ntp_timestamp
from testbed.protocol.packets import MacAddress
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, ReplyCode, RequestFlags

HOME_AGENT = IPv4Address("192.0.2.1")
HOME_NETWORK = IPv4Network("192.0.2.0/24")
HOME_ADDRESS = IPv4Address("192.0.2.10")
CARE_OF_A, CARE_OF_B = IPv4Address("198.51.100.66"), IPv4Address("198.51.100.194")
ACCESS_A, ACCESS_B = IPv4Interface("198.51.100.1/26"), IPv4Interface("198.51.100.129/26")

MN_MAC = MacAddress.parse("02:00:00:00:00:10")
HA_MAC = MacAddress.parse("02:00:00:00:00:01")
FA_A_MAC, FA_B_MAC = MacAddress.parse("02:00:00:00:0a:01"), MacAddress.parse("02:00:00:00:0b:01")
STRANGER_MAC = MacAddress.parse("02:00:00:00:00:66")

MN_HA = SecurityAssociation(256, bytes(range(1, 17)))
MN_FA = SecurityAssociation(512, b"mobile-foreign")
FA_HA = SecurityAssociation(768, b"foreign-home")
WRONG = SecurityAssociation(256, b"not the key")

UNIX_S = 1_700_000_000.0
NO_FLAGS = RequestFlags(0)

HOME = HomeSettings(
    name="ha",
    home_agent=HOME_AGENT,
    home_network=HOME_NETWORK,
    interface="lan",
    underlay=("core",),
    mobile_nodes={HOME_ADDRESS: MobileNodeEntry((MN_HA,))},
    max_lifetime_s=600,
)
FOREIGN = ForeignSettings(
    name="fa-a", interface="access", care_of_address=CARE_OF_A, underlay=("edge",), max_lifetime_s=600
)
MOBILE = MobileSettings(
    name="mn",
    interface="eth0",
    home_address=HOME_ADDRESS,
    home_network=HOME_NETWORK,
    home_agent=HOME_AGENT,
    home_gateway=HOME_AGENT,
    security_associations=(MN_HA,),
)

A = TypeVar("A", bound=Action)


def only(kind: type[A], actions: Iterable[Action]) -> A:
    """The one action of a kind among others."""
    found = every(kind, actions)
    assert len(found) == 1, f"expected one {kind.__name__}, got {found}"
    return found[0]


def every(kind: type[A], actions: Iterable[Action]) -> list[A]:
    return [action for action in actions if isinstance(action, kind)]


def reported(actions: Iterable[Action]) -> list[str]:
    """The names of the events that were told."""
    return [report.event for report in every(Report, actions)]


def reply_in(actions: Iterable[Action]) -> RegistrationReply:
    message = only(SendRegistration, actions).message
    assert isinstance(message, RegistrationReply)
    return message


def request_in(actions: Iterable[Action]) -> RegistrationRequest:
    message = only(SendRegistration, actions).message
    assert isinstance(message, RegistrationRequest)
    return message


class Kernel:
    """Answers kernel actions as the shell does: at once, and before the next action; agrees unless told to decline."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.declines: tuple[type[Any], ...] = ()
        self.done: list[KernelAction] = []

    def handle(self, now_s: float, event: Event | None = None) -> list[Action]:
        """The agent's actions, those that follow from the kernel's answers included, in the order of execution."""
        return self.run(now_s, self.agent.handle(now_s, event))

    def start(self, now_s: float) -> list[Action]:
        return self.run(now_s, self.agent.start(now_s))

    def run(self, now_s: float, actions: list[Action]) -> list[Action]:
        executed: list[Action] = []
        waiting = list(actions)
        while waiting:
            action = waiting.pop(0)
            executed.append(action)
            if isinstance(action, KernelAction):
                refused = isinstance(action, self.declines)
                self.done += [] if refused else [action]
                answer: Event = KernelDeclined(action, "no memory") if refused else KernelAgreed(action)
                waiting = self.agent.handle(now_s, answer) + waiting
        return executed


def request(
    *,
    lifetime_s: int = 300,
    care_of: IPv4Address = CARE_OF_A,
    flags: RequestFlags = NO_FLAGS,
    clock_s: float = UNIX_S,
    signed_with: SecurityAssociation | None = MN_HA,
    **changes: Any,
) -> RegistrationRequest:
    """What a mobile node would send at Unix time ``clock_s``, signed for the home agent unless told otherwise."""
    plain = RegistrationRequest(flags, lifetime_s, HOME_ADDRESS, HOME_AGENT, care_of, ntp_timestamp(clock_s))
    plain = replace(plain, **changes)
    return plain if signed_with is None else sign(plain, AuthenticationKind.MOBILE_HOME, signed_with)


def relayed(message: RegistrationRequest, *, source: IPv4Address = CARE_OF_A) -> RequestHeard:
    """A request as the home agent hears it of a foreign agent."""
    return RequestHeard(message, source, 434, HOME_AGENT, 63, None)


def from_home_link(message: RegistrationRequest) -> RequestHeard:
    """A request as the home agent hears it of the mobile node itself."""
    return RequestHeard(message, HOME_ADDRESS, 434, HOME_AGENT, 64, MN_MAC)


def from_visitor(message: RegistrationRequest, *, ttl: int = 1, **changes: Any) -> RequestHeard:
    """A request as foreign agent A hears it of the mobile node."""
    return replace(RequestHeard(message, HOME_ADDRESS, 434, ACCESS_A.ip, ttl, MN_MAC), **changes)


def deregistration(**changes: Any) -> RegistrationRequest:
    return request(lifetime_s=0, **{"care_of": HOME_ADDRESS, **changes})


def reply_to(
    message: RegistrationRequest,
    code: int = ReplyCode.ACCEPTED,
    *,
    lifetime_s: int | None = None,
    signed_with: SecurityAssociation | None = MN_HA,
    **changes: Any,
) -> RegistrationReply:
    """What a home agent would answer."""
    granted_s = message.lifetime_s if lifetime_s is None else lifetime_s
    plain = RegistrationReply(code, granted_s, message.home_address, HOME_AGENT, message.identification)
    plain = replace(plain, **changes)
    return plain if signed_with is None else sign(plain, AuthenticationKind.MOBILE_HOME, signed_with)


def from_home_agent(reply: RegistrationReply) -> ReplyHeard:
    return ReplyHeard(reply, HOME_AGENT, None)


def home_advertisement(sequence: int = 0) -> AdvertisementHeard:
    advertisement = AgentAdvertisement(
        3, (RouterAddress(HOME_AGENT),), sequence, 1800, AgentFlags.HOME_AGENT, prefix_lengths=(24,)
    )
    return AdvertisementHeard(advertisement, HOME_AGENT, HA_MAC)


def foreign_advertisement(
    which: str = "a",
    *,
    sequence: int = 0,
    flags: AgentFlags = AgentFlags.FOREIGN_AGENT | AgentFlags.REVERSE_TUNNELLING,
    **changes: Any,
) -> AdvertisementHeard:
    access, mac, care_of = {"a": (ACCESS_A, FA_A_MAC, CARE_OF_A), "b": (ACCESS_B, FA_B_MAC, CARE_OF_B)}[which]
    advertisement = AgentAdvertisement(3, (RouterAddress(access.ip),), sequence, 1800, flags, (care_of,), (26,))
    return AdvertisementHeard(replace(advertisement, **changes), access.ip, mac)


def still() -> float:
    """Randomness that is none: intervals are at their full length."""
    return 0.0
