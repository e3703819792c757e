"""Extensions: how they are framed, which may be skipped, and the three authentication extensions.

Rules (RFC 5944 section 1.8 to 1.11):

- an extension is {type, length, payload}; type 0 is one byte of padding without a length;
- an unknown type in 0..127 makes the whole message unreadable, an unknown type in 128..255 is skipped. It is kept as
  a :class:`RawExtension`, since an agent must relay it, and authenticators cover it, byte for byte;
- some types in 1..127 use the long format {type, subtype, 16-bit length, payload}: their codec says so;
- where a codec lists subtypes, any other subtype is as unknown as an unknown type.

Types are numbered separately for registration messages and for ICMP; which ones are spoken in either is listed in
``extension_table``. How authenticators are computed is the concern of ``authentication``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol, TypeVar

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.fields import UINT8_MAX, UINT32_MAX, require_at_most

FIRST_SKIPPABLE_TYPE = 128  # RFC 5944 1.8

_SHORT_HEADER_LENGTH = 2
_LONG_HEADER = struct.Struct("!BBH")
_AUTHENTICATION_HEADER = struct.Struct("!BBI")


class ExtensionType(IntEnum):
    """Types of extensions in registration messages, and those that this program speaks in ICMP."""

    PADDING = 0
    MOBILITY_AGENT_ADVERTISEMENT = 16  # ICMP
    PREFIX_LENGTHS = 19  # ICMP
    ADVERTISED_CHALLENGE = 24  # ICMP
    MOBILE_HOME_AUTHENTICATION = 32
    MOBILE_FOREIGN_AUTHENTICATION = 33
    FOREIGN_HOME_AUTHENTICATION = 34
    GENERALISED_AUTHENTICATION = 36
    CRITICAL_VENDOR = 38
    UDP_TUNNEL_REPLY = 44
    FOREIGN_AGENT_ERROR = 45
    ENCAPSULATING_DELIVERY = 130
    NETWORK_ACCESS_IDENTIFIER = 131
    CHALLENGE = 132
    NORMAL_VENDOR = 134
    REVOCATION_SUPPORT = 137
    DYNAMIC_HOME_AGENT = 139
    UDP_TUNNEL_REQUEST = 144
    MESSAGE_STRING = 145
    MOBILE_NETWORK = 148


class AuthenticationKind(IntEnum):
    """Between whom an authentication extension holds; the value is its extension type (RFC 5944 3.5.2 to 3.5.4)."""

    MOBILE_HOME = 32
    MOBILE_FOREIGN = 33
    FOREIGN_HOME = 34


class Extension(Protocol):
    """What may follow the fixed part of a message."""

    @property
    def type(self) -> int: ...

    def encode(self) -> bytes:
        """The whole extension, type and length included."""


Kind = TypeVar("Kind", bound=Extension)


@dataclass(frozen=True, slots=True)
class ExtensionCodec:
    """How one extension type is read: ``decode`` gets the whole extension with its header; it may raise DecodeError.

    It may raise EncodeError too: what may not be sent is not accepted. ``subtypes`` are those that it reads, where the
    type has subtypes: the second byte in the long format, else the third.
    """

    decode: Callable[[bytes], Extension]
    long_format: bool = False
    subtypes: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Padding:
    """One byte of padding: type 0, no length (RFC 5944 1.9)."""

    @property
    def type(self) -> int:
        return ExtensionType.PADDING

    def encode(self) -> bytes:
        return b"\x00"


@dataclass(frozen=True, slots=True)
class RawExtension:
    """A skippable extension that nobody here interprets, kept as it came. ``type`` is 128..255, at most 255 bytes."""

    type: int
    payload: bytes

    def __post_init__(self) -> None:
        if not FIRST_SKIPPABLE_TYPE <= self.type <= UINT8_MAX:
            raise EncodeError(f"a raw extension has type {self.type}, expected a skippable one (128..255)")
        require_at_most(len(self.payload), UINT8_MAX, f"length of extension {self.type}")

    def encode(self) -> bytes:
        return bytes((self.type, len(self.payload))) + self.payload


@dataclass(frozen=True, slots=True)
class AuthenticationExtension:
    """Mobile-home, mobile-foreign or foreign-home authentication: {type, 4 + n, SPI (4), authenticator (n)}."""

    kind: AuthenticationKind
    spi: int
    authenticator: bytes

    def __post_init__(self) -> None:
        require_at_most(self.spi, UINT32_MAX, "SPI")
        require_at_most(len(self.authenticator), UINT8_MAX - 4, "length of the authenticator")

    @property
    def type(self) -> int:
        return self.kind

    def encode(self) -> bytes:
        return authentication_header(self.kind, self.spi, len(self.authenticator)) + self.authenticator

    @classmethod
    def decode(cls, extension: bytes) -> AuthenticationExtension:
        """Read a whole extension of type 32, 33 or 34; DecodeError when it has no room for an SPI."""
        if len(extension) < _AUTHENTICATION_HEADER.size:
            raise DecodeError(f"authentication extension {extension[0]} has length {extension[1]}, expected at least 4")
        extension_type, _, spi = _AUTHENTICATION_HEADER.unpack_from(extension)
        return cls(_KINDS[extension_type], spi, extension[_AUTHENTICATION_HEADER.size :])


_KINDS = {int(kind): kind for kind in AuthenticationKind}


def authentication_header(kind: AuthenticationKind, spi: int, authenticator_length: int) -> bytes:
    """Type, length and SPI: the part of an authentication extension that its authenticator covers (RFC 5944 3.5.1)."""
    return _AUTHENTICATION_HEADER.pack(kind, 4 + authenticator_length, spi)


def encode_extensions(extensions: Iterable[Extension]) -> bytes:
    """The extensions, one behind the other, in the given order."""
    return b"".join([extension.encode() for extension in extensions])


def extensions_of(extensions: Iterable[Extension], kind: type[Kind]) -> tuple[Kind, ...]:
    """Those of one class, in order."""
    return tuple(extension for extension in extensions if isinstance(extension, kind))


def unpack_extension(layout: struct.Struct, extension: bytes) -> tuple[Any, ...]:
    """The fields of a whole extension of fixed length in the short format; DecodeError when its length is another."""
    if len(extension) != layout.size:
        expected = layout.size - _SHORT_HEADER_LENGTH
        raise DecodeError(f"extension {extension[0]} has length {extension[1]}, expected {expected}")
    return layout.unpack(extension)


def decode_extensions(message: bytes, offset: int, codecs: Mapping[int, ExtensionCodec]) -> tuple[Extension, ...]:
    """Read all extensions of ``message`` from ``offset`` to its end.

    DecodeError when one is cut short, is malformed, or is unknown and may not be skipped (RFC 5944 1.8).
    """
    extensions: list[Extension] = []
    while offset < len(message):
        extension_type = message[offset]
        if extension_type == ExtensionType.PADDING:
            extensions.append(_PADDING)
            offset += 1
            continue
        codec = codecs.get(extension_type)
        if codec is None and extension_type < FIRST_SKIPPABLE_TYPE:
            raise DecodeError(f"unknown extension {extension_type} at byte {offset} may not be skipped (RFC 5944 1.8)")
        end = _end_of_extension(message, offset, long_format=codec is not None and codec.long_format)
        if codec is None or not _is_spoken(codec, message[offset:end]):
            extensions.append(RawExtension(extension_type, message[offset + _SHORT_HEADER_LENGTH : end]))
        else:
            extensions.append(_decoded(codec, message[offset:end]))
        offset = end
    return tuple(extensions)


_PADDING = Padding()


def _is_spoken(codec: ExtensionCodec, extension: bytes) -> bool:
    """Whether the codec reads this subtype; DecodeError when it does not and the extension may not be skipped."""
    if codec.subtypes is None:
        return True
    position = 1 if codec.long_format else _SHORT_HEADER_LENGTH
    if position >= len(extension):
        raise DecodeError(f"extension {extension[0]} is empty, expected a subtype")
    if extension[position] in codec.subtypes:
        return True
    if extension[0] < FIRST_SKIPPABLE_TYPE:
        raise DecodeError(
            f"unknown subtype {extension[position]} of extension {extension[0]} may not be skipped (RFC 5944 1.8)"
        )
    return False


def _decoded(codec: ExtensionCodec, extension: bytes) -> Extension:
    try:
        return codec.decode(extension)
    except EncodeError as error:  # a value that may not be sent is not accepted either
        raise DecodeError(error.message) from error


def _end_of_extension(message: bytes, offset: int, *, long_format: bool) -> int:
    """Where the extension at ``offset`` ends; DecodeError when that is behind the end of the message."""
    header_length = _LONG_HEADER.size if long_format else _SHORT_HEADER_LENGTH
    if offset + header_length > len(message):
        raise DecodeError(f"extension {message[offset]} at byte {offset} is cut off before its length")
    length: int = _LONG_HEADER.unpack_from(message, offset)[2] if long_format else message[offset + 1]
    end = offset + header_length + length
    if end > len(message):
        raise DecodeError(
            f"extension {message[offset]} at byte {offset} says it has {length} bytes, "
            f"{len(message) - offset - header_length} are left"
        )
    return end
