"""The foreign agent's rules, one by one (protocol-rules F1 to F8; RFC 5944 section 3.7, RFC 3024)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.agents.actions import (
    Action,
    InstallVisitor,
    RemoveVisitor,
    SendAdvertisement,
    SendRegistration,
)
from testbed.agents.events import Event, KernelAgreed, RelayFailed, RequestHeard, SettingsChanged, SolicitationHeard
from testbed.agents.foreign import ForeignAgent
from testbed.agents.settings import ForeignSettings
from testbed.protocol.authentication import sign, verify
from testbed.protocol.discovery import AgentFlags
from testbed.protocol.extensions import AuthenticationKind, RawExtension
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, ReplyCode, RequestFlags
from testbed.tunnels.endpoints import TunnelEndpoints
from tests.agents.parties import (
    ACCESS_A,
    CARE_OF_A,
    CARE_OF_B,
    FA_HA,
    FOREIGN,
    HOME_ADDRESS,
    HOME_AGENT,
    MN_FA,
    MN_HA,
    MN_MAC,
    STRANGER_MAC,
    UNIX_S,
    Kernel,
    deregistration,
    every,
    from_home_agent,
    from_visitor,
    only,
    reply_in,
    reply_to,
    reported,
    request,
    request_in,
    still,
)

TUNNEL = TunnelEndpoints(CARE_OF_A, HOME_AGENT)
QUIET = replace(FOREIGN, advertisement=replace(FOREIGN.advertisement, interval_s=1000.0))
WITH_MOBILE_KEY = replace(QUIET, mobile_nodes={HOME_ADDRESS: (MN_FA,)})
WITH_HOME_KEY = replace(QUIET, home_agents={HOME_AGENT: (FA_HA,)})
REVERSE = RequestFlags.REVERSE_TUNNEL


class Foreign(Kernel):
    def __init__(self, settings: ForeignSettings = QUIET) -> None:
        self.foreign = ForeignAgent(settings, ACCESS_A, random=still)
        super().__init__(self.foreign)
        self.first = self.start(0.0)

    def accept(self, message: RegistrationRequest, at_s: float = 0.0, **reply: object) -> list[Action]:
        """A request, relayed, and accepted by the home agent at once."""
        ttl = 255 if message.flags & REVERSE else 1
        self.handle(at_s, from_visitor(message, ttl=ttl))
        return self.handle(at_s, from_home_agent(reply_to(message, **reply)))  # type: ignore[arg-type]


def denied(actions: list[Action]) -> int:
    """The code of the one reply there is."""
    return int(reply_in(actions).code)


def test_a_request_is_relayed_from_the_care_of_address() -> None:
    """F4: to the home agent, port 434."""
    actions = Foreign().handle(0.0, from_visitor(request()))
    sending = only(SendRegistration, actions)
    assert (sending.source, sending.destination, sending.destination_port) == (CARE_OF_A, HOME_AGENT, 434)
    assert sending.mac is None
    assert sending.message == request()


def test_what_follows_the_mobile_home_authentication_is_not_relayed() -> None:
    """F4: the rest goes on byte for byte, extensions that may be skipped included."""
    skippable = RawExtension(200, b"for the home agent")
    for_home = sign(
        request(signed_with=None).with_extensions((skippable,)),
        AuthenticationKind.MOBILE_HOME,
        MN_HA,
    )
    heard = from_visitor(for_home.with_extensions((*for_home.extensions, RawExtension(201, b"for the foreign agent"))))
    assert request_in(Foreign().handle(0.0, heard)) == for_home


def test_foreign_home_authentication_comes_last_where_a_key_is_shared() -> None:
    """F4."""
    relayed = request_in(Foreign(WITH_HOME_KEY).handle(0.0, from_visitor(request())))
    verify(relayed, AuthenticationKind.FOREIGN_HOME, FA_HA)
    assert [extension.type for extension in relayed.extensions] == [32, 34]


@pytest.mark.parametrize("care_of", [HOME_ADDRESS, CARE_OF_A])
def test_a_deregistration_is_relayed_without_foreign_home_authentication(care_of: IPv4Address) -> None:
    """F4: MUST NOT on deregistration."""
    heard = from_visitor(request(lifetime_s=0, care_of=care_of))
    relayed = request_in(Foreign(WITH_HOME_KEY).handle(0.0, heard))
    assert [extension.type for extension in relayed.extensions] == [32]


def test_an_accepted_registration_installs_the_visitor_before_it_is_told() -> None:
    """F6, F7: route, neighbour and tunnel first."""
    actions = Foreign().accept(request())
    assert [type(action) for action in actions][:2] == [InstallVisitor, SendRegistration]
    assert only(InstallVisitor, actions) == InstallVisitor(HOME_ADDRESS, MN_MAC, TUNNEL, reverse=False)


def test_the_reply_goes_to_the_mac_address_and_port_that_asked() -> None:
    """F5."""
    foreign = Foreign()
    foreign.handle(0.0, from_visitor(request(), source_port=5000))
    sending = only(SendRegistration, foreign.handle(0.0, from_home_agent(reply_to(request()))))
    assert (sending.mac, sending.destination, sending.destination_port) == (MN_MAC, HOME_ADDRESS, 5000)
    assert sending.source == ACCESS_A.ip


def test_a_node_without_an_address_is_answered_by_broadcast_on_its_own_mac() -> None:
    """F5: 0.0.0.0 becomes 255.255.255.255, a group address becomes our own."""
    heard = from_visitor(request(home_agent=CARE_OF_A), source=IPv4Address(0), destination=IPv4Address("224.0.0.11"))
    sending = only(SendRegistration, Foreign().handle(0.0, heard))
    assert (sending.mac, sending.destination) == (MN_MAC, IPv4Address("255.255.255.255"))
    assert sending.source == ACCESS_A.ip


def test_a_kernel_that_refuses_is_told_as_66_and_there_is_no_visitor() -> None:
    foreign = Foreign()
    foreign.declines = (InstallVisitor,)
    assert denied(foreign.accept(request())) == ReplyCode.FOREIGN_INSUFFICIENT_RESOURCES
    assert len(foreign.foreign.visitors) == 0


def test_the_reply_waits_for_the_kernel() -> None:
    foreign = ForeignAgent(QUIET, ACCESS_A, random=still)
    foreign.handle(0.0, from_visitor(request()))
    before = foreign.handle(0.0, from_home_agent(reply_to(request())))
    assert every(SendRegistration, before) == []
    after = foreign.handle(0.0, KernelAgreed(only(InstallVisitor, before)))
    assert reply_in(after).code == ReplyCode.ACCEPTED


def test_a_reverse_tunnel_is_installed_where_it_was_asked_for() -> None:
    """RFC 3024, direct delivery."""
    assert only(InstallVisitor, Foreign().accept(request(flags=REVERSE))).reverse


@pytest.mark.parametrize(("asked_s", "granted_s", "served_s"), [(300, 200, 200), (100, 200, 100)])
def test_a_visitor_is_served_for_the_shorter_of_the_lifetimes(asked_s: int, granted_s: int, served_s: int) -> None:
    """F6: counted from the reply."""
    foreign = Foreign()
    foreign.accept(request(lifetime_s=asked_s), at_s=1.0, lifetime_s=granted_s)
    assert every(RemoveVisitor, foreign.handle(1.0 + served_s - 0.1)) == []
    assert only(RemoveVisitor, foreign.handle(1.0 + served_s)) == RemoveVisitor(HOME_ADDRESS, TUNNEL)


def test_expiry_sends_nothing() -> None:
    """F1."""
    foreign = Foreign()
    foreign.accept(request(lifetime_s=10))
    assert every(SendRegistration, foreign.handle(10.0)) == []


def test_a_renewal_extends_the_visit() -> None:
    foreign = Foreign()
    foreign.accept(request(lifetime_s=10))
    foreign.accept(request(lifetime_s=10, clock_s=UNIX_S + 5), at_s=5.0)
    assert every(RemoveVisitor, foreign.handle(14.9)) == []
    assert only(RemoveVisitor, foreign.handle(15.0))


def test_a_denial_by_the_home_agent_is_relayed_and_leaves_the_visitor() -> None:
    """F6: the entry is untouched until success."""
    foreign = Foreign()
    foreign.accept(request(lifetime_s=100))
    again = request(lifetime_s=100, clock_s=UNIX_S + 1)
    foreign.handle(1.0, from_visitor(again))
    actions = foreign.handle(1.0, from_home_agent(reply_to(again, ReplyCode.HOME_ADMINISTRATIVELY_PROHIBITED)))
    assert denied(actions) == ReplyCode.HOME_ADMINISTRATIVELY_PROHIBITED
    assert len(foreign.foreign.visitors) == 1


def test_a_relayed_deregistration_ends_the_visit() -> None:
    foreign = Foreign()
    foreign.accept(request())
    actions = foreign.accept(request(lifetime_s=0, clock_s=UNIX_S + 1), at_s=1.0)
    assert [type(action) for action in actions][:2] == [RemoveVisitor, SendRegistration]
    assert len(foreign.foreign.visitors) == 0


def test_a_reply_that_matches_no_request_is_not_relayed() -> None:
    """F6: home address and low half of the identification."""
    foreign = Foreign()
    foreign.handle(0.0, from_visitor(request()))
    stray = reply_to(request(), identification=request().identification ^ 1)
    actions = foreign.handle(0.0, from_home_agent(stray))
    assert every(SendRegistration, actions) == []
    assert reported(actions) == ["reply_discarded"]
    other_half = reply_to(request(), identification=request().identification ^ (1 << 40))
    assert reply_in(foreign.handle(0.0, from_home_agent(other_half)))


def test_a_reply_is_relayed_once() -> None:
    foreign = Foreign()
    foreign.accept(request())
    assert every(SendRegistration, foreign.handle(0.1, from_home_agent(reply_to(request())))) == []


def test_the_home_agents_part_of_the_reply_stays_here_and_ours_is_added() -> None:
    """F4, M6: 34 is consumed, 33 appended."""
    both = replace(WITH_MOBILE_KEY, home_agents={HOME_AGENT: (FA_HA,)})
    foreign = Foreign(both)
    asked = sign(request(), AuthenticationKind.MOBILE_FOREIGN, MN_FA)
    foreign.handle(0.0, from_visitor(asked))
    reply = sign(reply_to(asked), AuthenticationKind.FOREIGN_HOME, FA_HA)
    relayed = reply_in(foreign.handle(0.0, from_home_agent(reply)))
    assert [extension.type for extension in relayed.extensions] == [32, 33]
    verify(relayed, AuthenticationKind.MOBILE_HOME, MN_HA)
    verify(relayed, AuthenticationKind.MOBILE_FOREIGN, MN_FA)


@pytest.mark.parametrize("key", [None, b"guess"])
def test_a_reply_without_the_home_agents_proof_is_told_as_68(key: bytes | None) -> None:
    """F3."""
    foreign = Foreign(WITH_HOME_KEY)
    foreign.handle(0.0, from_visitor(request()))
    reply = reply_to(request())
    if key is not None:
        reply = sign(reply, AuthenticationKind.FOREIGN_HOME, replace(FA_HA, key=key))
    assert denied(foreign.handle(0.0, from_home_agent(reply))) == ReplyCode.HOME_AGENT_FAILED_AUTHENTICATION


@pytest.mark.parametrize(
    "reply",
    [
        reply_to(request(), signed_with=None),
        reply_to(request(), home_agent=IPv4Address("0.0.0.0")),
        reply_to(request(), home_agent=IPv4Address("224.0.0.5")),
    ],
    ids=["no authentication", "no home agent", "a group as home agent"],
)
def test_a_reply_that_is_no_good_is_told_as_71(reply: RegistrationReply) -> None:
    """F3."""
    foreign = Foreign()
    foreign.handle(0.0, from_visitor(request()))
    assert denied(foreign.handle(0.0, from_home_agent(reply))) == ReplyCode.POORLY_FORMED_REPLY


@pytest.mark.parametrize(
    ("heard", "code"),
    [
        (from_visitor(request(lifetime_s=601)), ReplyCode.LIFETIME_TOO_LONG),
        (from_visitor(request(care_of=CARE_OF_B)), ReplyCode.INVALID_CARE_OF_ADDRESS),
        (from_visitor(request(home_agent=ACCESS_A.ip)), ReplyCode.INVALID_HOME_AGENT_ADDRESS),
        (from_visitor(request(home_agent=CARE_OF_A)), ReplyCode.INVALID_HOME_AGENT_ADDRESS),
        (from_visitor(request(home_agent=IPv4Address(0))), ReplyCode.NONZERO_HOME_AGENT_REQUIRED),
        (from_visitor(request(home_address=IPv4Address(0))), ReplyCode.NONZERO_HOME_ADDRESS_REQUIRED),
        (from_visitor(request(home_address=ACCESS_A.ip)), ReplyCode.FOREIGN_POORLY_FORMED_REQUEST),
        (from_visitor(request(signed_with=None)), ReplyCode.FOREIGN_POORLY_FORMED_REQUEST),
        (from_visitor(request(flags=RequestFlags.GRE)), ReplyCode.FOREIGN_ENCAPSULATION_UNAVAILABLE),
        (from_visitor(request(flags=RequestFlags.MINIMAL)), ReplyCode.FOREIGN_ENCAPSULATION_UNAVAILABLE),
        (from_visitor(request(flags=REVERSE), ttl=254), ReplyCode.MOBILE_NODE_TOO_DISTANT),
    ],
    ids=lambda value: value.name if isinstance(value, ReplyCode) else "",
)
def test_a_request_that_may_not_pass_is_denied_with_its_code(heard: RequestHeard, code: ReplyCode) -> None:
    """F3, RFC 3024, section 0."""
    actions = Foreign().handle(0.0, heard)
    assert denied(actions) == code
    reply = reply_in(actions)
    asked = heard.request
    assert (reply.home_address, reply.home_agent) == (asked.home_address, asked.home_agent)
    assert reply.identification == asked.identification


def test_too_long_a_lifetime_is_told_the_longest() -> None:
    """F3: 69 with the maximum."""
    assert reply_in(Foreign().handle(0.0, from_visitor(request(lifetime_s=601)))).lifetime_s == 600


def test_a_leaving_node_may_name_any_care_of_address() -> None:
    """F3: 77 is only for a lifetime."""
    assert request_in(Foreign().handle(0.0, from_visitor(deregistration())))


def test_reverse_tunnels_that_are_not_offered_are_denied_in_the_order_of_rfc_3024() -> None:
    """72, 79, 74."""
    settings = replace(QUIET, reverse_tunnel=False)
    encapsulating = sign(request(flags=REVERSE, signed_with=None), AuthenticationKind.MOBILE_HOME, MN_HA)
    encapsulating = encapsulating.with_extensions((*encapsulating.extensions, RawExtension(130, b"")))
    gre = replace(encapsulating, flags=REVERSE | RequestFlags.GRE)
    plain = request(flags=REVERSE)
    codes = [
        denied(Foreign(settings).handle(0.0, from_visitor(asked, ttl=255))) for asked in (gre, encapsulating, plain)
    ]
    assert codes == [72, 79, 74]


@pytest.mark.parametrize("key", [None, b"guess"])
def test_bad_mobile_foreign_authentication_is_denied_67(key: bytes | None) -> None:
    """Section 0: at most one denial a second; the denial is authenticated."""
    asked = request() if key is None else sign(request(), AuthenticationKind.MOBILE_FOREIGN, replace(MN_FA, key=key))
    actions = Foreign(WITH_MOBILE_KEY).handle(0.0, from_visitor(asked))
    assert denied(actions) == ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION_AT_FOREIGN
    verify(reply_in(actions), AuthenticationKind.MOBILE_FOREIGN, MN_FA)


def test_a_node_is_denied_at_most_once_a_second() -> None:
    """F5: another node is not affected."""
    foreign = Foreign()
    too_long = from_visitor(request(lifetime_s=601))
    other = from_visitor(request(lifetime_s=601, home_address=IPv4Address("192.0.2.11")))
    assert denied(foreign.handle(0.0, too_long)) == 69
    assert every(SendRegistration, foreign.handle(0.9, too_long)) == []
    assert denied(foreign.handle(0.9, other)) == 69
    assert denied(foreign.handle(1.0, too_long)) == 69


def numbered(number: int, **changes: object) -> RequestHeard:
    """A request of one of many mobile nodes."""
    return from_visitor(request(home_address=IPv4Address(f"192.0.2.{100 + number}"), **changes))  # type: ignore[arg-type]


def test_too_many_pending_requests_are_denied_66_until_one_is_answered() -> None:
    """F2: typically five."""
    foreign = Foreign()
    for number in range(5):
        assert request_in(foreign.handle(0.0, numbered(number)))
    assert denied(foreign.handle(0.0, numbered(5))) == ReplyCode.FOREIGN_INSUFFICIENT_RESOURCES
    foreign.handle(0.1, from_home_agent(reply_to(numbered(0).request)))
    assert request_in(foreign.handle(0.2, numbered(6)))


def test_a_request_that_is_not_answered_in_time_is_denied_78() -> None:
    """F2: pending for seven seconds."""
    foreign = Foreign()
    foreign.handle(0.0, from_visitor(request()))
    assert every(SendRegistration, foreign.handle(6.9)) == []
    assert foreign.foreign.deadline() == 7.0
    assert denied(foreign.handle(7.0)) == ReplyCode.REGISTRATION_TIMEOUT
    assert every(SendRegistration, foreign.handle(7.1, from_home_agent(reply_to(request())))) == []


def test_who_asks_again_takes_no_second_place() -> None:
    """F2: the earlier request is given up; only the later one is answered."""
    foreign = Foreign(replace(QUIET, max_pending=1))
    foreign.handle(0.0, from_visitor(request()))
    again = request(clock_s=UNIX_S + 1.5)
    assert request_in(foreign.handle(1.0, from_visitor(again)))
    assert every(SendRegistration, foreign.handle(1.1, from_home_agent(reply_to(request())))) == []
    assert reply_in(foreign.handle(1.2, from_home_agent(reply_to(again)))).accepted


def test_a_copied_request_does_not_catch_the_reply() -> None:
    """Somebody on the link sends a request that it overheard: the visitor stays the one that asked first."""
    foreign = Foreign()
    foreign.handle(0.0, from_visitor(request()))
    copied = foreign.handle(0.0, from_visitor(request(), source_mac=STRANGER_MAC))
    assert every(SendRegistration, copied) == []
    assert only(InstallVisitor, foreign.handle(0.1, from_home_agent(reply_to(request())))).mac == MN_MAC


def test_a_stranger_cannot_push_a_pending_request_out() -> None:
    foreign = Foreign()
    foreign.handle(0.0, from_visitor(request()))
    foreign.handle(0.0, from_visitor(request(clock_s=UNIX_S + 1), source_mac=STRANGER_MAC))
    assert only(InstallVisitor, foreign.handle(0.1, from_home_agent(reply_to(request())))).mac == MN_MAC


def test_visitors_beyond_the_limit_are_denied_66_and_known_ones_are_not() -> None:
    foreign = Foreign(replace(QUIET, max_visitors=1))
    foreign.accept(request())
    assert denied(foreign.handle(1.0, numbered(1))) == ReplyCode.FOREIGN_INSUFFICIENT_RESOURCES
    assert request_in(foreign.handle(1.0, from_visitor(request(clock_s=UNIX_S + 1))))


@pytest.mark.parametrize(("unreachable", "code"), [("network", 80), ("host", 81), ("port", 82), ("other", 88)])
def test_an_unreachable_home_agent_is_told_by_its_code(unreachable: str, code: int) -> None:
    """F3: ICMP errors and missing routes."""
    foreign = Foreign()
    foreign.handle(0.0, from_visitor(request()))
    failed = RelayFailed(HOME_ADDRESS, request().identification, unreachable)
    assert denied(foreign.handle(0.1, failed)) == code


def test_an_error_about_nothing_of_ours_is_ignored() -> None:
    assert Foreign().handle(0.0, RelayFailed(HOME_ADDRESS, 1, "host")) == []


def test_a_request_from_beyond_the_link_is_discarded() -> None:
    """F2: a visitor has a MAC address."""
    actions = Foreign().handle(0.0, from_visitor(request(), source_mac=None))
    assert every(SendRegistration, actions) == []


def test_it_advertises_its_care_of_address_and_what_it_offers() -> None:
    """D4, D7: F, a care-of address, T; sequence 0 first (D9)."""
    advertisement = only(SendAdvertisement, Foreign().first).advertisement
    assert advertisement.flags == AgentFlags.FOREIGN_AGENT | AgentFlags.REVERSE_TUNNELLING
    assert advertisement.care_of_addresses == (CARE_OF_A,)
    assert advertisement.prefix_lengths == (26,)
    assert advertisement.sequence == 0


def advertised(foreign: Foreign, event: Event) -> AgentFlags:
    return only(SendAdvertisement, foreign.handle(1.0, event)).advertisement.flags


def test_a_busy_agent_goes_on_advertising_and_says_so() -> None:
    """D5: B with F."""
    foreign = Foreign(replace(QUIET, max_visitors=1, reverse_tunnel=False, registration_required=True))
    solicitation = SolicitationHeard(HOME_ADDRESS, MN_MAC)
    required = AgentFlags.FOREIGN_AGENT | AgentFlags.REGISTRATION_REQUIRED
    assert advertised(foreign, solicitation) == required
    foreign.accept(request(), at_s=1.0)
    assert advertised(foreign, solicitation) == required | AgentFlags.BUSY


def test_changed_settings_hold_from_the_next_request_on() -> None:
    foreign = Foreign()
    foreign.handle(1.0, SettingsChanged(replace(QUIET, max_lifetime_s=10)))
    assert denied(foreign.handle(1.0, from_visitor(request(lifetime_s=11)))) == 69


def test_a_node_with_its_own_care_of_address_is_relayed_and_is_no_visitor() -> None:
    """D12: registration through an agent that requires it."""
    foreign = Foreign()
    asked = request(care_of=IPv4Address("198.51.100.20"), flags=RequestFlags.DECAPSULATES)
    actions = foreign.accept(asked)
    assert reply_in(actions).accepted
    assert every(InstallVisitor, actions) == []
