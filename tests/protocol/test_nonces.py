"""Nonces: replay protection on both sides without clocks (RFC 5944 5.7.2)."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from testbed.protocol.identification import IdentificationVerdict, answers
from testbed.protocol.nonces import NonceIdentifier, NonceReplayProtection, offered_nonce

OK, WRONG = IdentificationVerdict.OK, IdentificationVerdict.WRONG_NONCE
NOW = 1_750_000_000.25
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)


def test_a_request_carries_the_offered_nonce_in_its_high_half() -> None:
    home = NonceReplayProtection()
    assert home.check(0x11111111_22222222, 0x11111111) is OK
    assert home.check(0x11111111_22222222, 0x22222222) is WRONG
    assert home.check(0x11111111_22222222, None) is WRONG
    assert home.check(0x00000000_22222222, None) is WRONG


def test_a_reply_carries_a_new_nonce_and_the_low_half_of_the_request() -> None:
    home = NonceReplayProtection(lambda: 0xABCDEF01)
    reply = home.reply_identification(0x11111111_22222222)
    assert reply == 0xABCDEF01_22222222
    assert offered_nonce(reply) == 0xABCDEF01


@given(uint64, uint64)
def test_a_reply_answers_its_request_and_never_offers_the_same_nonce_again(request: int, entropy: int) -> None:
    reply = NonceReplayProtection(lambda: entropy).reply_identification(request)
    assert answers(reply, request)
    assert offered_nonce(reply) != request >> 32
    assert 0 <= reply < 2**64
    again = NonceReplayProtection(lambda: request >> 32).reply_identification(request)
    assert offered_nonce(again) != request >> 32


@given(uint64)
def test_both_halves_of_a_new_request_differ_from_those_before(entropy: int) -> None:
    mobile, home = NonceIdentifier(lambda: entropy), NonceReplayProtection(lambda: entropy)
    first = mobile.next(NOW)
    mobile.resynchronise(home.reply_identification(first))
    second = mobile.next(NOW)
    assert first >> 32 != second >> 32
    assert first & 0xFFFF_FFFF != second & 0xFFFF_FFFF
    assert mobile.latest == second


def test_one_rejection_brings_the_two_together_and_every_reply_keeps_them_there() -> None:
    mobile, home = NonceIdentifier(), NonceReplayProtection()
    offered: int | None = None
    verdicts = []
    for _ in range(5):
        request = mobile.next(NOW)
        verdicts.append(home.check(request, offered))
        reply = home.reply_identification(request)
        offered = offered_nonce(reply)
        mobile.resynchronise(reply)
    assert verdicts == [WRONG, OK, OK, OK, OK]


def test_a_lost_reply_costs_one_rejection() -> None:
    mobile, home = NonceIdentifier(), NonceReplayProtection()
    mobile.resynchronise(home.reply_identification(mobile.next(NOW)))
    request = mobile.next(NOW)
    offered = offered_nonce(home.reply_identification(request))  # the reply that is lost
    assert home.check(request, offered) is WRONG  # the retransmission, unchanged (M10)
    reply = home.reply_identification(request)
    mobile.resynchronise(reply)
    assert home.check(mobile.next(NOW), offered_nonce(reply)) is OK


@given(st.lists(uint32, min_size=1, max_size=20))
def test_a_captured_request_is_never_accepted_again_while_nonces_are_fresh(lows: list[int]) -> None:
    numbers = count(1)
    home = NonceReplayProtection(lambda: next(numbers))
    offered = 0
    captured = []
    for low in lows:
        request = offered << 32 | low
        assert home.check(request, offered) is OK
        captured.append(request)
        offered = offered_nonce(home.reply_identification(request))
        assert all(home.check(old, offered) is WRONG for old in captured)


def test_the_first_request_has_random_halves() -> None:
    identifications = {NonceIdentifier().next(NOW) for _ in range(8)}
    assert len({identification >> 32 for identification in identifications}) > 1
    assert len({identification & 0xFFFF_FFFF for identification in identifications}) > 1
    assert NonceIdentifier().latest is None
