"""Generalised authentication (RFC 4721 5, 6, 8): extension 36, of which subtype 1, mobile-AAA, is spoken.

A mobile node proves itself to the server of its home domain, either by an ordinary security association (the default:
HMAC-MD5), or, for servers that know one key and no SPI, by the reserved SPI 2 and the challenge in the same message.
Covered are the UDP payload, all extensions before, and type, subtype, length and SPI of this one.

Other subtypes are unknown, and like any unknown extension below 128 they make the message unreadable.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from testbed.errors import AuthenticationError, DecodeError, EncodeError
from testbed.protocol.authentication import (
    MD5_LENGTH,
    AuthenticatedMessage,
    Message,
    SecurityAssociation,
    compute_authenticator,
)
from testbed.protocol.challenge import Challenge
from testbed.protocol.extensions import Extension, ExtensionType, encode_extensions, extensions_of
from testbed.protocol.fields import UINT16_MAX, UINT32_MAX, require_at_most

CHAP_SPI = 2  # RFC 4721 8: MD5 as RADIUS servers compute it for CHAP

_HEADER = struct.Struct("!BBHI")
_SPI_LENGTH = 4
_CHALLENGE_BYTES_AT_THE_END = 237


class GeneralisedAuthenticationSubtype(IntEnum):
    """Between whom it holds."""

    MOBILE_AAA = 1


@dataclass(frozen=True, slots=True)
class GeneralisedAuthentication:
    """Type 36: {36, subtype, 4 + n (2), SPI (4), authenticator (n)}."""

    subtype: GeneralisedAuthenticationSubtype
    spi: int
    authenticator: bytes

    def __post_init__(self) -> None:
        require_at_most(self.spi, UINT32_MAX, "SPI")
        require_at_most(len(self.authenticator), UINT16_MAX - _SPI_LENGTH, "length of the authenticator")

    @property
    def type(self) -> int:
        return ExtensionType.GENERALISED_AUTHENTICATION

    def encode(self) -> bytes:
        return self.encode_header() + self.authenticator

    def encode_header(self) -> bytes:
        """Type, subtype, length and SPI: the part that the authenticator covers."""
        return _HEADER.pack(self.type, self.subtype, _SPI_LENGTH + len(self.authenticator), self.spi)

    @classmethod
    def decode(cls, extension: bytes) -> GeneralisedAuthentication:
        """Read a whole extension of type 36 and subtype 1; DecodeError when it has no room for an SPI."""
        if len(extension) < _HEADER.size:
            raise DecodeError(f"generalised authentication has length {len(extension) - 4}, expected at least 4")
        _, subtype, _, spi = _HEADER.unpack_from(extension)
        return cls(GeneralisedAuthenticationSubtype(subtype), spi, extension[_HEADER.size :])


@dataclass(frozen=True, slots=True)
class ChallengeAssociation:
    """A key shared with an AAA server that computes as in CHAP: its SPI is 2, and a challenge goes in."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.key:
            raise EncodeError("the key of a challenge association is empty, expected at least one byte")

    @property
    def spi(self) -> int:
        return CHAP_SPI


def chap_authenticator(key: bytes, challenge: bytes, protected: bytes) -> bytes:
    """MD5(first byte of challenge | key | MD5(protected) | last 237 bytes of challenge), RFC 4721 8.

    Of a challenge with fewer than 238 bytes the first byte goes in twice.
    """
    digest = hashlib.md5(protected, usedforsecurity=False).digest()
    response = challenge[:1] + key + digest + challenge[-_CHALLENGE_BYTES_AT_THE_END:]
    return hashlib.md5(response, usedforsecurity=False).digest()


def sign_mobile_aaa(message: Message, association: SecurityAssociation | ChallengeAssociation) -> Message:
    """``message`` with mobile-AAA authentication appended that covers all of it.

    EncodeError when it has one, or when a challenge association finds not exactly one challenge in it.
    """
    if extensions_of(message.extensions, GeneralisedAuthentication):
        raise EncodeError("the message already has a mobile-AAA authentication extension")
    challenges = extensions_of(message.extensions, Challenge)
    if isinstance(association, ChallengeAssociation) and len(challenges) != 1:
        raise EncodeError(f"the message has {len(challenges)} challenges, expected the one to be answered")
    kind = GeneralisedAuthenticationSubtype.MOBILE_AAA
    blank = GeneralisedAuthentication(kind, association.spi, bytes(MD5_LENGTH))
    authenticator = _authenticator(association, message.encode() + blank.encode_header(), challenges)
    extension = GeneralisedAuthentication(kind, association.spi, authenticator)
    return message.with_extensions((*message.extensions, extension))


def verify_mobile_aaa(message: AuthenticatedMessage, association: SecurityAssociation | ChallengeAssociation) -> None:
    """Raise AuthenticationError unless exactly one mobile-AAA extension has the association's SPI and is right.

    A challenge association needs exactly one challenge before it. Whether that challenge was issued, and is not yet
    used, is for whoever gave it out.
    """
    extension = mobile_aaa_authentication(message)
    if extension.spi != association.spi:
        raise AuthenticationError(
            f"the mobile-AAA authentication extension has SPI {extension.spi}, expected {association.spi}"
        )
    before = _before(message, extension)
    challenges = extensions_of(before, Challenge)
    if isinstance(association, ChallengeAssociation) and len(challenges) != 1:
        raise AuthenticationError(
            f"there are {len(challenges)} challenges before the mobile-AAA authentication, expected exactly one"
        )
    protected = message.encode_fixed() + encode_extensions(before) + extension.encode_header()
    if not hmac.compare_digest(_authenticator(association, protected, challenges), extension.authenticator):
        raise AuthenticationError("the mobile-AAA authenticator is wrong")


def mobile_aaa_authentication(message: AuthenticatedMessage) -> GeneralisedAuthentication:
    """The one mobile-AAA authentication extension of ``message``; AuthenticationError unless there is exactly one."""
    found = extensions_of(message.extensions, GeneralisedAuthentication)
    if len(found) != 1:
        raise AuthenticationError(
            f"the message has {len(found)} mobile-AAA authentication extensions, expected exactly one"
        )
    return found[0]


def _before(message: AuthenticatedMessage, extension: GeneralisedAuthentication) -> tuple[Extension, ...]:
    return message.extensions[: message.extensions.index(extension)]


def _authenticator(
    association: SecurityAssociation | ChallengeAssociation, protected: bytes, challenges: tuple[Challenge, ...]
) -> bytes:
    if isinstance(association, ChallengeAssociation):
        return chap_authenticator(association.key, challenges[0].challenge, protected)
    return compute_authenticator(association.algorithm, association.key, protected)
