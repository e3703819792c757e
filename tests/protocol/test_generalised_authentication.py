"""Mobile-AAA authentication: known answers, what it covers, and every way in which it can be wrong (RFC 4721 6, 8).

The known answers were computed by md5sum and openssl from the bytes that the RFC names.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import AuthenticationError, DecodeError, EncodeError
from testbed.protocol.authentication import Algorithm, SecurityAssociation, sign, verify
from testbed.protocol.challenge import Challenge
from testbed.protocol.extensions import AuthenticationKind, RawExtension
from testbed.protocol.generalised_authentication import (
    CHAP_SPI,
    ChallengeAssociation,
    GeneralisedAuthentication,
    GeneralisedAuthenticationSubtype,
    mobile_aaa_authentication,
    sign_mobile_aaa,
    verify_mobile_aaa,
)
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, decode_message

from . import extension_strategies, strategies

KEY = bytes(range(1, 17))
REQUEST_OCTETS = bytes.fromhex("010207080a01000a0a0100010a020001e000000012345678")
REQUEST = RegistrationRequest.decode(REQUEST_OCTETS)
HMAC = SecurityAssociation(0x100, KEY)
KEYED = SecurityAssociation(0x101, KEY, Algorithm.KEYED_MD5)
CHAP = ChallengeAssociation(KEY)
CHALLENGE = Challenge(bytes.fromhex("00112233445566778899aabbccddeeff"))
CHALLENGED = REQUEST.with_extensions((CHALLENGE,))

associations = st.builds(
    SecurityAssociation,
    spi=st.integers(256, 2**32 - 1),
    key=st.binary(min_size=1, max_size=100),
    algorithm=st.sampled_from(Algorithm),
)


@pytest.mark.parametrize(
    ("association", "extension"),
    [
        (HMAC, "2401001400000100" + "88f3603f194081160ca26b0c9bbc0172"),
        (KEYED, "2401001400000101" + "3614074b0605d3cced7f17913a271a7a"),
    ],
)
def test_an_ordinary_security_association_gives_the_known_answer(
    association: SecurityAssociation, extension: str
) -> None:
    assert sign_mobile_aaa(REQUEST, association).encode() == REQUEST_OCTETS + bytes.fromhex(extension)


@pytest.mark.parametrize(
    ("challenge", "authenticator"),
    [
        (CHALLENGE.challenge, "3a077a8a8e753eb112e65f9eb58b3847"),
        (bytes(range(255)), "004e3c59a9264b60433c1fe8ae09e0c6"),
    ],
)
def test_the_reserved_spi_2_gives_the_known_answer(challenge: bytes, authenticator: str) -> None:
    signed = sign_mobile_aaa(REQUEST.with_extensions((Challenge(challenge),)), CHAP)
    assert signed.encode() == REQUEST_OCTETS + Challenge(challenge).encode() + bytes.fromhex(
        "2401001400000002" + authenticator
    )


@given(strategies.messages, associations)
def test_what_was_signed_verifies_after_the_wire(
    message: RegistrationRequest | RegistrationReply, association: SecurityAssociation
) -> None:
    signed = decode_message(sign_mobile_aaa(message, association).encode())
    assert isinstance(signed, RegistrationRequest | RegistrationReply)
    verify_mobile_aaa(signed, association)


@given(strategies.messages, st.binary(min_size=1, max_size=255), st.binary(min_size=1, max_size=40))
def test_what_was_signed_with_a_challenge_verifies_after_the_wire(
    message: RegistrationRequest | RegistrationReply, challenge: bytes, key: bytes
) -> None:
    challenged = message.with_extensions((*message.extensions, Challenge(challenge)))
    signed = decode_message(sign_mobile_aaa(challenged, ChallengeAssociation(key)).encode())
    assert isinstance(signed, RegistrationRequest | RegistrationReply)
    verify_mobile_aaa(signed, ChallengeAssociation(key))


@pytest.mark.parametrize("association", [HMAC, KEYED, CHAP])
def test_every_single_bit_up_to_the_end_of_the_authenticator_is_protected(
    association: SecurityAssociation | ChallengeAssociation,
) -> None:
    signed = sign_mobile_aaa(CHALLENGED, association).encode()
    read = 0
    for bit in range(8 * len(signed)):
        changed = bytearray(signed)
        changed[bit // 8] ^= 0x80 >> bit % 8
        try:
            message = RegistrationRequest.decode(bytes(changed))
        except DecodeError:
            continue
        read += 1
        with pytest.raises(AuthenticationError):
            verify_mobile_aaa(message, association)
    assert read > 8 * 40


def test_extensions_behind_it_are_not_covered_and_other_authentications_cover_it() -> None:
    signed = sign(sign_mobile_aaa(CHALLENGED, CHAP), AuthenticationKind.MOBILE_HOME, HMAC)
    longer = signed.with_extensions((*signed.extensions, RawExtension(200, b"later"), Challenge(b"next")))
    verify_mobile_aaa(longer, CHAP)
    verify(longer, AuthenticationKind.MOBILE_HOME, HMAC)
    without = signed.with_extensions((CHALLENGE, signed.extensions[-1]))
    with pytest.raises(AuthenticationError, match="wrong"):
        verify(without, AuthenticationKind.MOBILE_HOME, HMAC)


@pytest.mark.parametrize("challenges", [(), (CHALLENGE, CHALLENGE)])
def test_spi_2_needs_exactly_one_challenge(challenges: tuple[Challenge, ...]) -> None:
    message = REQUEST.with_extensions(challenges)
    with pytest.raises(EncodeError, match=f"{len(challenges)} challenges"):
        sign_mobile_aaa(message, CHAP)
    forged = GeneralisedAuthentication(GeneralisedAuthenticationSubtype.MOBILE_AAA, CHAP_SPI, bytes(16))
    with pytest.raises(AuthenticationError, match=f"{len(challenges)} challenges before"):
        verify_mobile_aaa(message.with_extensions((*challenges, forged)), CHAP)


def test_the_challenge_stands_before_the_authentication() -> None:
    signed = sign_mobile_aaa(CHALLENGED, CHAP)
    with pytest.raises(AuthenticationError, match="0 challenges before"):
        verify_mobile_aaa(signed.with_extensions(signed.extensions[::-1]), CHAP)


def test_there_is_exactly_one() -> None:
    signed = sign_mobile_aaa(REQUEST, HMAC)
    assert mobile_aaa_authentication(signed) == signed.extensions[0]
    with pytest.raises(EncodeError, match="already has"):
        sign_mobile_aaa(signed, HMAC)
    for number in (0, 2):
        with pytest.raises(AuthenticationError, match=f"has {number} mobile-AAA .* expected exactly one"):
            verify_mobile_aaa(signed.with_extensions(signed.extensions * number), HMAC)


@pytest.mark.parametrize(
    ("signer", "verifier", "reason"),
    [
        (HMAC, SecurityAssociation(0x100, KEY[:-1] + b"\x11"), "authenticator is wrong"),
        (HMAC, SecurityAssociation(0x100, KEY, Algorithm.KEYED_MD5), "authenticator is wrong"),
        (HMAC, KEYED, "has SPI 256, expected 257"),
        (HMAC, CHAP, "has SPI 256, expected 2"),
        (CHAP, HMAC, "has SPI 2, expected 256"),
        (CHAP, ChallengeAssociation(b"other"), "authenticator is wrong"),
    ],
)
def test_another_key_algorithm_or_spi_does_not_verify(
    signer: SecurityAssociation | ChallengeAssociation,
    verifier: SecurityAssociation | ChallengeAssociation,
    reason: str,
) -> None:
    with pytest.raises(AuthenticationError, match=reason):
        verify_mobile_aaa(sign_mobile_aaa(CHALLENGED, signer), verifier)


def test_an_authenticator_of_another_length_does_not_verify() -> None:
    signed = sign_mobile_aaa(REQUEST, HMAC)
    right = mobile_aaa_authentication(signed)
    for length in (0, 15, 17):
        authenticator = (right.authenticator * 2)[:length]
        other = GeneralisedAuthentication(right.subtype, right.spi, authenticator)
        with pytest.raises(AuthenticationError, match="wrong"):
            verify_mobile_aaa(REQUEST.with_extensions((other,)), HMAC)


@given(extension_strategies.authenticated_messages)
def test_no_message_that_was_not_signed_verifies(message: RegistrationRequest) -> None:
    for association in (HMAC, KEYED, CHAP):
        with pytest.raises(AuthenticationError):
            verify_mobile_aaa(message, association)


def test_a_challenge_association_has_a_key_and_does_not_show_it() -> None:
    with pytest.raises(EncodeError, match=r"key .* is empty"):
        ChallengeAssociation(b"")
    assert "secret" not in repr(ChallengeAssociation(b"secret"))
