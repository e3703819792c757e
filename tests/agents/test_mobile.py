"""The mobile node's rules, one by one (protocol-rules M1 to M11, D10 to D16, H12; RFC 5944 sections 2.4 and 3.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.agents.actions import (
    Action,
    AnnounceAddress,
    AnswerArp,
    LeaveHome,
    Neighbour,
    ReturnHome,
    SendRegistration,
    SendSolicitation,
    UseForeignAgent,
)
from testbed.agents.events import AdvertisementHeard, ArpRequestHeard, LinkDown, LinkUp, ReplyHeard, SettingsChanged
from testbed.agents.mobile import MobileNode, State
from testbed.agents.settings import MobileSettings
from testbed.protocol.authentication import sign, verify
from testbed.protocol.discovery import AgentFlags
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.identification import ntp_timestamp, rejection_identification
from testbed.protocol.packets import MacAddress
from testbed.protocol.registration import RegistrationRequest, ReplyCode, RequestFlags
from tests.agents.parties import (
    ACCESS_A,
    ACCESS_B,
    CARE_OF_A,
    CARE_OF_B,
    FA_A_MAC,
    FA_B_MAC,
    HA_MAC,
    HOME_ADDRESS,
    HOME_AGENT,
    MN_FA,
    MN_HA,
    MOBILE,
    STRANGER_MAC,
    UNIX_S,
    WRONG,
    Kernel,
    every,
    foreign_advertisement,
    home_advertisement,
    only,
    reply_to,
    reported,
    request_in,
    still,
)

ONLY_FOREIGN = AgentFlags.FOREIGN_AGENT


class Mobile(Kernel):
    """A mobile node whose two clocks go together."""

    def __init__(self, settings: MobileSettings = MOBILE, *, left_away: bool = False) -> None:
        self.now_s = 0.0
        self.node = MobileNode(settings, wall_clock=lambda: UNIX_S + self.now_s, random=still, left_away=left_away)
        super().__init__(self.node)
        self.start(0.0)

    def at(self, now_s: float, event: object = None) -> list[Action]:
        """What comes of an event, or of the time alone."""
        self.now_s = now_s
        return self.handle(now_s, event)  # type: ignore[arg-type]

    def grant(self, now_s: float, asked: RegistrationRequest, **reply: object) -> list[Action]:
        return self.at(now_s, ReplyHeard(reply_to(asked, **reply), ACCESS_A.ip, FA_A_MAC))  # type: ignore[arg-type]

    def let_pass(self, until_s: float, *, hearing: AdvertisementHeard | None = None) -> Iterator[tuple[float, Action]]:
        """Every action until then, with its time; an agent may be heard every second meanwhile."""
        next_heard_s = self.now_s + 1.0
        while True:
            deadline_s = self.node.deadline()
            now_s = min(until_s, deadline_s if deadline_s is not None else until_s)
            if hearing is not None:
                now_s = min(now_s, next_heard_s)
            event = None
            if hearing is not None and now_s == next_heard_s:
                event, next_heard_s = hearing, next_heard_s + 1.0
            yield from ((now_s, action) for action in self.at(now_s, event))
            if now_s >= until_s:
                return


def registered_at_a(settings: MobileSettings = MOBILE, **advertised: object) -> Mobile:
    """A mobile node that moved from home to network A and was accepted there, all at time 1."""
    mobile = Mobile(settings)
    mobile.at(0.5, home_advertisement())
    mobile.at(1.0, LinkDown())
    mobile.at(1.0, LinkUp())
    actions = mobile.at(1.0, foreign_advertisement("a", **advertised))  # type: ignore[arg-type]
    mobile.grant(1.0, request_in(actions))
    assert mobile.node.state is State.REGISTERED
    return mobile


def asking_at_a(settings: MobileSettings = MOBILE, **advertised: object) -> tuple[Mobile, RegistrationRequest]:
    """A mobile node that has just sent its first request on network A, at time 0."""
    mobile = Mobile(settings)
    return mobile, request_in(mobile.at(0.0, foreign_advertisement("a", **advertised)))  # type: ignore[arg-type]


def sent(actions: Iterator[tuple[float, Action]], kind: type[Action]) -> list[float]:
    """When actions of a kind were due."""
    return [now_s for now_s, action in actions if isinstance(action, kind)]


# Discovery


def test_it_solicits_when_it_starts() -> None:
    node = MobileNode(MOBILE, wall_clock=lambda: UNIX_S, random=still)
    assert only(SendSolicitation, node.start(0.0)).source == HOME_ADDRESS


def test_it_solicits_thrice_a_second_apart_and_then_ever_more_rarely_up_to_a_minute() -> None:
    """D11."""
    times = [0.0, *sent(Mobile().let_pass(400.0), SendSolicitation)]
    assert times == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 124.0, 184.0, 244.0, 304.0, 364.0]


def test_link_up_is_answered_by_a_solicitation_at_once() -> None:
    mobile = Mobile()
    mobile.at(50.0)  # what was due anyway
    actions = mobile.at(50.0, LinkUp())
    assert [type(action) for action in actions][:2] == [LeaveHome, SendSolicitation]


def test_a_link_that_flaps_does_not_make_it_flood() -> None:
    """D11: once a second on average."""
    mobile = Mobile()
    for flap in range(100):
        mobile.at(1.0 + flap / 1000, LinkUp())
    assert mobile.node.counters["solicitations_sent"] <= 6


def test_a_link_that_goes_and_comes_unseen_still_counts_as_a_new_one() -> None:
    """The kernel may tell of both changes at once: what was heard before is forgotten."""
    mobile = registered_at_a()
    mobile.at(2.0, LinkUp())
    asked = request_in(mobile.at(2.0, foreign_advertisement("b")))
    assert asked.care_of_address == CARE_OF_B


def test_an_advertisement_heard_while_unplugged_is_of_the_old_link() -> None:
    mobile = Mobile()
    mobile.at(1.0, LinkDown())
    assert mobile.at(1.0, foreign_advertisement("a")) == []


def test_a_busy_agent_is_not_asked() -> None:
    """D5."""
    actions = Mobile().at(0.0, foreign_advertisement(flags=ONLY_FOREIGN | AgentFlags.BUSY))
    assert every(SendRegistration, actions) == []


def test_an_agent_without_a_care_of_address_is_not_asked() -> None:
    """D4."""
    assert (
        every(
            SendRegistration, Mobile().at(0.0, foreign_advertisement(flags=AgentFlags.HOME_AGENT, care_of_addresses=()))
        )
        == []
    )


# The request


def test_the_request_goes_to_the_advertisements_sender_from_the_home_address() -> None:
    """M1, M2: its MAC and its IP source."""
    sending = only(SendRegistration, Mobile().at(0.0, foreign_advertisement("a")))
    assert (sending.source, sending.destination, sending.mac) == (HOME_ADDRESS, ACCESS_A.ip, FA_A_MAC)
    assert sending.destination_port == 434


def test_the_request_asks_for_the_advertised_care_of_address() -> None:
    """M3: no D, no S, no reserved bits."""
    _, asked = asking_at_a()
    assert (asked.care_of_address, asked.home_agent, asked.flags) == (CARE_OF_A, HOME_AGENT, RequestFlags(0))
    assert asked.identification >> 32 == ntp_timestamp(UNIX_S) >> 32


@pytest.mark.parametrize(("advertised_s", "asked_s"), [(1800, 30), (10, 10)])
def test_the_lifetime_is_no_more_than_advertised(advertised_s: int, asked_s: int) -> None:
    """M4."""
    assert asking_at_a(registration_lifetime_s=advertised_s)[1].lifetime_s == asked_s


def test_both_authentications_are_there_in_their_order() -> None:
    """M6."""
    _, asked = asking_at_a(replace(MOBILE, foreign_agents={ACCESS_A.ip: (MN_FA,)}))
    assert [extension.type for extension in asked.extensions] == [32, 33]
    verify(asked, AuthenticationKind.MOBILE_HOME, MN_HA)
    verify(asked, AuthenticationKind.MOBILE_FOREIGN, MN_FA)


@pytest.mark.parametrize(
    ("wanted", "offered", "flags", "ttl"),
    [
        (True, True, RequestFlags.REVERSE_TUNNEL, 255),
        (True, False, RequestFlags(0), 1),
        (False, True, RequestFlags(0), 1),
    ],
)
def test_a_reverse_tunnel_is_asked_for_where_it_is_offered(
    wanted: bool, offered: bool, flags: RequestFlags, ttl: int
) -> None:
    """RFC 3024, section 0: TTL 255 with T, 1 without."""
    advertisement = foreign_advertisement(flags=ONLY_FOREIGN | AgentFlags.REVERSE_TUNNELLING * offered)
    actions = Mobile(replace(MOBILE, reverse_tunnel=wanted)).at(0.0, advertisement)
    assert request_in(actions).flags == flags
    assert only(SendRegistration, actions).ttl == ttl
    assert ("reverse_tunnel_unavailable" in reported(actions)) is (wanted and not offered)


# Retransmission and its limits


def test_an_unanswered_request_is_repeated_ever_more_rarely_with_new_identifications() -> None:
    """M10: at least a second apart, doubling, no longer than the lifetime."""
    mobile, first = asking_at_a()
    found = list(mobile.let_pass(100.0, hearing=foreign_advertisement("a")))
    assert sent(iter(found), SendRegistration) == [1.0, 3.0, 7.0, 15.0, 31.0, 61.0, 91.0]
    asked = [action.message for _, action in found if isinstance(action, SendRegistration)]
    identifications = [first.identification, *(request.identification for request in asked)]
    assert identifications == sorted(set(identifications))


def test_moves_in_quick_succession_do_not_register_more_than_once_a_second_on_average() -> None:
    """D15: a few moves in a row are not delayed."""
    mobile = Mobile()
    times = []
    for move in range(40):
        now_s = 10 + move / 10
        mobile.at(now_s, LinkUp())
        which = "ab"[move % 2]
        actions = mobile.at(now_s, foreign_advertisement(which))
        times += [now_s] * len(every(SendRegistration, actions))
    assert times[:5] == [10.0, 10.1, 10.2, 10.3, 10.4]
    assert len(times) <= 5 + 4


def test_a_delayed_request_is_sent_as_soon_as_it_may_be() -> None:
    """D15."""
    mobile = Mobile()
    for move in range(7):
        mobile.at(10.0, LinkUp())
        mobile.at(10.0, foreign_advertisement("ab"[move % 2]))
    (first, *_) = sent(mobile.let_pass(13.0), SendRegistration)
    assert first == pytest.approx(11.0)


# The reply


def test_an_accepted_registration_makes_the_agent_the_default_router() -> None:
    """M11: by the MAC of its advertisement."""
    mobile, asked = asking_at_a()
    actions = mobile.grant(0.1, asked)
    assert only(UseForeignAgent, actions) == UseForeignAgent(Neighbour(ACCESS_A.ip, FA_A_MAC))
    assert mobile.node.state is State.REGISTERED


@pytest.mark.parametrize(
    "change",
    [
        {"identification": 1},
        {"home_address": IPv4Address("192.0.2.11")},
        {"signed_with": None},
        {"signed_with": WRONG},
        {"signed_with": replace(MN_HA, spi=999)},
        {"code": ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION, "signed_with": WRONG},
        {"code": 42, "signed_with": None},
    ],
    ids=str,
)
def test_a_reply_that_is_not_provably_an_answer_is_discarded(change: dict[str, object]) -> None:
    """M7."""
    mobile, asked = asking_at_a()
    actions = mobile.grant(0.1, asked, **change)
    assert reported(actions) == ["reply_discarded"]
    assert mobile.node.state is State.REGISTERING
    assert mobile.node.counters["replies_discarded"] == 1


def test_a_doubled_authentication_is_discarded() -> None:
    """M7: exactly one."""
    mobile, asked = asking_at_a()
    reply = reply_to(asked)
    doubled = reply.with_extensions(reply.extensions * 2)
    assert reported(mobile.at(0.1, ReplyHeard(doubled, ACCESS_A.ip, FA_A_MAC))) == ["reply_discarded"]


def test_an_answer_to_an_earlier_request_is_discarded() -> None:
    """M7: the latest counts."""
    mobile, asked = asking_at_a()
    mobile.at(1.5)
    assert "reply_discarded" in reported(mobile.grant(1.6, asked))


def test_the_foreign_agent_must_prove_itself_where_a_key_is_shared() -> None:
    """M7: accepted or denied."""
    mobile, asked = asking_at_a(replace(MOBILE, foreign_agents={ACCESS_A.ip: (MN_FA,)}))
    for code, key in ((ReplyCode.ACCEPTED, MN_HA), (ReplyCode.FOREIGN_ADMINISTRATIVELY_PROHIBITED, None)):
        assert reported(mobile.grant(0.1, asked, code=code, signed_with=key)) == ["reply_discarded"]
    proven = sign(reply_to(asked), AuthenticationKind.MOBILE_FOREIGN, MN_FA)
    assert only(UseForeignAgent, mobile.at(0.2, ReplyHeard(proven, ACCESS_A.ip, FA_A_MAC)))


@pytest.mark.parametrize(("granted_s", "ends_s"), [(20, 20.0), (30, 30.0), (99, 30.0)])
def test_the_lifetime_counts_from_the_request_and_is_no_more_than_asked(granted_s: int, ends_s: float) -> None:
    """M8."""
    mobile, asked = asking_at_a()
    mobile.grant(0.5, asked, lifetime_s=granted_s)
    assert mobile.node.registration is not None
    assert mobile.node.registration.expires_at_s == ends_s


def test_it_registers_again_before_the_lifetime_is_over() -> None:
    """M8."""
    mobile = registered_at_a()
    (renewed, *_) = sent(mobile.let_pass(40.0, hearing=foreign_advertisement("a")), SendRegistration)
    assert 1 < renewed < 31


def test_a_registration_that_nobody_renews_ends() -> None:
    mobile = registered_at_a()
    found = [action for _, action in mobile.let_pass(32.0, hearing=foreign_advertisement("a"))]
    assert "registration_expired" in reported(found)
    assert mobile.node.registration is None


def test_too_long_a_lifetime_is_asked_for_again_as_told() -> None:
    """M9: 69, at once."""
    mobile, asked = asking_at_a()
    actions = mobile.grant(0.1, asked, code=ReplyCode.LIFETIME_TOO_LONG, lifetime_s=12, signed_with=None)
    assert request_in(actions).lifetime_s == 12


def test_a_wrong_clock_follows_the_home_agents() -> None:
    """M9: 133, at once."""
    mobile, asked = asking_at_a()
    told = rejection_identification(asked.identification, UNIX_S + 1000)
    actions = mobile.grant(0.1, asked, code=ReplyCode.IDENTIFICATION_MISMATCH, identification=told, lifetime_s=0)
    assert request_in(actions).identification >> 32 == told >> 32


def test_a_home_agent_that_never_agrees_on_the_time_is_not_flooded() -> None:
    """M9, D15: the second 133 in a row waits for its turn."""
    mobile, asked = asking_at_a()
    again = request_in(mobile.grant(0.1, asked, code=ReplyCode.IDENTIFICATION_MISMATCH, lifetime_s=0))
    actions = mobile.grant(0.2, again, code=ReplyCode.IDENTIFICATION_MISMATCH, lifetime_s=0)
    assert every(SendRegistration, actions) == []


def test_another_home_agents_address_is_taken_over() -> None:
    """M9: 136."""
    mobile, asked = asking_at_a()
    other = IPv4Address("192.0.2.2")
    actions = mobile.grant(0.1, asked, code=ReplyCode.UNKNOWN_HOME_AGENT, home_agent=other, lifetime_s=0)
    assert request_in(actions).home_agent == other


@pytest.mark.parametrize("code", [65, 66, 129, 130])
def test_any_other_denial_is_asked_again_later(code: int) -> None:
    mobile, asked = asking_at_a()
    actions = mobile.grant(0.1, asked, code=code, lifetime_s=0)
    assert every(SendRegistration, actions) == []
    assert mobile.node.counters[f"requests_refused_{code}"] == 1
    assert sent(mobile.let_pass(2.0), SendRegistration) == [1.0]


def test_the_next_care_of_address_is_tried_when_the_agent_denies_one() -> None:
    """D17."""
    mobile, asked = asking_at_a(care_of_addresses=(CARE_OF_A, CARE_OF_B))
    again = request_in(mobile.grant(0.1, asked, code=ReplyCode.INVALID_CARE_OF_ADDRESS, signed_with=None))
    assert again.care_of_address == CARE_OF_B
    last = mobile.grant(0.2, again, code=ReplyCode.INVALID_CARE_OF_ADDRESS, signed_with=None)
    assert every(SendRegistration, last) == []


def test_granted_for_no_time_at_all_is_not_granted() -> None:
    mobile, asked = asking_at_a()
    mobile.grant(0.1, asked, lifetime_s=0)
    assert mobile.node.state is State.REGISTERING


# Agents come and go


def test_an_agent_that_started_anew_is_asked_again() -> None:
    """D10: a lower sequence number in 0..255."""
    mobile = registered_at_a(sequence=40_000)
    assert request_in(mobile.at(2.0, foreign_advertisement("a", sequence=0))).care_of_address == CARE_OF_A


def test_a_sequence_number_that_rolls_over_is_no_new_start() -> None:
    """D10: 256 and above."""
    mobile = registered_at_a(sequence=0xFFFF)
    assert every(SendRegistration, mobile.at(2.0, foreign_advertisement("a", sequence=256))) == []


def test_a_lost_agent_is_replaced_by_one_that_is_still_heard() -> None:
    """D13: at once, without a solicitation."""
    mobile = registered_at_a()
    mobile.at(3.0, foreign_advertisement("b"))
    actions = mobile.at(4.0)
    assert request_in(actions).care_of_address == CARE_OF_B
    assert every(SendSolicitation, actions) == []


def test_a_lost_agent_is_looked_for() -> None:
    """D13."""
    mobile = registered_at_a()
    assert only(SendSolicitation, mobile.at(4.0))
    assert mobile.node.state is State.SEARCHING


def test_an_agent_that_was_missed_for_a_moment_is_not_asked_again() -> None:
    mobile = registered_at_a()
    mobile.at(4.0)
    assert every(SendRegistration, mobile.at(4.5, foreign_advertisement("a"))) == []
    assert mobile.node.state is State.REGISTERED


def test_the_same_link_again_needs_no_new_registration() -> None:
    mobile = registered_at_a()
    mobile.at(2.0, LinkDown())
    mobile.at(2.1, LinkUp())
    assert every(SendRegistration, mobile.at(2.1, foreign_advertisement("a"))) == []
    assert mobile.node.state is State.REGISTERED


def test_an_agent_that_started_anew_while_it_was_not_heard_is_asked_again() -> None:
    """D10: nor after a change of cable."""
    mobile = registered_at_a(sequence=500)
    mobile.at(2.0, LinkUp())
    assert request_in(mobile.at(2.0, foreign_advertisement("a", sequence=3)))


@pytest.mark.parametrize(("mode", "moves"), [("link", False), ("lazy", False), ("prefix", True), ("eager", True)])
def test_another_agent_beside_the_current_one_is_taken_only_where_the_mode_says_so(mode: str, moves: bool) -> None:
    """D13, D14: B has another prefix."""
    mobile = Mobile(replace(MOBILE, movement_detection=mode))
    mobile.grant(0.0, request_in(mobile.at(0.0, foreign_advertisement("a"))))
    assert bool(every(SendRegistration, mobile.at(1.0, foreign_advertisement("b")))) is moves


@pytest.mark.parametrize(("mode", "moves"), [("prefix", False), ("eager", True)])
def test_another_agent_of_the_same_prefix_is_no_move(mode: str, moves: bool) -> None:
    """D13, algorithm 2; without prefix lengths it says nothing either."""
    mobile = Mobile(replace(MOBILE, movement_detection=mode))
    mobile.grant(0.0, request_in(mobile.at(0.0, foreign_advertisement("a"))))
    neighbour = replace(foreign_advertisement("a"), source=IPv4Address("198.51.100.2"), source_mac=STRANGER_MAC)
    assert bool(every(SendRegistration, mobile.at(1.0, neighbour))) is moves
    silent = foreign_advertisement("b", prefix_lengths=None)
    assert bool(every(SendRegistration, mobile.at(2.0, silent))) is moves


@pytest.mark.parametrize("mode", ["lazy", "prefix", "eager"])
def test_the_cable_says_nothing_where_movement_is_detected_otherwise(mode: str) -> None:
    mobile = Mobile(replace(MOBILE, movement_detection=mode))
    assert mobile.at(0.5, LinkDown()) == []
    assert mobile.at(0.6, LinkUp()) == []


def test_of_several_agents_the_one_with_a_reverse_tunnel_is_taken_where_one_is_wanted() -> None:
    mobile = registered_at_a(replace(MOBILE, reverse_tunnel=True))
    mobile.at(3.5, foreign_advertisement("b"))
    without = foreign_advertisement(flags=ONLY_FOREIGN)
    mobile.at(3.6, replace(without, source=IPv4Address("198.51.100.3"), source_mac=STRANGER_MAC))
    assert request_in(mobile.at(4.0)).care_of_address == CARE_OF_B


def test_many_forged_advertisements_do_not_fill_the_memory() -> None:
    mobile = Mobile()
    for number in range(1000):
        forged = replace(foreign_advertisement("a"), source_mac=MacAddress(number.to_bytes(6, "big")))
        mobile.at(0.0, forged)
    assert len(mobile.node.agents.all()) <= 32


# Home


def test_at_home_from_the_start_nothing_is_sent_and_nothing_changed() -> None:
    """G3."""
    mobile = Mobile()
    actions = mobile.at(0.1, home_advertisement())
    assert mobile.node.state is State.HOME
    assert every(SendRegistration, actions) == []
    assert mobile.done == []


def test_leaving_home_silences_arp_before_anything_is_sent() -> None:
    """M11, H12: ARP is off before the request."""
    mobile = Mobile()
    mobile.at(0.1, home_advertisement())
    assert mobile.at(1.0, LinkDown())[0] == LeaveHome()
    mobile.at(1.1, LinkUp())
    mobile.at(1.1, foreign_advertisement("a"))
    assert mobile.done == [LeaveHome()]


def test_return_enables_arp_then_announces_then_deregisters() -> None:
    """D16, H12, M5: lifetime 0, care-of address = home address, straight to the home agent."""
    mobile = registered_at_a()
    mobile.at(5.0, LinkUp())
    actions = mobile.at(5.0, home_advertisement())
    assert [
        type(action) for action in actions if isinstance(action, ReturnHome | AnnounceAddress | SendRegistration)
    ] == [
        ReturnHome,
        AnnounceAddress,
        SendRegistration,
    ]
    assert only(AnnounceAddress, actions) == AnnounceAddress(HOME_ADDRESS, None)
    asked = request_in(actions)
    assert (asked.lifetime_s, asked.care_of_address, asked.flags) == (0, HOME_ADDRESS, RequestFlags(0))
    sending = only(SendRegistration, actions)
    assert (sending.destination, sending.mac, sending.ttl) == (HOME_AGENT, HA_MAC, 64)
    assert mobile.node.state is State.DEREGISTERING


def test_it_is_home_when_the_home_agent_says_so() -> None:
    mobile = registered_at_a()
    mobile.at(5.0, LinkUp())
    asked = request_in(mobile.at(5.0, home_advertisement()))
    mobile.at(5.1, ReplyHeard(reply_to(asked), HOME_AGENT, HA_MAC))
    assert mobile.node.state is State.HOME
    assert mobile.node.registration is None


def test_a_deregistration_is_repeated_until_it_is_answered() -> None:
    mobile = registered_at_a()
    mobile.at(5.0, LinkUp())
    mobile.at(5.0, home_advertisement())
    assert sent(mobile.let_pass(9.0, hearing=home_advertisement()), SendRegistration) == [6.0, 8.0]


def test_a_registration_that_was_never_answered_is_ended_too() -> None:
    """The reply may have been lost, not the request."""
    mobile, _ = asking_at_a()
    mobile.at(0.5, LinkUp())
    assert request_in(mobile.at(0.5, home_advertisement())).lifetime_s == 0


def test_home_again_without_having_asked_anywhere_needs_no_deregistration() -> None:
    mobile = Mobile()
    mobile.at(0.1, home_advertisement())
    mobile.at(1.0, LinkUp())
    actions = mobile.at(1.0, home_advertisement())
    assert only(ReturnHome, actions)
    assert every(SendRegistration, actions) == []


def test_who_was_killed_away_deregisters_when_it_starts_at_home() -> None:
    """ARP is still off: an earlier run may have left a binding."""
    actions = Mobile(left_away=True).at(0.1, home_advertisement())
    assert only(ReturnHome, actions)
    assert request_in(actions).lifetime_s == 0


def test_leaving_again_stops_the_announcements() -> None:
    """M11: no gratuitous ARP on another link."""
    mobile = registered_at_a()
    mobile.at(5.0, LinkUp())
    mobile.at(5.0, home_advertisement())
    mobile.at(5.1, LinkUp())
    mobile.at(5.1, foreign_advertisement("b"))
    assert sent(mobile.let_pass(10.0), AnnounceAddress) == []


def test_an_interrupted_return_registers_anew() -> None:
    """The home agent may have ended the binding: what was granted before is not relied on."""
    mobile = registered_at_a()
    mobile.at(5.0, LinkUp())
    mobile.at(5.0, home_advertisement())
    mobile.at(5.1, LinkUp())
    assert request_in(mobile.at(5.1, foreign_advertisement("a"))).lifetime_s == 30


def test_the_own_home_agent_is_preferred_whatever_else_is_heard() -> None:
    """D16."""
    mobile = registered_at_a()
    assert request_in(mobile.at(2.0, home_advertisement())).lifetime_s == 0


def test_a_strange_home_agent_is_not_home() -> None:
    """D16: it is another's."""
    strange = home_advertisement()
    routers = (replace(strange.advertisement.routers[0], address=IPv4Address("192.0.2.9")),)
    strange = replace(
        strange, source=IPv4Address("192.0.2.9"), advertisement=replace(strange.advertisement, routers=routers)
    )
    mobile = Mobile()
    mobile.at(0.1, strange)
    assert mobile.node.state is State.SEARCHING


# ARP while away


@pytest.mark.parametrize(
    ("heard", "answered"),
    [
        (ArpRequestHeard(ACCESS_A.ip, FA_A_MAC, HOME_ADDRESS, unicast=True), True),
        (ArpRequestHeard(ACCESS_A.ip, FA_A_MAC, HOME_ADDRESS, unicast=False), False),
        (ArpRequestHeard(ACCESS_B.ip, FA_B_MAC, HOME_ADDRESS, unicast=True), False),
        (ArpRequestHeard(ACCESS_A.ip, FA_A_MAC, ACCESS_A.ip, unicast=True), False),
    ],
    ids=["its foreign agent, unicast", "broadcast", "somebody else", "another address"],
)
def test_away_only_a_unicast_request_of_its_foreign_agent_is_answered(heard: ArpRequestHeard, answered: bool) -> None:
    """M11."""
    actions = registered_at_a().at(1.5, heard)
    expected = [AnswerArp(HOME_ADDRESS, Neighbour(ACCESS_A.ip, FA_A_MAC))] if answered else []
    assert every(AnswerArp, actions) == expected


def test_at_home_the_kernel_answers_arp() -> None:
    mobile = Mobile()
    mobile.at(0.1, home_advertisement())
    assert mobile.at(0.2, ArpRequestHeard(HOME_AGENT, HA_MAC, HOME_ADDRESS, unicast=True)) == []


# Changed wishes


def test_a_changed_wish_for_a_reverse_tunnel_is_registered_at_once() -> None:
    mobile = registered_at_a()
    actions = mobile.at(2.0, SettingsChanged(replace(MOBILE, reverse_tunnel=True)))
    assert request_in(actions).flags == RequestFlags.REVERSE_TUNNEL
    assert only(SendRegistration, actions).ttl == 255


def test_at_home_changed_wishes_are_kept_for_later() -> None:
    mobile = Mobile()
    mobile.at(0.1, home_advertisement())
    assert mobile.at(1.0, SettingsChanged(replace(MOBILE, reverse_tunnel=True))) == []
    mobile.at(2.0, LinkUp())
    assert request_in(mobile.at(2.0, foreign_advertisement("a"))).flags == RequestFlags.REVERSE_TUNNEL


def test_back_where_it_was_registered_after_asking_elsewhere_it_registers_again_reply_or_not() -> None:
    mobile = registered_at_a()
    mobile.at(2.0, LinkDown())
    mobile.at(2.0, LinkUp())
    assert request_in(mobile.at(2.0, foreign_advertisement("b"))).care_of_address == CARE_OF_B
    mobile.at(2.1, LinkDown())  # before the reply: the home agent may have moved the binding by now
    mobile.at(2.1, LinkUp())
    assert request_in(mobile.at(2.1, foreign_advertisement("a"))).care_of_address == CARE_OF_A
    assert mobile.node.state is State.REGISTERING
