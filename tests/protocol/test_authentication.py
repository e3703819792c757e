"""Authenticators: known answers, what they cover, and every way in which they can be wrong (RFC 5944 3.5)."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import AuthenticationError, DecodeError, EncodeError
from testbed.protocol.authentication import (
    Algorithm,
    SecurityAssociation,
    authentication_extensions,
    before_authentication,
    compute_authenticator,
    sign,
    verify,
    without_extensions_after,
)
from testbed.protocol.extensions import AuthenticationExtension, AuthenticationKind, Padding, RawExtension
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, ReplyCode, decode_message

from . import strategies

MOBILE_HOME, MOBILE_FOREIGN, FOREIGN_HOME = AuthenticationKind
KEY = bytes(range(1, 17))
REQUEST_OCTETS = bytes.fromhex("010207080a01000a0a0100010a020001e000000012345678")
REQUEST = RegistrationRequest.decode(REQUEST_OCTETS)
HMAC = SecurityAssociation(0x100, KEY)
KEYED = SecurityAssociation(0x101, KEY, Algorithm.KEYED_MD5)
associations = st.builds(
    SecurityAssociation,
    spi=st.integers(256, 2**32 - 1),
    key=st.binary(min_size=1, max_size=100),
    algorithm=st.sampled_from(Algorithm),
)


def test_hmac_md5_gives_the_known_answer() -> None:
    assert sign(REQUEST, MOBILE_HOME, HMAC).encode() == REQUEST_OCTETS + bytes.fromhex(
        "201400000100be45574e67131c3f0f0eba2e39487b22"
    )


def test_keyed_md5_gives_the_known_answer() -> None:
    assert sign(REQUEST, MOBILE_HOME, KEYED).encode() == REQUEST_OCTETS + bytes.fromhex(
        "201400000101df99e05d4a5c93f7a2d5752f10c638a4"
    )


def test_keyed_md5_gives_the_second_known_answer() -> None:
    protected = bytes.fromhex("0100002881927acc81927abf8192c90900000000e4a85fcb201400000001")
    authenticator = compute_authenticator(Algorithm.KEYED_MD5, b"\x11" * 16, protected)
    assert authenticator.hex() == "cb3fd7040b4ce8823a3d20175e44544f"


@given(strategies.messages, st.sampled_from(AuthenticationKind), associations)
def test_what_was_signed_verifies_after_the_wire(
    message: RegistrationRequest | RegistrationReply, kind: AuthenticationKind, association: SecurityAssociation
) -> None:
    others = tuple(
        extension
        for extension in message.extensions
        if not (isinstance(extension, AuthenticationExtension) and extension.kind == kind)
    )
    signed = decode_message(sign(message.with_extensions(others), kind, association).encode())
    assert isinstance(signed, RegistrationRequest | RegistrationReply)
    verify(signed, kind, association)


def test_every_single_bit_up_to_the_end_of_the_authenticator_is_protected() -> None:
    signed = sign(REQUEST.with_extensions((RawExtension(200, b"abc"), Padding())), MOBILE_HOME, HMAC).encode()
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
            verify(message, MOBILE_HOME, HMAC)
    assert read > 8 * 24


def test_extensions_behind_the_authentication_are_not_covered() -> None:
    signed = sign(REQUEST, MOBILE_HOME, HMAC)
    verify(signed.with_extensions((*signed.extensions, RawExtension(200, b"by the foreign agent"))), MOBILE_HOME, HMAC)


def test_each_of_three_authentications_covers_those_before_it() -> None:
    mobile_foreign, foreign_home = SecurityAssociation(300, b"a"), SecurityAssociation(400, b"b")
    signed = sign(sign(sign(REQUEST, MOBILE_HOME, HMAC), MOBILE_FOREIGN, mobile_foreign), FOREIGN_HOME, foreign_home)
    verify(signed, MOBILE_HOME, HMAC)
    verify(signed, MOBILE_FOREIGN, mobile_foreign)
    verify(signed, FOREIGN_HOME, foreign_home)
    without_first = signed.with_extensions(signed.extensions[1:])
    with pytest.raises(AuthenticationError, match="the mobile-foreign authenticator is wrong"):
        verify(without_first, MOBILE_FOREIGN, mobile_foreign)


def test_a_missing_extension_does_not_verify() -> None:
    with pytest.raises(AuthenticationError, match="0 mobile-home authentication extensions, expected exactly one"):
        verify(REQUEST, MOBILE_HOME, HMAC)


def test_a_doubled_extension_does_not_verify_even_if_the_first_is_right() -> None:
    signed = sign(REQUEST, MOBILE_HOME, HMAC)
    doubled = signed.with_extensions(signed.extensions * 2)
    assert len(authentication_extensions(doubled, MOBILE_HOME)) == 2
    with pytest.raises(AuthenticationError, match="2 mobile-home authentication extensions"):
        verify(doubled, MOBILE_HOME, HMAC)


def test_an_extension_of_another_kind_does_not_stand_in() -> None:
    with pytest.raises(AuthenticationError, match="0 mobile-home"):
        verify(sign(REQUEST, FOREIGN_HOME, HMAC), MOBILE_HOME, HMAC)


def test_another_spi_does_not_verify_even_with_the_same_key() -> None:
    with pytest.raises(AuthenticationError, match="has SPI 256, expected 257"):
        verify(sign(REQUEST, MOBILE_HOME, HMAC), MOBILE_HOME, SecurityAssociation(0x101, KEY))


@pytest.mark.parametrize(
    "other", [SecurityAssociation(0x100, KEY[:-1] + b"\x11"), SecurityAssociation(0x100, KEY, Algorithm.KEYED_MD5)]
)
def test_another_key_or_algorithm_does_not_verify(other: SecurityAssociation) -> None:
    with pytest.raises(AuthenticationError, match="authenticator is wrong"):
        verify(sign(REQUEST, MOBILE_HOME, HMAC), MOBILE_HOME, other)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 251])
def test_an_authenticator_of_another_length_does_not_verify(length: int) -> None:
    right = authentication_extensions(sign(REQUEST, MOBILE_HOME, HMAC), MOBILE_HOME)[0].authenticator
    authenticator = (right * 16)[:length]
    message = REQUEST.with_extensions((AuthenticationExtension(MOBILE_HOME, HMAC.spi, authenticator),))
    with pytest.raises(AuthenticationError, match="wrong"):
        verify(message, MOBILE_HOME, HMAC)


def test_a_message_is_signed_once_for_each_kind() -> None:
    with pytest.raises(EncodeError, match="already has a mobile-home"):
        sign(sign(REQUEST, MOBILE_HOME, HMAC), MOBILE_HOME, HMAC)


def test_a_signed_reply_stays_a_reply() -> None:
    home = IPv4Address("10.1.0.10")
    reply = sign(RegistrationReply(ReplyCode.ACCEPTED, 30, home, home, 1), MOBILE_HOME, HMAC)
    assert isinstance(decode_message(reply.encode()), RegistrationReply)
    verify(reply, MOBILE_HOME, HMAC)


def test_a_foreign_agent_can_cut_a_message_behind_or_before_its_authentication() -> None:
    first = RawExtension(200, b"for the home agent")
    signed = sign(REQUEST.with_extensions((first,)), MOBILE_HOME, HMAC)
    whole = sign(
        signed.with_extensions((*signed.extensions, RawExtension(201, b"for the foreign agent"))), FOREIGN_HOME, KEYED
    )
    assert without_extensions_after(whole, MOBILE_HOME) == signed
    assert before_authentication(whole, MOBILE_HOME) == REQUEST.with_extensions((first,))


def test_a_message_without_authentication_cannot_be_cut_there() -> None:
    with pytest.raises(AuthenticationError, match="expected exactly one"):
        without_extensions_after(REQUEST, MOBILE_HOME)
    with pytest.raises(AuthenticationError, match="expected exactly one"):
        before_authentication(REQUEST, MOBILE_HOME)


@pytest.mark.parametrize("spi", [-1, 0, 1, 255, 2**32])
def test_a_reserved_or_impossible_spi_makes_no_security_association(spi: int) -> None:
    with pytest.raises(EncodeError, match=f"SPI is {spi}, expected 256"):
        SecurityAssociation(spi, KEY)


def test_an_empty_key_makes_no_security_association() -> None:
    with pytest.raises(EncodeError, match=r"key .* is empty"):
        SecurityAssociation(256, b"")


@pytest.mark.parametrize("tolerance_s", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_tolerance_makes_no_security_association(tolerance_s: float) -> None:
    with pytest.raises(EncodeError, match="tolerance"):
        SecurityAssociation(256, KEY, tolerance_s=tolerance_s)


def test_a_security_association_does_not_show_its_key() -> None:
    shown = repr(SecurityAssociation(256, b"secret"))
    assert "secret" not in shown
    assert b"secret".hex() not in shown
