"""A registration is right only when every message on both legs is: who sent it where, how long for, signed by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP

from testbed.checks import registration
from testbed.checks.registration import Secret
from testbed.evidence.mobile_ip import FOREIGN_HOME, MOBILE_FOREIGN, MOBILE_HOME
from testbed.protocol.authentication import SecurityAssociation, sign
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, RequestFlags
from testbed.reports.result import CheckResult
from testbed.topologies.two_visited import PLAN
from tests.checks.still_scene import StillScene, recent_wire
from tests.evidence.wire import Wire

NETWORK = PLAN.visited_network("visited-a")
HOME_ADDRESS, HOME_AGENT = PLAN.node("mn").address, PLAN.home.home_agent_address
AGENT, CARE_OF = NETWORK.agent_address, NETWORK.care_of_address
LIFETIME_S = 30
KEYS = {
    AuthenticationKind.MOBILE_HOME: SecurityAssociation(256, b"mobile home"),
    AuthenticationKind.MOBILE_FOREIGN: SecurityAssociation(512, b"mobile foreign"),
    AuthenticationKind.FOREIGN_HOME: SecurityAssociation(768, b"foreign home"),
}
SECRETS = [
    Secret(kind, KEYS[AuthenticationKind(kind)].spi, KEYS[AuthenticationKind(kind)].key)
    for kind in (MOBILE_HOME, MOBILE_FOREIGN, FOREIGN_HOME)
]
ON_LINK = (AuthenticationKind.MOBILE_HOME, AuthenticationKind.MOBILE_FOREIGN)
UPSTREAM = (AuthenticationKind.MOBILE_HOME, AuthenticationKind.FOREIGN_HOME)


@dataclass(frozen=True)
class Sent:
    """One of the four messages, to be changed by a test before it is sent."""

    sender: str
    receiver: str
    source: IPv4Address
    destination: IPv4Address
    message: RegistrationRequest | RegistrationReply
    kinds: tuple[AuthenticationKind, ...]
    ttl: int = 64

    def on(self, wire: Wire) -> None:
        message = self.message
        for kind in self.kinds:
            message = sign(message, kind, KEYS[kind])
        port = (
            {"sport": 434, "dport": 5000} if isinstance(message, RegistrationReply) else {"sport": 5000, "dport": 434}
        )
        header = IP(src=str(self.source), dst=str(self.destination), ttl=self.ttl)
        wire.link(self.sender, self.receiver, header / UDP(**port) / message.encode())


REQUEST = RegistrationRequest(RequestFlags(0), LIFETIME_S, HOME_ADDRESS, HOME_AGENT, CARE_OF, 77)
REPLY = RegistrationReply(0, LIFETIME_S, HOME_ADDRESS, HOME_AGENT, 77)
MN, FA_LINK, FA_UPSTREAM, EDGE = "mn:eth0", "fa-a:access", "fa-a:edge-a", "edge-a:fa-a"

ASKED = Sent(MN, FA_LINK, HOME_ADDRESS, AGENT, REQUEST, ON_LINK, ttl=1)
RELAYED = Sent(FA_UPSTREAM, EDGE, CARE_OF, HOME_AGENT, REQUEST, UPSTREAM)
ANSWERED = Sent(EDGE, FA_UPSTREAM, HOME_AGENT, CARE_OF, REPLY, UPSTREAM)
HANDED_ON = Sent(FA_LINK, MN, AGENT, HOME_ADDRESS, REPLY, ON_LINK)
EXCHANGE = (ASKED, RELAYED, ANSWERED, HANDED_ON)

Change = Callable[[Sent], Sent]


def judged(folder: Path, messages: tuple[Sent, ...], *, since_ns: int = 0, reverse_tunnel: bool = False) -> CheckResult:
    wire = recent_wire(folder)
    for message in messages:
        message.on(wire)
    scene = StillScene(wire.log())
    return asyncio.run(
        registration.registered_through(
            scene,
            NETWORK,
            SECRETS,
            lifetime_s=LIFETIME_S,
            reverse_tunnel=reverse_tunnel,
            since_ns=since_ns or wire.now_ns - 1_000_000_000,
            patience_s=0,
        )
    )


def with_lifetime(lifetime_s: int) -> Change:
    return lambda sent: replace(sent, message=replace(sent.message, lifetime_s=lifetime_s))


def with_identification(identification: int) -> Change:
    return lambda sent: replace(sent, message=replace(sent.message, identification=identification))


def changed(change: Change, *which: Sent) -> tuple[Sent, ...]:
    return tuple(change(sent) if sent in which else sent for sent in EXCHANGE)


def test_four_messages_that_are_right_are_a_registration(tmp_path: Path) -> None:
    found = judged(tmp_path, EXCHANGE)
    assert found.verdict == "pass", found.observed
    assert len(found.evidence) == 4


def test_less_may_be_granted_than_was_asked_for(tmp_path: Path) -> None:
    assert judged(tmp_path, changed(with_lifetime(10), ANSWERED, HANDED_ON)).verdict == "pass"


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        (changed(with_lifetime(31), ANSWERED, HANDED_ON), "31 s granted of 30"),
        (changed(with_lifetime(0), ANSWERED, HANDED_ON), "0 s granted of 30"),
        (changed(with_lifetime(5), *EXCHANGE), "asks for 5 s, not 30"),
        (changed(with_lifetime(0), *EXCHANGE), "no accepted exchange at mn:eth0"),
        (changed(lambda s: replace(s, destination=HOME_AGENT), ASKED), "request from 192.0.2.10 to 192.0.2.1, not"),
        (
            changed(lambda s: replace(s, source=HOME_ADDRESS), RELAYED),
            "fa-a: request from 192.0.2.10 to 192.0.2.1",
        ),
        (changed(lambda s: replace(s, ttl=64), ASKED), "request with TTL 64, not 1"),
        (changed(lambda s: replace(s, kinds=UPSTREAM[:1]), RELAYED), "fa-a: request without one right authenticator"),
        (changed(lambda s: replace(s, kinds=UPSTREAM[:1]), ANSWERED), "fa-a: reply without one right authenticator"),
        (
            changed(lambda s: replace(s, kinds=(*ON_LINK, AuthenticationKind.FOREIGN_HOME)), RELAYED),
            "fa-a: request bears mobile-foreign authentication",
        ),
        (
            changed(lambda s: replace(s, kinds=(*UPSTREAM, AuthenticationKind.MOBILE_FOREIGN)), HANDED_ON),
            "mn: reply bears foreign-home authentication",
        ),
        (changed(with_identification(78), RELAYED, ANSWERED), "no accepted exchange at fa-a:edge-a"),
        (changed(lambda s: replace(s, message=replace(REPLY, code=131)), HANDED_ON), "no accepted exchange at mn:eth0"),
        ((HANDED_ON, ASKED, RELAYED, ANSWERED), "no accepted exchange at mn:eth0"),
        ((ASKED, RELAYED, ANSWERED, replace(HANDED_ON, sender=MN, receiver=FA_LINK)), "no accepted exchange at mn"),
        ((ASKED, HANDED_ON), "no accepted exchange at fa-a:edge-a"),
    ],
)
def test_what_is_wrong_with_one_message_is_wrong_with_the_registration(
    tmp_path: Path, messages: tuple[Sent, ...], complaint: str
) -> None:
    found = judged(tmp_path, messages)
    assert found.verdict == "fail"
    assert complaint in found.observed


def test_the_t_bit_has_to_be_as_promised_and_takes_a_ttl_of_255(tmp_path: Path) -> None:
    reverse = replace(REQUEST, flags=RequestFlags.REVERSE_TUNNEL)
    with_t = tuple(replace(sent, message=reverse) if sent.message is REQUEST else sent for sent in EXCHANGE)
    assert "no accepted exchange" in judged(tmp_path, EXCHANGE, reverse_tunnel=True).observed
    assert "no accepted exchange" in judged(tmp_path, with_t).observed
    assert "request with TTL 1, not 255" in judged(tmp_path, with_t, reverse_tunnel=True).observed
    at_255 = (replace(with_t[0], ttl=255), *with_t[1:])
    assert judged(tmp_path, at_255, reverse_tunnel=True).verdict == "pass"


def test_a_registration_from_before_the_step_does_not_count(tmp_path: Path) -> None:
    found = judged(tmp_path, EXCHANGE, since_ns=2**62)
    assert found.observed == "no accepted exchange at mn:eth0; no accepted exchange at fa-a:edge-a"


def deregistration(
    folder: Path, *, lifetime_s: int = 0, source: IPv4Address = HOME_ADDRESS, via: str = ""
) -> CheckResult:
    request = replace(REQUEST, lifetime_s=lifetime_s, care_of_address=HOME_ADDRESS)
    home_kinds = (AuthenticationKind.MOBILE_HOME,)
    destination = IPv4Address(via) if via else HOME_AGENT
    wire = recent_wire(folder)
    Sent(MN, "home-router:lan", HOME_ADDRESS, destination, request, home_kinds).on(wire)
    Sent("home-router:lan", MN, HOME_AGENT, HOME_ADDRESS, replace(REPLY, lifetime_s=0), home_kinds).on(wire)
    scene = StillScene(wire.log())
    return asyncio.run(registration.deregistered(scene, SECRETS[:1], since_ns=0, patience_s=0))


def test_a_deregistration_asks_the_home_agent_itself_for_no_time_at_all(tmp_path: Path) -> None:
    assert deregistration(tmp_path).verdict == "pass"
    assert "no accepted exchange" in deregistration(tmp_path, lifetime_s=30).observed
    through_agent = deregistration(tmp_path, via="198.51.100.1")
    assert "request from 192.0.2.10 to 198.51.100.1, not 192.0.2.10 to 192.0.2.1" in through_agent.observed
