"""The home agent's rules, one by one (protocol-rules H1 to H12; RFC 5944 section 3.8)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.agents.actions import (
    Action,
    AnnounceAddress,
    InstallBinding,
    ReleaseTunnel,
    RemoveBinding,
    SendAdvertisement,
    SendRegistration,
)
from testbed.agents.events import KernelAgreed, RequestHeard, SettingsChanged, SolicitationHeard
from testbed.agents.home import HomeAgent
from testbed.agents.settings import HomeSettings, MobileNodeEntry
from testbed.protocol.authentication import authentication_extensions, sign, verify
from testbed.protocol.discovery import AgentFlags
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.identification import ntp_timestamp
from testbed.protocol.registration import RegistrationRequest, ReplyCode, RequestFlags
from testbed.tunnels.endpoints import TunnelEndpoints
from tests.agents.parties import (
    CARE_OF_A,
    CARE_OF_B,
    FA_HA,
    HOME,
    HOME_ADDRESS,
    HOME_AGENT,
    MN_HA,
    MN_MAC,
    STRANGER_MAC,
    UNIX_S,
    WRONG,
    Kernel,
    deregistration,
    every,
    from_home_link,
    only,
    relayed,
    reply_in,
    reported,
    request,
    still,
)

TUNNEL_A, TUNNEL_B = TunnelEndpoints(HOME_AGENT, CARE_OF_A), TunnelEndpoints(HOME_AGENT, CARE_OF_B)
FRIENDLY = replace(HOME, foreign_agents={CARE_OF_A: (FA_HA,)})


class Home(Kernel):
    """A home agent whose two clocks go together."""

    def __init__(self, settings: HomeSettings = HOME) -> None:
        self.clock_s = UNIX_S
        self.home = HomeAgent(settings, wall_clock=lambda: self.clock_s, random=still)
        super().__init__(self.home)
        self.start(0.0)

    def hear(self, heard: RequestHeard, at_s: float = 0.0) -> list[Action]:
        """What a request leads to, apart from what was due anyway."""
        self.clock_s = UNIX_S + at_s
        self.handle(at_s)
        return self.handle(at_s, heard)


def relayed_by_friend(message: RegistrationRequest) -> RequestHeard:
    return relayed(sign(message, AuthenticationKind.FOREIGN_HOME, FA_HA))


def test_a_first_registration_installs_then_announces_then_answers() -> None:
    """H6, H12: tunnel, route and proxy ARP, then the gratuitous ARP, then the reply."""
    actions = Home().hear(relayed(request()))
    assert [type(action) for action in actions][:3] == [InstallBinding, AnnounceAddress, SendRegistration]
    assert only(InstallBinding, actions) == InstallBinding(HOME_ADDRESS, TUNNEL_A)
    assert only(AnnounceAddress, actions) == AnnounceAddress(HOME_ADDRESS, None)
    assert reply_in(actions).code == ReplyCode.ACCEPTED


def test_nothing_is_answered_before_the_kernel_has_agreed() -> None:
    home = HomeAgent(HOME, wall_clock=lambda: UNIX_S, random=still)
    before = home.handle(0.0, relayed(request()))
    assert every(SendRegistration, before) == []
    after = home.handle(0.0, KernelAgreed(only(InstallBinding, before)))
    assert reply_in(after).code == ReplyCode.ACCEPTED


def test_the_gratuitous_arp_is_repeated_a_few_times_while_the_binding_lasts() -> None:
    """H12: SHOULD repeat."""
    home = Home()
    home.hear(relayed(request()))
    later = [every(AnnounceAddress, home.handle(float(second))) for second in range(1, 6)]
    assert [len(found) for found in later] == [1, 1, 0, 0, 0]


def test_a_kernel_that_refuses_is_answered_130_and_nothing_is_bound() -> None:
    home = Home()
    home.declines = (InstallBinding,)
    actions = home.hear(relayed(request()))
    assert reply_in(actions).code == ReplyCode.HOME_INSUFFICIENT_RESOURCES
    assert home.home.bindings.get(HOME_ADDRESS) is None
    assert every(AnnounceAddress, actions) == []


def test_a_refused_renewal_leaves_the_earlier_binding() -> None:
    home = Home()
    home.hear(relayed(request()))
    home.declines = (InstallBinding,)
    home.hear(relayed(request(care_of=CARE_OF_B, clock_s=UNIX_S + 1), source=CARE_OF_B), at_s=1.0)
    binding = home.home.bindings.get(HOME_ADDRESS)
    assert binding is not None
    assert binding.care_of_address == CARE_OF_A


def test_a_reply_goes_back_where_the_request_came_from() -> None:
    """H8: addresses and ports swapped, authenticated for the mobile node."""
    sending = only(SendRegistration, Home().hear(replace(relayed(request()), source_port=5555)))
    assert (sending.source, sending.destination, sending.destination_port) == (HOME_AGENT, CARE_OF_A, 5555)
    assert sending.mac is None
    verify(sending.message, AuthenticationKind.MOBILE_HOME, MN_HA)


def test_a_reply_to_the_home_link_is_sent_to_the_neighbour_straight() -> None:
    """H8: with or without a binding, and also when it denies."""
    home = Home()
    home.hear(relayed(request()))
    accepted = home.hear(from_home_link(deregistration(clock_s=UNIX_S + 1)), at_s=1.0)
    denied = home.hear(from_home_link(deregistration(clock_s=UNIX_S - 100)), at_s=2.0)
    for actions in (accepted, denied):
        assert only(SendRegistration, actions).mac == MN_MAC


@pytest.mark.parametrize(
    ("asked_s", "granted_s"), [(1, 1), (600, 600), (601, 600), (0xFFFF, 600)], ids=lambda value: f"{value} s"
)
def test_the_lifetime_is_never_more_than_asked_nor_than_allowed(asked_s: int, granted_s: int) -> None:
    """H7."""
    assert reply_in(Home().hear(relayed(request(lifetime_s=asked_s)))).lifetime_s == granted_s


def test_an_infinite_lifetime_never_ends_where_it_is_allowed() -> None:
    """M4: 0xffff is infinity."""
    home = Home(replace(HOME, max_lifetime_s=0xFFFF))
    home.hear(relayed(request(lifetime_s=0xFFFF)))
    home.handle(1e9)
    assert home.home.bindings.get(HOME_ADDRESS) is not None


def test_expiry_removes_the_binding_without_a_word() -> None:
    """H1: no reply on expiry."""
    home = Home()
    home.hear(relayed(request(lifetime_s=30)))
    assert every(RemoveBinding, home.handle(29.9)) == []
    actions = home.handle(30.0)
    assert only(RemoveBinding, actions) == RemoveBinding(HOME_ADDRESS)
    assert only(ReleaseTunnel, actions) == ReleaseTunnel(HOME_ADDRESS, TUNNEL_A)
    assert every(SendRegistration, actions) == []
    assert every(AnnounceAddress, actions) == []


def test_the_next_deadline_is_never_after_the_end_of_a_binding() -> None:
    home = Home(replace(HOME, advertisement=replace(HOME.advertisement, interval_s=1000.0)))
    home.hear(relayed(request(lifetime_s=30)))
    home.handle(5.0)  # the repetitions of the gratuitous ARP are over
    home.handle(6.0)
    assert home.home.deadline() == 30.0


def test_a_move_puts_the_new_binding_in_place_and_then_lets_the_old_tunnel_go() -> None:
    """H6 without S, G16; the reply does not wait for the kernel to remove a device."""
    home = Home()
    home.hear(relayed(request()))
    actions = home.hear(relayed(request(care_of=CARE_OF_B, clock_s=UNIX_S + 5), source=CARE_OF_B), at_s=5.0)
    kinds = [type(action) for action in actions]
    assert kinds.index(InstallBinding) < kinds.index(SendRegistration) < kinds.index(ReleaseTunnel)
    assert only(ReleaseTunnel, actions) == ReleaseTunnel(HOME_ADDRESS, TUNNEL_A)
    assert every(AnnounceAddress, actions) == []


def test_a_renewal_keeps_the_tunnel_and_extends_the_lifetime() -> None:
    home = Home()
    home.hear(relayed(request(lifetime_s=30)))
    actions = home.hear(relayed(request(lifetime_s=30, clock_s=UNIX_S + 20)), at_s=20.0)
    assert every(ReleaseTunnel, actions) == []
    assert every(RemoveBinding, home.handle(49.0)) == []
    assert only(RemoveBinding, home.handle(50.0))


def test_a_duplicate_is_answered_alike_and_does_not_extend_the_lifetime() -> None:
    """H7."""
    home = Home()
    first = relayed(request(lifetime_s=30))
    home.hear(first)
    again = home.hear(first, at_s=2.5)
    assert reply_in(again).code == ReplyCode.ACCEPTED
    assert reply_in(again).lifetime_s == 27
    assert every(InstallBinding, again) == []
    assert only(RemoveBinding, home.handle(30.0))


def test_simultaneous_bindings_are_declined_with_code_1() -> None:
    """Section 0: S replaces, and the reply says so."""
    home = Home()
    home.hear(relayed(request()))
    flags = RequestFlags.SIMULTANEOUS_BINDINGS
    actions = home.hear(relayed(request(care_of=CARE_OF_B, flags=flags, clock_s=UNIX_S + 1), source=CARE_OF_B), 1.0)
    assert reply_in(actions).code == ReplyCode.ACCEPTED_WITHOUT_SIMULTANEOUS_BINDINGS
    assert only(ReleaseTunnel, actions).tunnel == TUNNEL_A


@pytest.mark.parametrize("flag", [RequestFlags.BROADCASTS, RequestFlags.RESERVED_r, RequestFlags.RESERVED_x])
def test_unsupported_broadcasts_and_reserved_bits_are_ignored(flag: RequestFlags) -> None:
    """H9, section 0."""
    assert reply_in(Home().hear(relayed(request(flags=flag)))).code == ReplyCode.ACCEPTED


def test_return_stops_proxy_arp_then_announces_the_mobile_node_then_answers() -> None:
    """H12: the gratuitous ARP carries the mobile node's MAC."""
    home = Home()
    home.hear(relayed(request()))
    actions = home.hear(from_home_link(deregistration(clock_s=UNIX_S + 9)), at_s=9.0)
    relevant = (RemoveBinding, AnnounceAddress, SendRegistration, ReleaseTunnel)
    order = [type(action) for action in actions if isinstance(action, relevant)]
    assert order == [RemoveBinding, AnnounceAddress, SendRegistration, ReleaseTunnel]
    assert only(AnnounceAddress, actions) == AnnounceAddress(HOME_ADDRESS, MN_MAC)
    assert (reply_in(actions).code, reply_in(actions).lifetime_s) == (ReplyCode.ACCEPTED, 0)
    assert len(home.home.bindings) == 0


def test_after_a_return_no_earlier_announcement_is_repeated() -> None:
    """H12: the home agent's own MAC must not be announced again."""
    home = Home()
    home.hear(relayed(request()))
    home.hear(from_home_link(deregistration(clock_s=UNIX_S + 0.5)), at_s=0.5)
    repeated = [found for second in range(1, 5) for found in every(AnnounceAddress, home.handle(float(second)))]
    assert [found.mac for found in repeated] == [MN_MAC, MN_MAC]


def test_a_deregistration_through_a_foreign_agent_announces_nothing() -> None:
    """H12: nobody on the home link is known to have the address."""
    home = Home()
    home.hear(relayed(request()))
    actions = home.hear(relayed(request(lifetime_s=0, clock_s=UNIX_S + 1)), at_s=1.0)
    assert only(RemoveBinding, actions)
    assert every(AnnounceAddress, actions) == []
    assert every(AnnounceAddress, home.handle(2.0) + home.handle(3.0)) == []


def test_deregistering_another_care_of_address_leaves_the_binding() -> None:
    """H6: lifetime 0 with a care-of address ends that one only."""
    home = Home()
    home.hear(relayed(request()))
    actions = home.hear(relayed(request(lifetime_s=0, care_of=CARE_OF_B, clock_s=UNIX_S + 1)), at_s=1.0)
    assert reply_in(actions).code == ReplyCode.ACCEPTED
    assert every(RemoveBinding, actions) == []
    assert len(home.home.bindings) == 1


def test_deregistering_without_a_binding_is_granted() -> None:
    """H6."""
    assert reply_in(Home().hear(from_home_link(deregistration()))).code == ReplyCode.ACCEPTED


def test_a_stranger_is_not_answered() -> None:
    """H2: no security association."""
    actions = Home().hear(relayed(request(home_address=IPv4Address("192.0.2.77"))))
    assert every(SendRegistration, actions) == []
    assert reported(actions) == ["request_discarded"]


@pytest.mark.parametrize("times", [0, 2])
def test_a_request_without_exactly_one_authentication_is_not_answered(times: int) -> None:
    """H2."""
    message = request(signed_with=None)
    extension = request().extensions[0]
    actions = Home().hear(relayed(message.with_extensions((extension,) * times)))
    assert every(SendRegistration, actions) == []
    assert reported(actions) == ["request_discarded"]


def test_a_forged_request_is_answered_131_at_most_once_a_second() -> None:
    """H2, section 0: with a valid authentication of our own."""
    home = Home()
    forged = relayed(request(signed_with=WRONG))
    first = home.hear(forged)
    assert reply_in(first).code == ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION
    verify(reply_in(first), AuthenticationKind.MOBILE_HOME, MN_HA)
    assert every(SendRegistration, home.hear(forged, at_s=0.9)) == []
    assert reply_in(home.hear(forged, at_s=1.0)).code == ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION
    assert home.home.counters == {"requests_denied_131": 2, "requests_discarded": 1}


def test_an_unknown_spi_is_not_answered() -> None:
    """Section 0: no association with that SPI, no answer."""
    actions = Home().hear(relayed(request(signed_with=replace(MN_HA, spi=999))))
    assert every(SendRegistration, actions) == []


def test_a_forged_request_from_a_trusted_foreign_agent_is_answered_131_whatever_its_spi() -> None:
    """H2: with a valid foreign-home authentication the answer is a MUST."""
    actions = Home(FRIENDLY).hear(relayed_by_friend(request(signed_with=replace(WRONG, spi=999))))
    assert reply_in(actions).code == ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION


@pytest.mark.parametrize("off_s", [-8.0, 8.0])
def test_a_wrong_clock_is_told_ours(off_s: float) -> None:
    """H3: low half copied, high half our seconds."""
    message = request(clock_s=UNIX_S + off_s)
    reply = reply_in(Home().hear(relayed(message)))
    assert reply.code == ReplyCode.IDENTIFICATION_MISMATCH
    assert reply.identification & 0xFFFFFFFF == message.identification & 0xFFFFFFFF
    assert reply.identification >> 32 == ntp_timestamp(UNIX_S) >> 32


def test_a_replayed_request_changes_nothing() -> None:
    """H3, G15: an authentic request from before is refused with 133."""
    home = Home()
    old = relayed(request())
    home.hear(old)
    home.hear(relayed(request(care_of=CARE_OF_B, clock_s=UNIX_S + 1), source=CARE_OF_B), at_s=1.0)
    actions = home.hear(old, at_s=2.0)
    assert reply_in(actions).code == ReplyCode.IDENTIFICATION_MISMATCH
    binding = home.home.bindings.get(HOME_ADDRESS)
    assert binding is not None
    assert binding.care_of_address == CARE_OF_B


def test_a_request_cannot_be_replayed_after_the_return() -> None:
    """H3: what was accepted is remembered longer than the binding."""
    home = Home()
    old = relayed(request())
    home.hear(old)
    home.hear(from_home_link(deregistration(clock_s=UNIX_S + 1)), at_s=1.0)
    assert reply_in(home.hear(old, at_s=2.0)).code == ReplyCode.IDENTIFICATION_MISMATCH
    assert len(home.home.bindings) == 0


def test_a_foreign_agent_that_shares_a_key_must_prove_it() -> None:
    """H4: 132 without, or with a wrong, foreign-home authentication."""
    forged = sign(request(), AuthenticationKind.FOREIGN_HOME, replace(FA_HA, key=b"guess"))
    for message in (request(), forged):
        reply = reply_in(Home(FRIENDLY).hear(relayed(message)))
        assert reply.code == ReplyCode.FOREIGN_AGENT_FAILED_AUTHENTICATION


def test_the_proof_cannot_be_avoided_by_another_source_address() -> None:
    """H4: the care-of address names the foreign agent, too."""
    actions = Home(FRIENDLY).hear(relayed(request(), source=IPv4Address("203.0.113.9")))
    assert reply_in(actions).code == ReplyCode.FOREIGN_AGENT_FAILED_AUTHENTICATION


def test_a_trusted_foreign_agent_gets_an_authenticated_reply() -> None:
    """H8: mobile-home, then foreign-home authentication."""
    reply = reply_in(Home(FRIENDLY).hear(relayed_by_friend(request())))
    assert reply.code == ReplyCode.ACCEPTED
    verify(reply, AuthenticationKind.FOREIGN_HOME, FA_HA)
    assert [extension.type for extension in reply.extensions] == [32, 34]


def test_a_deregistration_needs_no_proof_of_the_foreign_agent_and_gets_none() -> None:
    """H4, F4: foreign-home authentication only where a lifetime is asked for."""
    reply = reply_in(Home(FRIENDLY).hear(relayed(request(lifetime_s=0))))
    assert reply.code == ReplyCode.ACCEPTED
    assert authentication_extensions(reply, AuthenticationKind.FOREIGN_HOME) == ()


def test_a_deregistration_with_a_needless_proof_is_granted_and_gets_none() -> None:
    """F4."""
    reply = reply_in(Home(FRIENDLY).hear(relayed_by_friend(request(lifetime_s=0))))
    assert reply.code == ReplyCode.ACCEPTED
    assert authentication_extensions(reply, AuthenticationKind.FOREIGN_HOME) == ()


def test_foreign_home_authentication_of_a_stranger_is_not_answered() -> None:
    """H4: extension 34 without a security association."""
    actions = Home().hear(relayed_by_friend(request()))
    assert every(SendRegistration, actions) == []


@pytest.mark.parametrize("destination", ["192.0.2.255", "255.255.255.255"])
def test_who_looks_for_a_home_agent_is_told_its_address(destination: str) -> None:
    """H5: 136 with our unicast address, from it."""
    everybody = IPv4Address(destination)
    heard = replace(from_home_link(request(home_agent=everybody)), destination=everybody)
    actions = Home().hear(heard)
    assert reply_in(actions).code == ReplyCode.UNKNOWN_HOME_AGENT
    assert reply_in(actions).home_agent == HOME_AGENT
    assert only(SendRegistration, actions).source == HOME_AGENT


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (RequestFlags.MINIMAL, ReplyCode.HOME_ENCAPSULATION_UNAVAILABLE),
        (RequestFlags.GRE, ReplyCode.HOME_ENCAPSULATION_UNAVAILABLE),
        (RequestFlags.REVERSE_TUNNEL, ReplyCode.HOME_REVERSE_TUNNEL_UNAVAILABLE),
        (RequestFlags.REVERSE_TUNNEL | RequestFlags.GRE, ReplyCode.HOME_ENCAPSULATION_UNAVAILABLE),
    ],
)
def test_what_is_not_offered_is_denied_with_its_own_code(flags: RequestFlags, code: ReplyCode) -> None:
    """RFC 3024: 139 before 137."""
    assert reply_in(Home(replace(HOME, reverse_tunnel=False)).hear(relayed(request(flags=flags)))).code == code


def test_a_reverse_tunnel_is_granted_where_it_is_offered() -> None:
    home = Home()
    assert reply_in(home.hear(relayed(request(flags=RequestFlags.REVERSE_TUNNEL)))).code == ReplyCode.ACCEPTED


def test_a_home_address_that_may_not_register_is_told_129() -> None:
    """H6."""
    settings = replace(HOME, mobile_nodes={HOME_ADDRESS: MobileNodeEntry((MN_HA,), registration_allowed=False)})
    reply = reply_in(Home(settings).hear(relayed(request())))
    assert reply.code == ReplyCode.HOME_ADMINISTRATIVELY_PROHIBITED


@pytest.mark.parametrize("care_of", ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "192.0.2.1", "192.0.2.10"])
def test_a_care_of_address_that_can_end_no_tunnel_is_told_134(care_of: str) -> None:
    """H6: nor may a tunnel lead back to ourselves (H10)."""
    reply = reply_in(Home().hear(relayed(request(care_of=IPv4Address(care_of)))))
    assert reply.code == ReplyCode.HOME_POORLY_FORMED_REQUEST


def test_a_denied_request_may_be_repeated_with_the_same_identification() -> None:
    """H3: only what was accepted counts as seen."""
    home = Home(FRIENDLY)
    assert reply_in(home.hear(relayed(request()))).code == ReplyCode.FOREIGN_AGENT_FAILED_AUTHENTICATION
    assert reply_in(home.hear(relayed_by_friend(request()))).code == ReplyCode.ACCEPTED


def test_it_advertises_itself_as_home_agent_with_its_prefix() -> None:
    """D4, D6, D7."""
    home = HomeAgent(HOME, wall_clock=lambda: UNIX_S, random=still)
    advertisement = only(SendAdvertisement, home.start(0.0)).advertisement
    assert advertisement.flags == AgentFlags.HOME_AGENT
    assert [router.address for router in advertisement.routers] == [HOME_AGENT]
    assert advertisement.prefix_lengths == (24,)


def test_a_solicitation_is_answered_at_once() -> None:
    """D8."""
    home = Home()
    sending = only(SendAdvertisement, home.handle(0.1, SolicitationHeard(HOME_ADDRESS, STRANGER_MAC)))
    assert sending.to is not None
    assert sending.to.mac == STRANGER_MAC


def test_mobile_nodes_that_are_no_longer_configured_lose_their_bindings() -> None:
    home = Home()
    home.hear(relayed(request()))
    actions = home.handle(1.0, SettingsChanged(replace(HOME, mobile_nodes={})))
    assert only(RemoveBinding, actions) == RemoveBinding(HOME_ADDRESS)


def test_its_requests_are_counted_by_what_became_of_them() -> None:
    home = Home()
    home.hear(relayed(request()))
    home.hear(relayed(request(clock_s=UNIX_S - 60)))
    home.hear(relayed(request(signed_with=None)))
    assert home.home.counters == {"requests_accepted": 1, "requests_denied_133": 1, "requests_discarded": 1}
