"""Authenticators: who shares which key, signing a message and verifying one (RFC 5944 3.5, 5.1).

Protected are the UDP payload, all extensions before this one, and this one's type, length and SPI; neither the
authenticator itself nor the UDP header is. Which extensions a message must carry, and what a failure is answered
with, is for the agents.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, Self, TypeVar

from testbed.errors import AuthenticationError, EncodeError
from testbed.protocol.extensions import (
    AuthenticationExtension,
    AuthenticationKind,
    Extension,
    authentication_header,
    encode_extensions,
)
from testbed.protocol.fields import UINT32_MAX

LAST_RESERVED_SPI = 255  # RFC 5944 3.5.1: 0..255 are reserved
MD5_LENGTH = 16


class AuthenticatedMessage(Protocol):
    """What a message must offer to be signed and verified: a fixed part, and extensions behind it."""

    @property
    def extensions(self) -> tuple[Extension, ...]: ...

    def encode_fixed(self) -> bytes:
        """What stands before the extensions."""

    def encode(self) -> bytes:
        """The whole UDP payload."""

    def with_extensions(self, extensions: tuple[Extension, ...]) -> Self:
        """The same message with other extensions."""


Message = TypeVar("Message", bound=AuthenticatedMessage)


class Algorithm(Enum):
    """How an authenticator is computed; both give 16 bytes."""

    HMAC_MD5 = "hmac-md5"  # the default that all must support, RFC 5944 5.1
    KEYED_MD5 = "keyed-md5"  # "prefix+suffix" of RFC 2002 3.5.1, for compatibility


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """What two parties agreed on: SPI above 255, a key of arbitrary bytes, and how far clocks may differ (seconds)."""

    spi: int
    key: bytes = field(repr=False)
    algorithm: Algorithm = Algorithm.HMAC_MD5
    tolerance_s: float = 7.0

    def __post_init__(self) -> None:
        if not LAST_RESERVED_SPI < self.spi <= UINT32_MAX:
            raise EncodeError(f"SPI is {self.spi}, expected 256..{UINT32_MAX} (0..255 are reserved, RFC 5944 3.5.1)")
        if not self.key:
            raise EncodeError("the key of a security association is empty, expected at least one byte")
        if not 0 < self.tolerance_s < float("inf"):
            raise EncodeError(f"tolerance is {self.tolerance_s} s, expected a positive number of seconds")


def compute_authenticator(algorithm: Algorithm, key: bytes, protected: bytes) -> bytes:
    """The 16 bytes that prove knowledge of ``key`` over ``protected``."""
    if algorithm is Algorithm.HMAC_MD5:
        return hmac.digest(key, protected, "md5")
    return hashlib.md5(key + protected + key, usedforsecurity=False).digest()


def authentication_extensions(
    message: AuthenticatedMessage, kind: AuthenticationKind
) -> tuple[AuthenticationExtension, ...]:
    """All authentication extensions of this kind in ``message``, in order; a valid message has at most one."""
    return tuple(
        extension
        for extension in message.extensions
        if isinstance(extension, AuthenticationExtension) and extension.kind == kind
    )


def sign(message: Message, kind: AuthenticationKind, association: SecurityAssociation) -> Message:
    """``message`` with an authentication extension appended that covers all of it; EncodeError when it has one."""
    if authentication_extensions(message, kind):
        raise EncodeError(f"the message already has a {_name(kind)} authentication extension")
    protected = message.encode() + authentication_header(kind, association.spi, MD5_LENGTH)
    authenticator = compute_authenticator(association.algorithm, association.key, protected)
    extension = AuthenticationExtension(kind, association.spi, authenticator)
    return message.with_extensions((*message.extensions, extension))


def verify(message: AuthenticatedMessage, kind: AuthenticationKind, association: SecurityAssociation) -> None:
    """Raise AuthenticationError unless exactly one extension of this kind has the association's SPI and is right."""
    position = _position(message, kind)
    extension = message.extensions[position]
    assert isinstance(extension, AuthenticationExtension)
    if extension.spi != association.spi:
        raise AuthenticationError(
            f"the {_name(kind)} authentication extension has SPI {extension.spi}, expected {association.spi}"
        )
    protected = (
        message.encode_fixed()
        + encode_extensions(message.extensions[:position])
        + authentication_header(kind, extension.spi, len(extension.authenticator))
    )
    expected = compute_authenticator(association.algorithm, association.key, protected)
    if not hmac.compare_digest(expected, extension.authenticator):
        raise AuthenticationError(f"the {_name(kind)} authenticator is wrong")


def before_authentication(message: Message, kind: AuthenticationKind) -> Message:
    """``message`` with only what stands before its one extension of this kind; AuthenticationError without one."""
    return message.with_extensions(message.extensions[: _position(message, kind)])


def without_extensions_after(message: Message, kind: AuthenticationKind) -> Message:
    """``message`` up to and with its one extension of this kind: what a foreign agent relays (RFC 5944 3.7.2.2).

    AuthenticationError unless there is exactly one.
    """
    return message.with_extensions(message.extensions[: _position(message, kind) + 1])


def _position(message: AuthenticatedMessage, kind: AuthenticationKind) -> int:
    """Index of the one extension of this kind; AuthenticationError when there is none or more than one."""
    positions = [
        position
        for position, extension in enumerate(message.extensions)
        if isinstance(extension, AuthenticationExtension) and extension.kind == kind
    ]
    if len(positions) != 1:
        raise AuthenticationError(
            f"the message has {len(positions)} {_name(kind)} authentication extensions, expected exactly one"
        )
    return positions[0]


def _name(kind: AuthenticationKind) -> str:
    return kind.name.lower().replace("_", "-")
