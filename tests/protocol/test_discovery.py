"""Layout, limits and strictness of advertisements and solicitations (RFC 5944 2, RFC 1256)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.discovery import (
    AgentAdvertisement,
    AgentFlags,
    RouterAddress,
    RouterAdvertisement,
    Solicitation,
    decode_icmp,
    next_sequence,
)
from testbed.protocol.extensions import RawExtension
from testbed.protocol.icmp import with_checksum

AGENT, CARE_OF = IPv4Address("198.51.100.1"), IPv4Address("198.51.100.66")
ROUTERS = (RouterAddress(AGENT),)
FOREIGN, HOME = AgentFlags.FOREIGN_AGENT, AgentFlags.HOME_AGENT
ADVERTISEMENT = AgentAdvertisement(3, ROUTERS, 7, 1800, FOREIGN, (CARE_OF,), prefix_lengths=(26,))
ROUTER_PART = bytes.fromhex("0900000001020003c633640100000000")
AGENT_EXTENSION = bytes.fromhex("100a000707081000c6336442")
PREFIX_EXTENSION = bytes.fromhex("13011a")


def test_an_agent_advertisement_is_laid_out_as_in_the_rfc() -> None:
    octets = with_checksum(ROUTER_PART + AGENT_EXTENSION + PREFIX_EXTENSION)
    assert ADVERTISEMENT.encode() == octets
    assert decode_icmp(octets) == ADVERTISEMENT


def test_the_flag_word_begins_at_the_high_bit() -> None:
    in_order = "REGISTRATION_REQUIRED BUSY HOME_AGENT FOREIGN_AGENT MINIMAL_ENCAPSULATION GRE RESERVED_r"
    in_order += " REVERSE_TUNNELLING UDP_TUNNELLING REVOCATION REGIONAL"
    assert [AgentFlags[name] for name in in_order.split()] == [0x8000 >> bit for bit in range(11)]


def test_a_plain_router_reads_and_writes_the_first_part_only() -> None:
    octets = with_checksum(ROUTER_PART)
    assert decode_icmp(octets) == RouterAdvertisement(3, ROUTERS)
    assert RouterAdvertisement(3, ROUTERS).encode() == octets


def test_a_solicitation_has_eight_bytes_and_nothing_in_them() -> None:
    assert Solicitation().encode() == bytes.fromhex("0a00f5ff00000000")


def test_the_sequence_starts_at_zero_and_rolls_over_to_256() -> None:
    assert next_sequence(0) == 1
    assert next_sequence(0xFFFE) == 0xFFFF
    assert next_sequence(0xFFFF) == 256


def test_the_order_and_padding_of_others_are_kept() -> None:
    octets = with_checksum(
        ROUTER_PART + b"\x00" + PREFIX_EXTENSION + b"\xc8\x01x" + b"\x00" + AGENT_EXTENSION + b"\x00\x00"
    )
    advertisement = AgentAdvertisement.decode(octets)
    assert advertisement.layout == (0, 19, 200, 0, 16, 0, 0)
    assert advertisement.unknown == (RawExtension(200, b"x"),)
    assert replace(advertisement, unknown=(), layout=()) == ADVERTISEMENT
    assert advertisement.encode() == octets


def test_a_layout_that_says_the_usual_order_is_the_same_as_none() -> None:
    assert replace(ADVERTISEMENT, layout=(16, 19)) == ADVERTISEMENT


@pytest.mark.parametrize("layout", [(16,), (19, 16, 24), (16, 16, 19), (200,), (0,)])
def test_a_layout_that_does_not_fit_the_extensions_is_an_error(layout: tuple[int, ...]) -> None:
    with pytest.raises(EncodeError, match="layout of the advertisement"):
        replace(ADVERTISEMENT, layout=layout)


def test_a_layout_cannot_contradict_the_order_of_unknown_extensions() -> None:
    unknown = (RawExtension(200, b""), RawExtension(201, b""))
    with pytest.raises(EncodeError, match="layout of the advertisement"):
        replace(ADVERTISEMENT, unknown=unknown, layout=(201, 200, 16, 19))


def test_reserved_bits_of_the_flag_word_are_no_error_and_are_kept() -> None:
    octets = with_checksum(ROUTER_PART + bytes.fromhex("100a00070708121fc6336442"))
    advertisement = AgentAdvertisement.decode(octets)
    assert advertisement.flags == FOREIGN | AgentFlags.RESERVED_r | 0x1F
    assert advertisement.encode() == octets


@pytest.mark.parametrize(
    ("flags", "care_of_addresses", "reason"),
    [
        (AgentFlags(0), (CARE_OF,), "neither the H nor the F bit"),
        (HOME | AgentFlags.BUSY, (), "B bit without the F bit"),
        (HOME | AgentFlags.REGISTRATION_REQUIRED, (), "R bit without the F bit"),
        (FOREIGN, (), "no care-of address"),
    ],
)
def test_what_rule_d4_forbids_is_neither_made_nor_accepted(
    flags: AgentFlags, care_of_addresses: tuple[IPv4Address, ...], reason: str
) -> None:
    with pytest.raises(EncodeError, match=reason):
        AgentAdvertisement(3, ROUTERS, 7, 1800, flags, care_of_addresses)
    addresses = b"".join(address.packed for address in care_of_addresses)
    extension = bytes((16, 6 + len(addresses), 0, 7, 7, 8)) + int(flags).to_bytes(2, "big") + addresses
    with pytest.raises(DecodeError, match=reason):
        decode_icmp(with_checksum(ROUTER_PART + extension))


def test_a_home_agent_needs_no_care_of_address() -> None:
    advertisement = AgentAdvertisement(3, (), 0, 1800, HOME)
    assert decode_icmp(advertisement.encode()) == advertisement


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "has 0 bytes"),
        (ROUTER_PART[:7], "has 7 bytes, expected at least 8"),
        (b"\x08" + ROUTER_PART[1:], "type is 8, expected 9"),
        (ROUTER_PART[:1] + b"\x01" + ROUTER_PART[2:], "code of type 9 is 1"),
        (ROUTER_PART[:5] + b"\x03" + ROUTER_PART[6:], "entry size of the advertisement is 3"),
        (ROUTER_PART[:4] + b"\x02" + ROUTER_PART[5:], "too few for 2 router addresses"),
        (ROUTER_PART[:4] + b"\x00\x02\x00\x03", "has no address"),
        (ROUTER_PART + AGENT_EXTENSION + AGENT_EXTENSION, "has extension 16 2 times"),
        (ROUTER_PART + AGENT_EXTENSION + PREFIX_EXTENSION * 2, "has extension 19 2 times"),
        (ROUTER_PART + AGENT_EXTENSION + b"\x13\x02\x1a\x1a", "has 2 prefix lengths, expected 1"),
        (ROUTER_PART + AGENT_EXTENSION + b"\x13\x01\x21", "prefix length is 33, expected 0..32"),
        (ROUTER_PART + AGENT_EXTENSION + b"\x18\x00", "a challenge has 0 bytes"),
        (ROUTER_PART + AGENT_EXTENSION + b"\x20\x00", "unknown extension 32 at byte 28 may not be skipped"),
        (ROUTER_PART + AGENT_EXTENSION[:-1], "extension 16 at byte 16 says it has 10 bytes, 9 are left"),
        (ROUTER_PART + b"\x10\x04" + bytes(4), r"has length 4, expected 6 \+ 4n"),
        (ROUTER_PART + b"\x10\x08" + bytes(8), r"has length 8, expected 6 \+ 4n"),
        (b"\x0a\x00\x00\x00\x00\x00\x00", "has 7 bytes"),
        (b"\x0a\x01\x00\x00\x00\x00\x00\x00", "code of type 10 is 1"),
    ],
)
def test_a_message_that_breaks_the_layout_is_an_error_with_its_reason(octets: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode_icmp(with_checksum(octets[:2] + bytes(2) + octets[4:]) if len(octets) >= 4 else octets)


@pytest.mark.parametrize("message", [ADVERTISEMENT, RouterAdvertisement(3, ROUTERS), Solicitation()])
def test_any_wrong_bit_is_an_error(
    message: AgentAdvertisement | RouterAdvertisement | Solicitation,
) -> None:
    octets = message.encode()
    for bit in range(8 * len(octets)):
        changed = bytearray(octets)
        changed[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises(DecodeError):
            decode_icmp(bytes(changed))


def test_what_others_put_into_a_solicitation_is_kept() -> None:
    octets = with_checksum(bytes.fromhex("0a00000001020304") + b"\x8a\x02ab")
    solicitation = decode_icmp(octets)
    assert solicitation == Solicitation(0x01020304, (RawExtension(138, b"ab"),))
    assert solicitation.encode() == octets


def test_each_decoder_reads_its_own_kind_only() -> None:
    plain, solicitation = RouterAdvertisement(3, ROUTERS).encode(), Solicitation().encode()
    with pytest.raises(DecodeError, match="no mobility agent extension"):
        AgentAdvertisement.decode(plain)
    with pytest.raises(DecodeError, match="expected a plain router's"):
        RouterAdvertisement.decode(ADVERTISEMENT.encode())
    with pytest.raises(DecodeError, match="type is 10, expected 9"):
        AgentAdvertisement.decode(solicitation)
    with pytest.raises(DecodeError, match="type is 9, expected 10"):
        Solicitation.decode(plain)


def test_the_largest_advertisement_comes_back() -> None:
    routers = tuple(RouterAddress(IPv4Address(number), -(2**31)) for number in range(255))
    care_of_addresses = tuple(IPv4Address(number) for number in range(62))
    advertisement = AgentAdvertisement(
        65535, routers, 65535, 65535, FOREIGN, care_of_addresses, (32,) * 255, 16, bytes(255)
    )
    assert decode_icmp(advertisement.encode()) == advertisement


@pytest.mark.parametrize(
    "build",
    [
        lambda: replace(ADVERTISEMENT, lifetime_s=65536),
        lambda: replace(ADVERTISEMENT, sequence=-1),
        lambda: replace(ADVERTISEMENT, registration_lifetime_s=65536),
        lambda: replace(ADVERTISEMENT, code=1),
        lambda: replace(ADVERTISEMENT, care_of_addresses=(CARE_OF,) * 63),
        lambda: replace(ADVERTISEMENT, routers=ROUTERS * 256, prefix_lengths=None),
        lambda: replace(ADVERTISEMENT, prefix_lengths=(26, 26)),
        lambda: replace(ADVERTISEMENT, prefix_lengths=(33,)),
        lambda: replace(ADVERTISEMENT, challenge=b""),
        lambda: replace(ADVERTISEMENT, challenge=bytes(256)),
        lambda: RouterAdvertisement(3, ()),
        lambda: RouterAddress(AGENT, 2**31),
        lambda: Solicitation(reserved=2**32),
    ],
)
def test_a_message_that_cannot_be_written_cannot_be_made(build: Callable[[], object]) -> None:
    with pytest.raises(EncodeError):
        build()
