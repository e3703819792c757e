"""The layout of each extension beyond RFC 5944's own, byte by byte, and what each refuses."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.challenge import Challenge, challenge_is_authenticated
from testbed.protocol.delivery_style import EncapsulatingDelivery
from testbed.protocol.dynamic_home_agent import DynamicHomeAgent, HomeAgentAssignment, asks_for_home_agent
from testbed.protocol.extension_table import REGISTRATION_EXTENSIONS
from testbed.protocol.extensions import (
    AuthenticationExtension,
    AuthenticationKind,
    Extension,
    RawExtension,
    decode_extensions,
    extensions_of,
)
from testbed.protocol.foreign_agent_error import ForeignAgentError
from testbed.protocol.generalised_authentication import GeneralisedAuthentication, GeneralisedAuthenticationSubtype
from testbed.protocol.message_string import MessageString, MessageStringSender
from testbed.protocol.mobile_network import (
    MobileNetworkAcknowledgement,
    MobileNetworkCode,
    MobileNetworkRequest,
    MobileNetworkSubtype,
)
from testbed.protocol.nai import NetworkAccessIdentifier
from testbed.protocol.reply_codes import ReplyCode
from testbed.protocol.revocation_support import RevocationSupport, RevocationSupportFlags
from testbed.protocol.udp_tunnelling import (
    TunnelledProtocol,
    UdpTunnelCode,
    UdpTunnelReply,
    UdpTunnelReplyFlags,
    UdpTunnelRequest,
    UdpTunnelRequestFlags,
)

ADDRESS = IPv4Address("192.0.2.1")
EXPLICIT, IMPLICIT = MobileNetworkSubtype.EXPLICIT_ACKNOWLEDGEMENT, MobileNetworkSubtype.IMPLICIT_ACKNOWLEDGEMENT
MOBILE_AAA = GeneralisedAuthenticationSubtype.MOBILE_AAA

LAYOUTS: list[tuple[str, Extension]] = [
    ("83086d6e406578616d70", NetworkAccessIdentifier("mn@examp")),
    ("8303c3bc40", NetworkAccessIdentifier("ü@")),
    ("840401020304", Challenge(b"\x01\x02\x03\x04")),
    ("2401000600000100aabb", GeneralisedAuthentication(MOBILE_AAA, 0x100, b"\xaa\xbb")),
    ("2401000400000002", GeneralisedAuthentication(MOBILE_AAA, 2, b"")),
    ("8b0501c0000201", DynamicHomeAgent(HomeAgentAssignment.REQUESTED, ADDRESS)),
    ("8b0502c0000201", DynamicHomeAgent(HomeAgentAssignment.REDIRECTED, ADDRESS)),
    ("8200", EncapsulatingDelivery()),
    ("9006000000040000", UdpTunnelRequest()),
    ("9006000080370000", UdpTunnelRequest(UdpTunnelRequestFlags.FORCED, TunnelledProtocol.MINIMAL)),
    ("90060000402f0000", UdpTunnelRequest(UdpTunnelRequestFlags.THROUGH_FOREIGN_AGENT, TunnelledProtocol.GRE)),
    ("900600113f042233", UdpTunnelRequest(UdpTunnelRequestFlags(0x3F), 4, 0x11, 0x2233)),
    ("2c0600000000006e", UdpTunnelReply(keepalive_s=110)),
    ("2c06004080000000", UdpTunnelReply(UdpTunnelCode.DECLINED, UdpTunnelReplyFlags.FORCED)),
    ("2c0600007fff0000", UdpTunnelReply(flags=UdpTunnelReplyFlags(0x7FFF))),
    ("89068000ec000001", RevocationSupport(RevocationSupportFlags.INFORM, 0xEC000001)),
    ("89067fff00000000", RevocationSupport(RevocationSupportFlags(0x7FFF), 0)),
    ("94060018c0000200", MobileNetworkRequest(24, IPv4Address("192.0.2.0"))),
    ("940600ffc0000201", MobileNetworkRequest(255, ADDRESS)),
    ("940801001800c0000200", MobileNetworkAcknowledgement(EXPLICIT, 0, 24, IPv4Address("192.0.2.0"))),
    ("940802022177c0000201", MobileNetworkAcknowledgement(IMPLICIT, 2, 33, ADDRESS, 0x77)),
    ("2d020041", ForeignAgentError(ReplyCode.FOREIGN_ADMINISTRATIVELY_PROHIBITED)),
    ("9103016f6b", MessageString(MessageStringSender.HOME_AGENT, b"ok")),
    ("910102", MessageString(MessageStringSender.FOREIGN_AGENT, b"")),
]


def read(octets: bytes) -> tuple[Extension, ...]:
    return decode_extensions(octets, 0, REGISTRATION_EXTENSIONS)


@pytest.mark.parametrize(("octets", "extension"), LAYOUTS, ids=[octets for octets, _ in LAYOUTS])
def test_an_extension_is_laid_out_as_in_its_rfc(octets: str, extension: Extension) -> None:
    assert extension.encode().hex() == octets
    assert extension.type == int(octets[:2], 16)
    assert read(bytes.fromhex(octets)) == (extension,)


@pytest.mark.parametrize(("octets", "extension"), LAYOUTS, ids=[octets for octets, _ in LAYOUTS])
def test_an_extension_cut_short_of_its_length_is_an_error(octets: str, extension: Extension) -> None:
    whole = bytes.fromhex(octets)
    for length in range(1, len(whole)):
        with pytest.raises(DecodeError, match=f"extension {whole[0]} at byte 0"):
            read(whole[:length])


FIXED_LENGTHS = {44: 6, 45: 2, 130: 0, 137: 6, 139: 5, 144: 6}


@pytest.mark.parametrize(("extension_type", "right"), FIXED_LENGTHS.items())
def test_an_extension_of_fixed_length_has_no_other(extension_type: int, right: int) -> None:
    subtype = 1 if extension_type == 139 else 0
    for length in {*range(1, 12)} - {right}:
        with pytest.raises(DecodeError, match=f"extension {extension_type} has length {length}, expected {right}"):
            read(bytes((extension_type, length, subtype)) + bytes(length - 1))


@pytest.mark.parametrize(("subtype", "right"), [(0, 6), (1, 8), (2, 8)])
def test_a_mobile_network_extension_has_the_length_of_its_subtype(subtype: int, right: int) -> None:
    for length in {*range(1, 12)} - {right}:
        with pytest.raises(DecodeError, match=f"extension 148 has length {length}, expected {right}"):
            read(bytes((148, length, subtype)) + bytes(length - 1))


@pytest.mark.parametrize("extension_type", [44, 45, 139, 144, 145, 148])
def test_an_extension_with_subtypes_is_not_empty(extension_type: int) -> None:
    with pytest.raises(DecodeError, match=f"extension {extension_type} is empty, expected a subtype"):
        read(bytes((extension_type, 0)))


@pytest.mark.parametrize(("extension_type", "subtype"), [(139, 0), (139, 3), (144, 1), (145, 0), (145, 3), (148, 3)])
def test_an_unknown_subtype_of_a_skippable_extension_is_skipped_and_kept(extension_type: int, subtype: int) -> None:
    octets = bytes((extension_type, 3, subtype)) + b"ab"
    assert read(octets) == (RawExtension(extension_type, octets[2:]),)


@pytest.mark.parametrize("octets", ["2402000400000100", "24ff000400000100", "2c0601000000006e", "2d020141"])
def test_an_unknown_subtype_below_128_makes_the_whole_message_unreadable(octets: str) -> None:
    with pytest.raises(DecodeError, match=r"unknown subtype .* may not be skipped"):
        read(bytes.fromhex(octets))


@pytest.mark.parametrize("octets", ["24010000", "24010003000000"])
def test_generalised_authentication_has_room_for_an_spi(octets: str) -> None:
    with pytest.raises(DecodeError, match=r"generalised authentication has length [03], expected at least 4"):
        read(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("8300", "network access identifier has 0 bytes"),
        ("8302c328", "no UTF-8"),
        ("8400", "challenge has 0 bytes"),
    ],
)
def test_an_extension_with_impossible_content_is_a_decode_error(octets: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        read(bytes.fromhex(octets))


@pytest.mark.parametrize(
    "build",
    [
        lambda: NetworkAccessIdentifier(""),
        lambda: NetworkAccessIdentifier("ü" * 128),
        lambda: NetworkAccessIdentifier("\ud800"),
        lambda: Challenge(b""),
        lambda: Challenge(bytes(256)),
        lambda: GeneralisedAuthentication(MOBILE_AAA, 2**32, b""),
        lambda: GeneralisedAuthentication(MOBILE_AAA, -1, b""),
        lambda: GeneralisedAuthentication(MOBILE_AAA, 2, bytes(0xFFFC)),
        lambda: UdpTunnelRequest(UdpTunnelRequestFlags(256)),
        lambda: UdpTunnelRequest(encapsulation=256),
        lambda: UdpTunnelRequest(reserved_1=256),
        lambda: UdpTunnelRequest(reserved_3=-1),
        lambda: UdpTunnelReply(256),
        lambda: UdpTunnelReply(flags=UdpTunnelReplyFlags(0x10000)),
        lambda: UdpTunnelReply(keepalive_s=65536),
        lambda: RevocationSupport(RevocationSupportFlags(0x10000), 0),
        lambda: RevocationSupport(RevocationSupportFlags(0), 2**32),
        lambda: MobileNetworkRequest(256, ADDRESS),
        lambda: MobileNetworkAcknowledgement(MobileNetworkSubtype.REQUEST, 0, 24, ADDRESS),
        lambda: MobileNetworkAcknowledgement(EXPLICIT, 256, 24, ADDRESS),
        lambda: MobileNetworkAcknowledgement(EXPLICIT, 0, -1, ADDRESS),
        lambda: MobileNetworkAcknowledgement(EXPLICIT, 0, 24, ADDRESS, 256),
        lambda: ForeignAgentError(256),
        lambda: MessageString(MessageStringSender.HOME_AGENT, bytes(255)),
    ],
)
def test_an_extension_that_cannot_be_written_cannot_be_made(build: Callable[[], Extension]) -> None:
    with pytest.raises(EncodeError):
        build()


@pytest.mark.parametrize(
    "longest",
    [
        NetworkAccessIdentifier("n" * 255),
        Challenge(bytes(255)),
        GeneralisedAuthentication(MOBILE_AAA, 256, bytes(0xFFFB)),
        MessageString(MessageStringSender.HOME_AGENT, bytes(254)),
    ],
)
def test_the_longest_extensions_come_back(longest: Extension) -> None:
    assert read(longest.encode()) == (longest,)


def test_a_message_string_that_is_no_text_changes_nothing_but_the_text() -> None:
    (extension,) = read(bytes.fromhex("9103016fff"))
    assert extension == MessageString(MessageStringSender.HOME_AGENT, b"o\xff")
    assert extension.text == "o\ufffd"
    assert MessageString.of(MessageStringSender.FOREIGN_AGENT, "zurück").text == "zurück"


def test_a_prefix_is_a_network_only_where_it_is_one() -> None:
    network = IPv4Network("192.0.2.0/24")
    assert MobileNetworkRequest.of(network).network == network
    assert MobileNetworkAcknowledgement(EXPLICIT, 0, 32, ADDRESS).network == IPv4Network("192.0.2.1/32")
    assert MobileNetworkRequest(24, ADDRESS).network is None
    assert MobileNetworkRequest(33, ADDRESS).network is None


def test_codes_with_a_name_are_read_as_such() -> None:
    acknowledgement = MobileNetworkAcknowledgement.decode(bytes.fromhex("940801031800c0000200"))
    assert acknowledgement.code is MobileNetworkCode.FORWARDING_SETUP_FAILED
    assert ForeignAgentError.decode(bytes.fromhex("2d020041")).status is ReplyCode.FOREIGN_ADMINISTRATIVELY_PROHIBITED
    nameless = MobileNetworkAcknowledgement.decode(bytes.fromhex("940801091800c0000200"))
    assert (nameless.code, isinstance(nameless.code, MobileNetworkCode)) == (9, False)


def test_only_code_0_grants_a_udp_tunnel() -> None:
    assert UdpTunnelReply(0).assented
    assert not any(UdpTunnelReply(code).assented for code in range(1, 256))


@pytest.mark.parametrize(("address", "asks"), [("0.0.0.0", True), ("255.255.255.255", True), ("192.0.2.1", False)])
def test_a_home_agent_is_asked_for_by_all_zeros_or_all_ones(address: str, asks: bool) -> None:
    assert asks_for_home_agent(IPv4Address(address)) is asks


def test_a_challenge_needs_a_mobile_foreign_or_generalised_authentication_behind_it() -> None:
    challenge = Challenge(b"1234")
    mobile_home, mobile_foreign, _ = (AuthenticationExtension(kind, 256, bytes(16)) for kind in AuthenticationKind)
    mobile_aaa = GeneralisedAuthentication(MOBILE_AAA, 256, bytes(16))
    assert challenge_is_authenticated((mobile_home,))
    assert challenge_is_authenticated((mobile_home, challenge, mobile_foreign))
    assert challenge_is_authenticated((challenge, mobile_aaa, mobile_home))
    assert not challenge_is_authenticated((challenge, mobile_home))
    assert not challenge_is_authenticated((mobile_foreign, challenge))
    assert not challenge_is_authenticated((challenge, mobile_foreign, challenge))


def test_extensions_are_found_by_their_class() -> None:
    first, second = Challenge(b"1"), Challenge(b"2")
    found = extensions_of((first, EncapsulatingDelivery(), second, RawExtension(200, b"")), Challenge)
    assert found == (first, second)
