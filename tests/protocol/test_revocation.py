"""Revocations and acknowledgements: layout, authentication, and the order in which they must come (RFC 3543)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import AuthenticationError, DecodeError, EncodeError
from testbed.protocol.authentication import SecurityAssociation, sign, verify
from testbed.protocol.extensions import AuthenticationExtension, AuthenticationKind
from testbed.protocol.identification import ntp_timestamp
from testbed.protocol.registration import decode_message
from testbed.protocol.revocation import AcknowledgementFlags, Revocation, RevocationAcknowledgement, RevocationFlags
from testbed.protocol.revocation_order import RevocationReplayProtection, RevocationStamps, RevocationVerdict

from . import extension_strategies

HOME, HOME_AGENT, CARE_OF = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1"), IPv4Address("198.51.100.66")
ASSOCIATION = SecurityAssociation(0x100, bytes(range(1, 17)))
FOREIGN_HOME = AuthenticationKind.FOREIGN_HOME
BOTH_FLAGS = RevocationFlags.FROM_HOME_AGENT | RevocationFlags.INFORM
IDENTIFIER = 0xEC000001
REVOCATION = Revocation(BOTH_FLAGS, HOME, HOME_AGENT, CARE_OF, IDENTIFIER)
REVOCATION_OCTETS = bytes.fromhex("0700c000c000020ac0000201c6336442ec000001")
ACKNOWLEDGEMENT_OCTETS = bytes.fromhex("0f008000c000020aec000001")
NOW = 1_750_000_000.25


def revocation(identifier: int, flags: RevocationFlags = RevocationFlags.FROM_HOME_AGENT) -> Revocation:
    return Revocation(flags, HOME, HOME_AGENT, CARE_OF, identifier)


def test_a_revocation_is_laid_out_as_in_the_rfc() -> None:
    assert REVOCATION.encode() == REVOCATION_OCTETS
    assert decode_message(REVOCATION_OCTETS) == REVOCATION


def test_an_acknowledgement_is_laid_out_as_in_the_rfc_and_names_its_revocation() -> None:
    acknowledgement = REVOCATION.acknowledgement(informed=True)
    assert acknowledgement.encode() == ACKNOWLEDGEMENT_OCTETS
    assert decode_message(ACKNOWLEDGEMENT_OCTETS) == acknowledgement
    assert acknowledgement.acknowledges(REVOCATION)
    assert REVOCATION.acknowledgement().flags == 0


def test_an_acknowledgement_of_another_revocation_or_node_does_not_count() -> None:
    other_node = Revocation(BOTH_FLAGS, HOME_AGENT, HOME_AGENT, CARE_OF, IDENTIFIER)
    acknowledgement = REVOCATION.acknowledgement()
    assert not acknowledgement.acknowledges(revocation(IDENTIFIER + 1))
    assert not acknowledgement.acknowledges(other_node)


def test_reserved_fields_are_no_error_and_are_kept() -> None:
    for octets in (b"\x07\xff\xff\xff" + REVOCATION_OCTETS[4:], b"\x0f\xff\xff\xff" + ACKNOWLEDGEMENT_OCTETS[4:]):
        assert decode_message(octets).encode() == octets


@pytest.mark.parametrize("octets", [REVOCATION_OCTETS, ACKNOWLEDGEMENT_OCTETS])
def test_a_message_shorter_than_its_fixed_part_is_an_error(octets: bytes) -> None:
    for length in range(1, len(octets)):
        with pytest.raises(DecodeError, match=f"has {length} bytes, expected at least {len(octets)}"):
            decode_message(octets[:length])


def test_one_message_is_not_read_as_the_other() -> None:
    with pytest.raises(DecodeError, match=r"type is 7, expected 15 \(revocation acknowledgement\)"):
        RevocationAcknowledgement.decode(REVOCATION_OCTETS)
    with pytest.raises(DecodeError, match=r"type is 15, expected 7 \(revocation\)"):
        Revocation.decode(ACKNOWLEDGEMENT_OCTETS + bytes(8))


@pytest.mark.parametrize(
    "build",
    [
        lambda: Revocation(RevocationFlags(0x10000), HOME, HOME_AGENT, CARE_OF, 0),
        lambda: Revocation(RevocationFlags(0), HOME, HOME_AGENT, CARE_OF, 2**32),
        lambda: Revocation(RevocationFlags(0), HOME, HOME_AGENT, CARE_OF, 0, (), 256),
        lambda: RevocationAcknowledgement(AcknowledgementFlags(0x10000), HOME, 0),
        lambda: RevocationAcknowledgement(AcknowledgementFlags(0), HOME, -1),
        lambda: RevocationAcknowledgement(AcknowledgementFlags(0), HOME, 0, (), 256),
    ],
)
def test_a_message_that_cannot_be_written_cannot_be_made(build: Callable[[], object]) -> None:
    with pytest.raises(EncodeError):
        build()


def test_both_are_signed_and_verified_like_any_message_with_the_known_answers() -> None:
    for message, octets, authenticator in (
        (REVOCATION, REVOCATION_OCTETS, "369527a1e3240cf0f944f883a9be532c"),
        (REVOCATION.acknowledgement(informed=True), ACKNOWLEDGEMENT_OCTETS, "8b0c9d44b78e5f3011bfb43e8de8dc4e"),
    ):
        signed = sign(message, FOREIGN_HOME, ASSOCIATION)
        assert signed.encode() == octets + bytes.fromhex("221400000100" + authenticator)
        verify(signed, FOREIGN_HOME, ASSOCIATION)


@given(st.one_of(extension_strategies.revocations, extension_strategies.acknowledgements))
def test_what_was_signed_verifies_after_the_wire(message: Revocation | RevocationAcknowledgement) -> None:
    others = tuple(extension for extension in message.extensions if not isinstance(extension, AuthenticationExtension))
    signed = decode_message(sign(message.with_extensions(others), FOREIGN_HOME, ASSOCIATION).encode())
    assert isinstance(signed, Revocation | RevocationAcknowledgement)
    verify(signed, FOREIGN_HOME, ASSOCIATION)


@pytest.mark.parametrize("message", [REVOCATION, REVOCATION.acknowledgement()])
def test_every_single_bit_is_protected(message: Revocation | RevocationAcknowledgement) -> None:
    signed = sign(message, FOREIGN_HOME, ASSOCIATION).encode()
    read = 0
    for bit in range(8, 8 * len(signed)):
        changed = bytearray(signed)
        changed[bit // 8] ^= 0x80 >> bit % 8
        try:
            damaged = type(message).decode(bytes(changed))
        except DecodeError:
            continue
        read += 1
        with pytest.raises(AuthenticationError):
            verify(damaged, FOREIGN_HOME, ASSOCIATION)
    assert read > 8 * 24


@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=20))
def test_stamps_only_grow_even_if_the_clock_stands_or_steps_back(readings: list[float]) -> None:
    stamps = RevocationStamps()
    given_out = [stamps.next(reading) for reading in sorted(readings, reverse=True)]
    assert all(0 < (later - earlier) % 2**32 < 2**31 for earlier, later in pairwise(given_out))


def test_a_stamp_is_the_time_in_seconds_where_the_second_is_free() -> None:
    stamps = RevocationStamps()
    assert stamps.next(NOW) == ntp_timestamp(NOW) >> 32
    assert stamps.next(NOW) == (ntp_timestamp(NOW) >> 32) + 1
    assert stamps.next(NOW + 60) == ntp_timestamp(NOW + 60) >> 32


@pytest.mark.parametrize("timestamp", [1000, 2**32 - 1, 2**31 - 1, 0])
def test_a_revocation_is_newer_than_the_registration(timestamp: int) -> None:
    foreign_agent = RevocationReplayProtection(is_home_agent=False)
    foreign_agent.registered(timestamp)
    for difference, verdict in (
        (-1, RevocationVerdict.REPLAYED),
        (0, RevocationVerdict.REPLAYED),
        (1, RevocationVerdict.OK),
        (3600, RevocationVerdict.OK),
    ):
        assert foreign_agent.check(revocation((timestamp + difference) % 2**32)) is verdict


def test_a_revocation_is_followed_once_and_its_retransmission_has_a_new_identifier() -> None:
    stamps, foreign_agent = RevocationStamps(), RevocationReplayProtection(is_home_agent=False)
    foreign_agent.registered(stamps.next(NOW))
    first = revocation(stamps.next(NOW))
    assert foreign_agent.check(first) is RevocationVerdict.OK
    assert foreign_agent.check(first) is RevocationVerdict.OK  # checking changes nothing
    foreign_agent.accept(first)
    assert foreign_agent.check(first) is RevocationVerdict.REPLAYED
    assert foreign_agent.check(revocation(stamps.next(NOW))) is RevocationVerdict.OK


def test_a_revocation_from_an_earlier_registration_is_a_replay() -> None:
    stamps, foreign_agent = RevocationStamps(), RevocationReplayProtection(is_home_agent=False)
    foreign_agent.registered(stamps.next(NOW))
    captured = revocation(stamps.next(NOW))
    foreign_agent.registered(stamps.next(NOW + 30))
    assert foreign_agent.check(captured) is RevocationVerdict.REPLAYED


@pytest.mark.parametrize("is_home_agent", [True, False])
def test_the_a_bit_tells_a_reflected_revocation(is_home_agent: bool) -> None:
    receiver = RevocationReplayProtection(is_home_agent=is_home_agent)
    receiver.registered(1)
    from_home_agent = receiver.check(revocation(2, RevocationFlags.FROM_HOME_AGENT))
    from_foreign_agent = receiver.check(revocation(2, RevocationFlags.INFORM))
    own, others = (from_home_agent, from_foreign_agent) if is_home_agent else (from_foreign_agent, from_home_agent)
    assert (own, others) == (RevocationVerdict.REFLECTED, RevocationVerdict.OK)


def test_a_revocation_without_support_in_the_registration_is_unexpected() -> None:
    receiver = RevocationReplayProtection(is_home_agent=False)
    assert receiver.check(revocation(1)) is RevocationVerdict.UNEXPECTED
