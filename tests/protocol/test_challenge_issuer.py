"""Which challenges count, for whom and how often (RFC 4721 2.1, 3.2; rule D19)."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from testbed.errors import EncodeError
from testbed.protocol.challenge_issuer import CHALLENGE_WINDOW, ChallengeIssuer, ChallengeVerdict

OK, UNKNOWN, STALE = ChallengeVerdict.OK, ChallengeVerdict.UNKNOWN, ChallengeVerdict.STALE


def issuer(window: int = CHALLENGE_WINDOW, capacity: int = 1024) -> ChallengeIssuer:
    """One whose challenges are numbers, so that a failure can be read."""
    numbers = count(1)
    return ChallengeIssuer(
        window, length=4, capacity=capacity, entropy=lambda length: next(numbers).to_bytes(length, "big")
    )


def test_each_unsolicited_advertisement_has_a_new_challenge_and_a_solicited_one_repeats_the_last() -> None:
    agent = issuer()
    first = agent.advertise(solicited=True)
    assert agent.advertise(solicited=True) == first
    second = agent.advertise()
    assert second != first
    assert agent.advertise(solicited=True) == second


def test_the_last_two_advertised_challenges_count() -> None:
    agent = issuer()
    first, second, third = (agent.advertise() for _ in range(3))
    assert [agent.check("mn", challenge) for challenge in (first, second, third)] == [UNKNOWN, OK, OK]


@pytest.mark.parametrize("window", [1, 2, 5])
def test_as_many_count_as_the_window_is_wide(window: int) -> None:
    agent = issuer(window)
    verdicts = [agent.check("mn", challenge) for challenge in [agent.advertise() for _ in range(8)]]
    assert verdicts == [UNKNOWN] * (8 - window) + [OK] * window


def test_solicitations_do_not_wear_out_the_window() -> None:
    agent = issuer()
    first = agent.advertise()
    for _ in range(10):
        agent.advertise(solicited=True)
    assert agent.check("mn", first) is OK


def test_a_challenge_is_used_once_by_a_node_and_once_by_another() -> None:
    agent = issuer()
    challenge = agent.advertise()
    agent.use("mn", challenge)
    assert agent.check("mn", challenge) is STALE
    assert agent.check("other", challenge) is OK


def test_a_challenge_older_than_the_last_used_one_is_stale() -> None:
    agent = issuer()
    older, newer = agent.advertise(), agent.advertise()
    agent.use("mn", newer)
    assert agent.check("mn", older) is STALE
    assert agent.check("mn", agent.advertise()) is OK


def test_checking_changes_nothing() -> None:
    agent = issuer()
    challenge = agent.advertise()
    assert [agent.check("mn", challenge) for _ in range(3)] == [OK] * 3


def test_an_offer_is_repeated_until_it_is_used_and_counts_for_its_node_alone() -> None:
    agent = issuer()
    offered = agent.offer("mn")
    assert agent.offer("mn") == offered
    assert agent.offer("other") != offered
    assert agent.check("other", offered) is UNKNOWN
    assert agent.check("mn", offered) is OK
    agent.use("mn", offered)
    assert agent.check("mn", offered) is STALE
    assert agent.offer("mn") != offered


def test_an_offer_does_not_wear_out_with_the_window() -> None:
    agent = issuer()
    offered = agent.offer("mn")
    for _ in range(10):
        agent.advertise()
    assert agent.check("mn", offered) is OK


def test_an_offer_from_before_the_last_used_challenge_no_longer_counts() -> None:
    agent = issuer()
    offered, newer = agent.offer("mn"), agent.advertise()
    agent.use("mn", newer)
    assert agent.check("mn", offered) is not OK
    assert agent.check("mn", agent.offer("mn")) is OK


def test_an_offer_from_after_the_last_used_challenge_goes_on_counting() -> None:
    agent = issuer()
    older = agent.advertise()
    offered = agent.offer("mn")
    agent.use("mn", older)
    assert agent.check("mn", offered) is OK


def test_a_node_that_was_forgotten_still_cannot_use_a_challenge_twice() -> None:
    agent = issuer()
    challenge, offered = agent.advertise(), agent.offer("mn")
    agent.use("mn", challenge)
    agent.forget("mn")
    assert agent.check("mn", challenge) is STALE
    assert agent.check("mn", offered) is UNKNOWN


def test_a_challenge_of_nobody_is_unknown_and_using_it_changes_nothing() -> None:
    agent = issuer()
    challenge = agent.advertise()
    agent.use("mn", b"made up")
    assert agent.check("mn", b"made up") is UNKNOWN
    assert agent.check("mn", challenge) is OK


def test_past_its_capacity_the_oldest_offer_goes() -> None:
    agent = issuer(capacity=2)
    offers = {node: agent.offer(node) for node in ("a", "b")}
    agent.offer("a")  # was asked for last
    offers["c"] = agent.offer("c")
    assert {node: agent.check(node, offer) for node, offer in offers.items()} == {"a": OK, "b": UNKNOWN, "c": OK}


def test_past_its_capacity_no_challenge_can_be_used_twice() -> None:
    agent = issuer(capacity=2)
    first, second = agent.advertise(), agent.advertise()
    agent.use("a", first)
    agent.use("b", second)
    agent.use("c", second)
    assert agent.check("a", first) is UNKNOWN
    assert agent.check("b", second) is STALE
    assert agent.check("a", second) is OK


@pytest.mark.parametrize("number", [0, -1])
def test_a_window_and_a_capacity_hold_at_least_one(number: int) -> None:
    with pytest.raises(EncodeError, match="expected 1 and more"):
        ChallengeIssuer(number)
    with pytest.raises(EncodeError, match="expected 1 and more"):
        ChallengeIssuer(capacity=number)


@pytest.mark.parametrize("length", [0, 3, 256])
def test_challenges_have_at_least_four_bytes_and_fit_an_extension(length: int) -> None:
    with pytest.raises(EncodeError, match=r"expected 4\.\.255"):
        ChallengeIssuer(length=length)


@given(st.integers(4, 255))
def test_challenges_have_the_length_that_was_asked_for(length: int) -> None:
    assert len(ChallengeIssuer(length=length).advertise()) == length


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Whatever happens, a node uses no challenge twice and none older than its last, and memory is bounded."""

    capacity = 3

    def __init__(self) -> None:
        super().__init__()
        self.agent = issuer(capacity=self.capacity)
        self.issued: list[bytes] = []
        self.used: dict[int, int] = {}

    nodes = st.integers(0, 5)

    @rule(solicited=st.booleans())
    def advertise(self, solicited: bool) -> None:
        self._note(self.agent.advertise(solicited=solicited))

    @rule(node=nodes)
    def offer(self, node: int) -> None:
        offered = self.agent.offer(node)
        self._note(offered)
        assert self.agent.check(node, offered) is OK

    @rule(node=nodes, back=st.integers(1, 6))
    def answer(self, node: int, back: int) -> None:
        if back > len(self.issued):
            return
        challenge = self.issued[-back]
        if self.agent.check(node, challenge) is OK:
            position = self.issued.index(challenge)
            assert position > self.used.get(node, -1)
            self.used[node] = position
            self.agent.use(node, challenge)
            assert self.agent.check(node, challenge) is not OK

    @rule(node=nodes)
    def forget(self, node: int) -> None:
        self.agent.forget(node)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.agent._offered) <= self.capacity
        assert len(self.agent._last_used) <= self.capacity

    def _note(self, challenge: bytes) -> None:
        if challenge not in self.issued:
            self.issued.append(challenge)


TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
