"""Timestamps: their form, and replay protection on both sides (RFC 5944 5.7.1)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.protocol.identification import (
    IdentificationVerdict,
    Identifier,
    TimestampReplayProtection,
    answers,
    ntp_timestamp,
    rejection_identification,
    unix_time,
)

NOW = 1_750_000_000.25
END_OF_NTP_ERA = 2_085_978_496.0  # 2036-02-07 06:28:16 UTC
PROTECTION = TimestampReplayProtection(7.0)
clocks = st.floats(0, 4e9)


def test_a_timestamp_counts_seconds_since_1900_and_a_binary_fraction() -> None:
    assert ntp_timestamp(0.0) == 2_208_988_800 << 32
    assert ntp_timestamp(0.5) == 2_208_988_800 << 32 | 0x8000_0000
    assert ntp_timestamp(END_OF_NTP_ERA) == 0


@given(clocks)
def test_a_timestamp_gives_its_time_back_in_either_era(clock_s: float) -> None:
    assert unix_time(ntp_timestamp(clock_s)) == pytest.approx(clock_s, abs=1e-5)


@pytest.mark.parametrize("clock_s", [NOW, END_OF_NTP_ERA - 1, END_OF_NTP_ERA, END_OF_NTP_ERA + 1])
@pytest.mark.parametrize(
    ("skew_s", "verdict"),
    [
        (0.0, IdentificationVerdict.OK),
        (7.0, IdentificationVerdict.OK),
        (-7.0, IdentificationVerdict.OK),
        (7.01, IdentificationVerdict.TOO_OLD_OR_NEW),
        (-7.01, IdentificationVerdict.TOO_OLD_OR_NEW),
        (86_400.0, IdentificationVerdict.TOO_OLD_OR_NEW),
        (2.0**31, IdentificationVerdict.TOO_OLD_OR_NEW),
    ],
)
def test_a_timestamp_must_be_within_the_tolerance(
    clock_s: float, skew_s: float, verdict: IdentificationVerdict
) -> None:
    assert PROTECTION.check(ntp_timestamp(clock_s + skew_s), clock_s, None) is verdict


@pytest.mark.parametrize("clock_s", [NOW, END_OF_NTP_ERA])
def test_a_timestamp_must_be_greater_than_the_last_accepted(clock_s: float) -> None:
    last = ntp_timestamp(clock_s)
    before, after = (last - 1) % 2**64, last + 1
    assert PROTECTION.check(last, clock_s, last) is IdentificationVerdict.REPLAYED
    assert PROTECTION.check(before, clock_s, last) is IdentificationVerdict.REPLAYED
    assert PROTECTION.check(after, clock_s, last) is IdentificationVerdict.OK


def test_an_old_replay_is_too_old_rather_than_replayed() -> None:
    stamp = ntp_timestamp(NOW - 60)
    assert PROTECTION.check(stamp, NOW, stamp) is IdentificationVerdict.TOO_OLD_OR_NEW


def test_a_rejection_tells_the_home_agents_seconds_and_echoes_the_low_half() -> None:
    request = 0x1111_1111_89AB_CDEF
    rejection = rejection_identification(request, NOW)
    assert rejection >> 32 == ntp_timestamp(NOW) >> 32
    assert rejection & 0xFFFF_FFFF == 0x89AB_CDEF
    assert answers(rejection, request)


def test_a_reply_answers_only_the_request_with_the_same_low_half() -> None:
    assert answers(0xAAAA_AAAA_0000_0001, 0xBBBB_BBBB_0000_0001)
    assert not answers(0xAAAA_AAAA_0000_0001, 0xAAAA_AAAA_0000_0002)


@given(st.lists(clocks, min_size=2, max_size=20), st.integers(0, 0x3FF))
def test_stamps_only_grow_even_if_the_clock_stands_or_steps_back(readings: list[float], entropy: int) -> None:
    identifier = Identifier(lambda: entropy)
    stamps = [identifier.next(reading) for reading in sorted(readings, reverse=True)]
    assert all((later - earlier) % 2**64 < 2**63 for earlier, later in pairwise(stamps))
    assert len(set(stamps)) == len(stamps)
    assert identifier.latest == stamps[-1]


@given(clocks)
def test_a_stamp_is_the_time_to_a_microsecond(clock_s: float) -> None:
    assert unix_time(Identifier().next(clock_s)) == pytest.approx(clock_s, abs=1e-5)


def test_bits_that_a_clock_does_not_have_are_random() -> None:
    lows = {Identifier().next(NOW) & 0x3FF for _ in range(64)}
    assert len(lows) > 1


@given(st.floats(1e9, 2e9), st.floats(-1e8, 1e8), st.floats(0, 1))
def test_after_one_rejection_the_next_stamp_is_accepted_however_wrong_the_clock(
    clock_s: float, skew_s: float, round_trip_s: float
) -> None:
    identifier = Identifier()
    request = identifier.next(clock_s + skew_s)
    if PROTECTION.check(request, clock_s, None) is IdentificationVerdict.OK:
        return
    identifier.resynchronise(rejection_identification(request, clock_s + round_trip_s / 2))
    again = identifier.next(clock_s + skew_s + round_trip_s)
    assert PROTECTION.check(again, clock_s + round_trip_s * 1.5, None) is IdentificationVerdict.OK


def test_one_rejection_mends_each_step_of_the_own_clock() -> None:
    identifier = Identifier()
    last_accepted = None
    for minute, skew_s in enumerate((0.0, 3600.0, -3600.0, 86_400.0, -86_400.0, 0.0)):
        home_clock_s = NOW + 60 * minute
        request = identifier.next(home_clock_s + skew_s)
        if PROTECTION.check(request, home_clock_s, last_accepted) is not IdentificationVerdict.OK:
            identifier.resynchronise(rejection_identification(request, home_clock_s))
            request = identifier.next(home_clock_s + skew_s)
        assert PROTECTION.check(request, home_clock_s, last_accepted) is IdentificationVerdict.OK
        last_accepted = request


def test_resynchronising_forward_never_goes_back() -> None:
    identifier = Identifier(lambda: 0)
    request = identifier.next(NOW)
    identifier.resynchronise(rejection_identification(request, NOW))
    assert identifier.next(NOW) > request


def test_a_rejection_before_any_request_changes_nothing() -> None:
    identifier = Identifier(lambda: 0)
    identifier.resynchronise(ntp_timestamp(NOW + 3600))
    assert identifier.next(NOW) == ntp_timestamp(NOW) & ~0x3FF
