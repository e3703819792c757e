"""Framing and skip rules of extensions (RFC 5944 1.8 to 1.11)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.extensions import (
    AuthenticationExtension,
    AuthenticationKind,
    Extension,
    ExtensionCodec,
    Padding,
    RawExtension,
    decode_extensions,
    encode_extensions,
)
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, RequestFlags

REQUEST = RegistrationRequest(
    RequestFlags(0), 30, IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1"), IPv4Address("198.51.100.66"), 1
)
SPOKEN = {32, 33, 34, 36, 44, 45, 130, 131, 132, 137, 139, 144, 145, 148}


@pytest.mark.parametrize("extension_type", [number for number in range(1, 128) if number not in SPOKEN])
def test_an_unknown_extension_up_to_127_makes_the_whole_message_unreadable(extension_type: int) -> None:
    with pytest.raises(DecodeError, match=f"unknown extension {extension_type} at byte 24 may not be skipped"):
        RegistrationRequest.decode(REQUEST.encode() + bytes((extension_type, 0)))


@pytest.mark.parametrize("extension_type", [number for number in range(128, 256) if number not in SPOKEN])
def test_an_unknown_extension_from_128_is_skipped_and_kept(extension_type: int) -> None:
    octets = REQUEST.encode() + bytes((extension_type, 3)) + b"abc" + bytes((0,))
    message = RegistrationRequest.decode(octets)
    assert message.extensions == (RawExtension(extension_type, b"abc"), Padding())
    assert message.encode() == octets


def test_an_unskippable_extension_behind_skippable_ones_still_counts() -> None:
    octets = REQUEST.encode() + RawExtension(200, b"x").encode() + b"\x00" + bytes((35, 1, 0, 0))
    with pytest.raises(DecodeError, match="unknown extension 35 at byte 28"):
        RegistrationRequest.decode(octets)


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"\x20", "extension 32 at byte 24 is cut off before its length"),
        (b"\xff", "extension 255 at byte 24 is cut off before its length"),
        (b"\xff\x01", "extension 255 at byte 24 says it has 1 bytes, 0 are left"),
        (b"\x20\x14" + bytes(19), "extension 32 at byte 24 says it has 20 bytes, 19 are left"),
        (b"\x20\x03\x00\x00\x01", "authentication extension 32 has length 3, expected at least 4"),
    ],
)
def test_an_extension_that_is_cut_off_or_too_short_is_an_error(tail: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        RegistrationRequest.decode(REQUEST.encode() + tail)


def test_the_longest_extensions_come_back() -> None:
    longest = (RawExtension(255, bytes(255)), AuthenticationExtension(AuthenticationKind.MOBILE_HOME, 256, bytes(251)))
    message = REQUEST.with_extensions(longest)
    assert RegistrationRequest.decode(message.encode()) == message


@pytest.mark.parametrize("number_of_bytes", range(1, 5))
def test_padding_is_one_byte_each(number_of_bytes: int) -> None:
    message = RegistrationRequest.decode(REQUEST.encode() + bytes(number_of_bytes))
    assert message.extensions == (Padding(),) * number_of_bytes


def test_the_layout_of_an_authentication_extension_is_type_length_spi_authenticator() -> None:
    extension = AuthenticationExtension(AuthenticationKind.FOREIGN_HOME, 0x01020304, bytes(range(16)))
    assert extension.encode() == bytes((34, 20, 1, 2, 3, 4)) + bytes(range(16))


@pytest.mark.parametrize(
    "build",
    [
        lambda: RawExtension(127, b""),
        lambda: RawExtension(256, b""),
        lambda: RawExtension(0, b""),
        lambda: RawExtension(200, bytes(256)),
        lambda: AuthenticationExtension(AuthenticationKind.MOBILE_HOME, -1, bytes(16)),
        lambda: AuthenticationExtension(AuthenticationKind.MOBILE_HOME, 2**32, bytes(16)),
        lambda: AuthenticationExtension(AuthenticationKind.MOBILE_HOME, 256, bytes(252)),
    ],
)
def test_an_extension_that_cannot_be_written_cannot_be_made(build: Callable[[], Extension]) -> None:
    with pytest.raises(EncodeError):
        build()


@dataclass(frozen=True)
class _LongFormat:
    """A made-up extension of the long format: {type, subtype, 16-bit length, payload}."""

    subtype: int
    payload: bytes
    type: int = 40

    def encode(self) -> bytes:
        return struct.pack("!BBH", self.type, self.subtype, len(self.payload)) + self.payload

    @classmethod
    def decode(cls, extension: bytes) -> _LongFormat:
        return cls(extension[1], extension[4:])


LONG = {40: ExtensionCodec(_LongFormat.decode, long_format=True)}


def test_a_codec_is_all_that_a_new_extension_of_the_long_format_needs() -> None:
    extensions = (_LongFormat(7, bytes(300)), Padding(), _LongFormat(8, b""))
    assert decode_extensions(b"head" + encode_extensions(extensions), 4, LONG) == extensions


@pytest.mark.parametrize("length", range(1, 304))
def test_an_extension_of_the_long_format_that_is_cut_off_is_an_error(length: int) -> None:
    with pytest.raises(DecodeError, match="extension 40 at byte 0"):
        decode_extensions(_LongFormat(7, bytes(300)).encode()[:length], 0, LONG)


def test_requests_and_replies_speak_the_same_extensions() -> None:
    reply = RegistrationReply(0, 30, REQUEST.home_address, REQUEST.home_agent, 1)
    with pytest.raises(DecodeError, match="unknown extension 43"):
        RegistrationReply.decode(reply.encode() + bytes((43, 0)))
