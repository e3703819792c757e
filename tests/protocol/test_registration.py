"""The layout of Registration Request and Reply, and of reply codes (RFC 5944 3.3, 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.registration import (
    INFINITE_LIFETIME_S,
    RegistrationReply,
    RegistrationRequest,
    ReplyCode,
    RequestFlags,
    UnsupportedMessage,
    decode_message,
)
from testbed.protocol.reply_codes import denied_by, describe_code

HOME, AGENT, CARE_OF = IPv4Address("10.10.1.10"), IPv4Address("10.10.1.1"), IPv4Address("10.2.0.1")
IDENTIFICATION = 0xE000000012345678
REQUEST_OCTETS = bytes.fromhex("010207080a0a010a0a0a01010a020001e000000012345678")
REPLY_OCTETS = bytes.fromhex("038507080a0a010a0a0a0101e000000012345678")


def test_a_request_is_laid_out_as_in_the_rfc() -> None:
    request = RegistrationRequest(RequestFlags.REVERSE_TUNNEL, 1800, HOME, AGENT, CARE_OF, IDENTIFICATION)
    assert request.encode() == REQUEST_OCTETS
    assert decode_message(REQUEST_OCTETS) == request


def test_a_reply_is_laid_out_as_in_the_rfc() -> None:
    reply = RegistrationReply(ReplyCode.IDENTIFICATION_MISMATCH, 1800, HOME, AGENT, IDENTIFICATION)
    assert reply.encode() == REPLY_OCTETS
    assert decode_message(REPLY_OCTETS) == reply


@pytest.mark.parametrize(
    ("flag", "bit"),
    [
        (RequestFlags.SIMULTANEOUS_BINDINGS, 0),
        (RequestFlags.BROADCASTS, 1),
        (RequestFlags.DECAPSULATES, 2),
        (RequestFlags.MINIMAL, 3),
        (RequestFlags.GRE, 4),
        (RequestFlags.RESERVED_r, 5),
        (RequestFlags.REVERSE_TUNNEL, 6),
        (RequestFlags.RESERVED_x, 7),
    ],
)
def test_flags_stand_in_the_order_s_b_d_m_g_r_t_x_from_the_high_bit(flag: RequestFlags, bit: int) -> None:
    assert flag == 0x80 >> bit


@pytest.mark.parametrize("flags", range(256))
def test_reserved_bits_of_a_request_are_no_error_and_are_kept(flags: int) -> None:
    octets = REQUEST_OCTETS[:1] + bytes((flags,)) + REQUEST_OCTETS[2:]
    request = RegistrationRequest.decode(octets)
    assert request.flags == flags
    assert request.encode() == octets


@pytest.mark.parametrize(("octets", "fixed"), [(REQUEST_OCTETS, 24), (REPLY_OCTETS, 20)])
def test_a_message_shorter_than_its_fixed_part_is_an_error(octets: bytes, fixed: int) -> None:
    for length in range(1, fixed):
        with pytest.raises(DecodeError, match=f"has {length} bytes, expected at least {fixed}"):
            decode_message(octets[:length])


def test_an_empty_message_is_an_error() -> None:
    with pytest.raises(DecodeError, match="empty"):
        decode_message(b"")


def test_one_message_is_not_read_as_another() -> None:
    with pytest.raises(DecodeError, match=r"type is 3, expected 1 \(registration request\)"):
        RegistrationRequest.decode(REPLY_OCTETS + bytes(4))
    with pytest.raises(DecodeError, match=r"type is 1, expected 3 \(registration reply\)"):
        RegistrationReply.decode(REQUEST_OCTETS)


@pytest.mark.parametrize(
    "build",
    [
        lambda: RegistrationRequest(RequestFlags(0), INFINITE_LIFETIME_S + 1, HOME, AGENT, CARE_OF, 0),
        lambda: RegistrationRequest(RequestFlags(0), -1, HOME, AGENT, CARE_OF, 0),
        lambda: RegistrationRequest(RequestFlags(0x100), 0, HOME, AGENT, CARE_OF, 0),
        lambda: RegistrationRequest(RequestFlags(0), 0, HOME, AGENT, CARE_OF, 2**64),
        lambda: RegistrationReply(256, 0, HOME, AGENT, 0),
        lambda: RegistrationReply(0, 65536, HOME, AGENT, 0),
        lambda: RegistrationReply(0, 0, HOME, AGENT, -1),
        lambda: UnsupportedMessage(256, b""),
        lambda: UnsupportedMessage(1, b""),
    ],
)
def test_a_message_that_cannot_be_written_cannot_be_made(build: Callable[[], object]) -> None:
    with pytest.raises(EncodeError):
        build()


def test_a_code_with_a_name_is_read_as_a_reply_code_and_one_without_stays_a_number() -> None:
    named = RegistrationReply.decode(REPLY_OCTETS)
    nameless = RegistrationReply.decode(REPLY_OCTETS[:1] + bytes((63,)) + REPLY_OCTETS[2:])
    assert named.code is ReplyCode.IDENTIFICATION_MISMATCH
    assert (nameless.code, isinstance(nameless.code, ReplyCode)) == (63, False)
    assert nameless.denied_by is None
    assert not nameless.accepted


def test_the_codes_are_those_of_the_rules() -> None:
    foreign = {*range(64, 83), *range(88, 91), *range(96, 102), *range(104, 116), 127, 193, 194}
    home = {*range(128, 151), 192}
    assert {int(code) for code in ReplyCode} == {0, 1} | foreign | home
    assert {int(code) for code in ReplyCode if code.denied_by == "foreign agent"} == foreign
    assert {int(code) for code in ReplyCode if code.denied_by == "home agent"} == home
    assert {int(code) for code in ReplyCode if code.accepted} == {0, 1}


def test_who_refused_is_known_from_the_range_of_an_unknown_code_too() -> None:
    assert denied_by(120) == "foreign agent"
    assert denied_by(191) == "home agent"
    assert denied_by(255) is None


def test_a_code_is_described_in_words() -> None:
    assert describe_code(133) == "133 identification mismatch"
    assert describe_code(63) == "63 unknown code"
