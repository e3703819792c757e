"""When agents advertise, how often they may, and how deadlines are kept (D3, D8, D9, D11)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agents.actions import AnnounceAddress, SendAdvertisement
from testbed.agents.advertiser import Advertiser
from testbed.agents.announcements import Announcements
from testbed.agents.deadlines import Deadlines, earliest
from testbed.agents.events import SolicitationHeard
from testbed.agents.limits import OncePerInterval, TokenBucket
from testbed.protocol.discovery import AgentAdvertisement, AgentFlags, RouterAddress
from tests.agents.parties import HOME_ADDRESS, HOME_AGENT, MN_MAC, STRANGER_MAC, still

ASKED = SolicitationHeard(HOME_ADDRESS, MN_MAC)


def describe(sequence: int) -> AgentAdvertisement:
    return AgentAdvertisement(3, (RouterAddress(HOME_AGENT),), sequence, 1800, AgentFlags.HOME_AGENT)


def sequences(sent: list[SendAdvertisement]) -> list[int]:
    return [sending.advertisement.sequence for sending in sent]


def test_the_first_advertisement_has_sequence_0_and_each_one_more() -> None:
    """D9, answers to solicitations included."""
    advertiser = Advertiser(1.0, describe, still)
    sent = [advertiser.start(0.0), *advertiser.answer(0.1, ASKED), *advertiser.due(1.0)]
    assert sequences(sent) == [0, 1, 2]


def test_sequence_65535_is_followed_by_256() -> None:
    """D9."""
    advertiser = Advertiser(1.0, describe, still)
    advertiser.start(0.0)
    sent = [*(advertiser.due(float(second)) for second in range(1, 0xFFFF + 2))]
    assert [sequences(one) for one in sent[-2:]] == [[0xFFFF], [256]]


@pytest.mark.parametrize(("random", "next_s"), [(0.0, 1.0), (1.0, 0.75)])
def test_the_interval_is_shortened_a_little_at_random(random: float, next_s: float) -> None:
    """D3: never lengthened, or the lifetime would not cover three of them."""
    advertiser = Advertiser(1.0, describe, lambda: random)
    advertiser.start(0.0)
    assert advertiser.deadline() == next_s


def test_a_pause_of_the_agent_is_not_made_up_for() -> None:
    """D3: one advertisement, not one for every interval that was missed."""
    advertiser = Advertiser(1.0, describe, still)
    advertiser.start(0.0)
    assert len(advertiser.due(100.0)) == 1
    assert advertiser.deadline() == 101.0


def test_who_asks_is_answered_at_once_and_alone() -> None:
    """D2, D8: to its MAC; the regular advertisement keeps its time."""
    advertiser = Advertiser(1.0, describe, still)
    advertiser.start(0.0)
    (sending,) = advertiser.answer(0.3, ASKED)
    assert sending.to is not None
    assert (sending.to.address, sending.to.mac) == (HOME_ADDRESS, MN_MAC)
    assert advertiser.deadline() == 1.0


def test_a_flood_of_solicitations_is_answered_by_one_advertisement_to_all() -> None:
    """D3: the rate is limited, and nobody waits long."""
    advertiser = Advertiser(1.0, describe, still)
    advertiser.start(0.0)
    answers = [answer for _ in range(1000) for answer in advertiser.answer(0.2, ASKED)]
    assert len(answers) == 20
    assert advertiser.answer(0.2, SolicitationHeard(HOME_AGENT, STRANGER_MAC)) == []
    assert advertiser.deadline() == 0.2
    (to_all,) = advertiser.due(0.2)
    assert to_all.to is None


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate_hz=2.0, burst=3)
    assert [bucket.take(0.0) for _ in range(5)] == [True, True, True, False, False]
    assert bucket.ready_at(0.0) == pytest.approx(0.5)
    assert bucket.take(bucket.ready_at(0.0))
    assert sum(bucket.take(10 + step / 100) for step in range(1000)) == 3 + 19


@given(st.lists(st.floats(0.001, 5.0), max_size=50))
def test_a_bucket_that_says_when_it_is_ready_is_ready_then(pauses_s: list[float]) -> None:
    bucket = TokenBucket(rate_hz=1.0, burst=2)
    now_s = 0.0
    for pause_s in pauses_s:
        now_s = bucket.ready_at(now_s)
        assert bucket.take(now_s)
        now_s += pause_s / 10


def test_once_per_interval_holds_for_each_key_of_its_own() -> None:
    limit = OncePerInterval(1.0)
    assert [limit.allows("a", 0.0), limit.allows("a", 0.9), limit.allows("b", 0.9)] == [True, False, True]
    assert limit.allows("a", 1.0)


def test_invented_keys_do_not_fill_the_memory_and_a_second_later_all_is_well() -> None:
    limit = OncePerInterval(1.0, capacity=10)
    assert sum(limit.allows(key, 0.0) for key in range(1000)) == 10
    assert limit.allows("genuine", 1.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100)), max_size=60), st.floats(0, 100))
def test_deadlines_are_those_set_last(settings: list[tuple[int, float]], now_s: float) -> None:
    deadlines: Deadlines[int] = Deadlines()
    expected: dict[int, float] = {}
    for key, at_s in settings:
        deadlines.set(key, at_s)
        expected[key] = at_s
    if 0 in expected:
        deadlines.drop(0)
        del expected[0]
    assert deadlines.next() == min(expected.values(), default=None)
    due = deadlines.due(now_s)
    assert sorted(due) == sorted(key for key, at_s in expected.items() if at_s <= now_s)
    assert [expected[key] for key in due] == sorted(expected[key] for key in due)
    assert deadlines.next() == min((at_s for at_s in expected.values() if at_s > now_s), default=None)


def test_a_deadline_that_is_moved_often_costs_no_memory() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for number in range(10_000):
        deadlines.set("one", float(number))
    assert len(deadlines._heap) < 100
    assert deadlines.due(9999.0) == ["one"]


def test_infinity_is_a_deadline_that_never_comes() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("for ever", math.inf)
    assert deadlines.due(1e12) == []


def test_the_earliest_of_no_deadlines_is_none() -> None:
    assert earliest(None, 3.0, 2.0, None) == 2.0
    assert earliest(None, None) is None


def test_a_new_announcement_replaces_the_repetitions_of_the_old_one() -> None:
    announcements = Announcements()
    announcements.announce(0.0, AnnounceAddress(HOME_ADDRESS))
    announcements.announce(0.5, AnnounceAddress(HOME_ADDRESS, MN_MAC))
    said = [(second, one.mac) for second in (1.0, 1.5, 2.5, 3.5, 4.5) for one in announcements.due(second)]
    assert said == [(1.5, MN_MAC), (2.5, MN_MAC)]
    assert announcements.deadline() is None
