"""Two implementations that share no code, ours in ``protocol/`` and scapy's with our layers, must see the same."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether

from testbed.evidence.mobile_ip import (
    FOREIGN_HOME,
    MOBILE_FOREIGN,
    MOBILE_HOME,
    REPLY,
    REQUEST,
    SeenRegistration,
    advertisements,
    announcements,
    registrations,
    solicitations,
)
from testbed.evidence.mobile_ip_layers import (
    AgentAdvertisementExtension,
    Authentication,
    Challenge,
    GeneralisedAuthentication,
    PadByte,
    PrefixLengths,
    RegistrationExtensions,
    RouterAddress,
    RouterAdvertisement,
)
from testbed.evidence.packets import CaptureFile, Packet
from testbed.protocol.authentication import Algorithm as OurAlgorithm
from testbed.protocol.authentication import SecurityAssociation, sign
from testbed.protocol.discovery import AgentAdvertisement, Solicitation
from testbed.protocol.extensions import AuthenticationExtension, AuthenticationKind, Padding, RawExtension
from testbed.protocol.registration import RegistrationReply, RegistrationRequest
from tests.evidence.wire import mac
from tests.protocol import strategies

KEY = bytes(range(1, 17))
REQUEST_BYTES = bytes.fromhex("010207080a01000a0a0100010a020001e000000012345678")


def packet_of(frame: Any) -> Packet:
    octets = bytes(frame)
    return Packet(CaptureFile("mn", "eth0", Path("mn.eth0.pcap")), 1, 0, len(octets), octets, 1)


def in_udp(message: bytes, source_port: int = 49152, destination_port: int = 434) -> Packet:
    return packet_of(Ether() / IP(dst="192.0.2.1") / UDP(sport=source_port, dport=destination_port) / message)


def in_icmp(message: bytes) -> Packet:
    return packet_of(Ether() / IP(dst="224.0.0.1", ttl=1, proto=1) / message)


def read(message: bytes) -> SeenRegistration:
    (seen,) = registrations([in_udp(message)])
    return seen


def expected_extensions(message: RegistrationRequest | RegistrationReply) -> list[tuple[int, bytes]]:
    expected = []
    for extension in message.extensions:
        if isinstance(extension, Padding):
            expected.append((0, b""))
        elif isinstance(extension, AuthenticationExtension):
            expected.append((int(extension.kind), extension.spi.to_bytes(4, "big") + extension.authenticator))
        elif isinstance(extension, RawExtension):
            expected.append((extension.type, extension.payload))
    return expected


@given(strategies.requests)
def test_a_request_of_ours_is_read_the_same(request: RegistrationRequest) -> None:
    seen = read(request.encode())
    assert seen.malformed is None
    assert (seen.type, seen.lifetime_s, seen.identification) == (REQUEST, request.lifetime_s, request.identification)
    assert (seen.home_address, seen.home_agent) == (request.home_address, request.home_agent)
    assert seen.care_of_address == request.care_of_address
    bits = dict(zip("SBDMGrTx", (0x80 >> bit for bit in range(8)), strict=True))
    assert sum(bits[letter] for letter in seen.flags) == int(request.flags)
    assert [(extension.type, extension.payload) for extension in seen.extensions] == expected_extensions(request)
    assert seen.deregisters == (request.lifetime_s == 0)


@given(strategies.replies)
def test_a_reply_of_ours_is_read_the_same(reply: RegistrationReply) -> None:
    seen = read(reply.encode())
    assert (seen.type, seen.code, seen.lifetime_s) == (REPLY, int(reply.code), reply.lifetime_s)
    assert (seen.identification, seen.home_address) == (reply.identification, reply.home_address)
    assert [(extension.type, extension.payload) for extension in seen.extensions] == expected_extensions(reply)
    assert seen.accepted == (int(reply.code) in (0, 1))


@given(strategies.agent_advertisements())
def test_an_advertisement_of_ours_is_read_the_same(advertisement: AgentAdvertisement) -> None:
    (seen,) = advertisements([in_icmp(advertisement.encode())])
    assert seen.agent
    assert seen.checksum_right
    assert seen.malformed is None
    assert seen.code == advertisement.code
    assert (seen.lifetime_s, seen.registration_lifetime_s) == (
        advertisement.lifetime_s,
        advertisement.registration_lifetime_s,
    )
    assert seen.sequence == advertisement.sequence
    assert seen.routers == tuple(router.address for router in advertisement.routers)
    assert seen.care_of_addresses == advertisement.care_of_addresses
    assert seen.prefix_lengths == advertisement.prefix_lengths
    assert seen.challenge == advertisement.challenge
    bits = dict(zip("RBHFMGrTUXI", (0x8000 >> bit for bit in range(11)), strict=True))
    assert sum(bits[letter] for letter in seen.flags) == int(advertisement.flags) & 0xFFE0


@given(
    st.sampled_from(OurAlgorithm), st.binary(min_size=1, max_size=40), st.integers(256, 2**32 - 1), strategies.requests
)
def test_our_authenticators_are_right_and_with_any_change_wrong(
    algorithm: OurAlgorithm, key: bytes, spi: int, request: RegistrationRequest
) -> None:
    unsigned = request.with_extensions(
        tuple(e for e in request.extensions if not isinstance(e, AuthenticationExtension))
    )
    message = sign(unsigned, AuthenticationKind.MOBILE_HOME, SecurityAssociation(spi, key, algorithm)).encode()
    seen = read(message)
    assert seen.authenticated(key, spi, algorithm=algorithm.value)
    assert not seen.authenticated(key + b"x", spi, algorithm=algorithm.value)
    assert not seen.authenticated(key, spi ^ 1, algorithm=algorithm.value)
    assert not seen.authenticated(key, spi, MOBILE_FOREIGN, algorithm.value)
    changed = bytearray(message)
    changed[4] ^= 1
    assert not read(bytes(changed)).authenticated(key, spi, algorithm=algorithm.value)
    twice = message + message[len(unsigned.encode()) :]
    assert not read(twice).authenticated(key, spi, algorithm=algorithm.value)


@pytest.mark.parametrize(
    ("algorithm", "extension"),
    [
        ("hmac-md5", "201400000100" + "be45574e67131c3f0f0eba2e39487b22"),
        ("keyed-md5", "201400000101" + "df99e05d4a5c93f7a2d5752f10c638a4"),
    ],
)
def test_known_authenticators_are_right(algorithm: str, extension: str) -> None:
    seen = read(REQUEST_BYTES + bytes.fromhex(extension))
    assert seen.authenticated(KEY, int(extension[4:12], 16), algorithm=algorithm)
    other = "keyed-md5" if algorithm == "hmac-md5" else "hmac-md5"
    assert not seen.authenticated(KEY, int(extension[4:12], 16), algorithm=other)


def test_what_each_authenticator_covers_ends_at_its_own_spi() -> None:
    signed = RegistrationRequest.decode(REQUEST_BYTES)
    for kind in AuthenticationKind:
        signed = sign(signed, kind, SecurityAssociation(300 + kind, KEY + bytes([kind])))
    seen = read(signed.encode())
    for number in (MOBILE_HOME, MOBILE_FOREIGN, FOREIGN_HOME):
        assert seen.authenticated(KEY + bytes([number]), 300 + number, number)
    assert [extension.name for extension in seen.extensions] == [
        "mobile-home authentication",
        "mobile-foreign authentication",
        "foreign-home authentication",
    ]


@given(strategies.nearly(strategies.messages.map(lambda message: message.encode())))
def test_no_damage_to_a_message_makes_the_reading_raise(message: bytes) -> None:
    for seen in registrations([in_udp(message)]):
        assert seen.describe()
        accounted = 24 if seen.is_request else 20
        for extension in seen.extensions:
            accounted += len(extension.payload) + {0: 1, 36: 4, 38: 4}.get(extension.type, 2)
        assert (accounted == len(message)) == (seen.malformed is None)


@given(strategies.nearly(strategies.agent_advertisements().map(AgentAdvertisement.encode)))
def test_no_damage_to_an_advertisement_makes_the_reading_raise(message: bytes) -> None:
    assert all(seen.describe() for seen in advertisements([in_icmp(message)]))
    assert all(seen.packet for seen in solicitations([in_icmp(message)]))


def test_a_message_that_ends_within_an_extension_says_where() -> None:
    seen = read(REQUEST_BYTES + bytes.fromhex("8302616220140000"))
    assert [extension.type for extension in seen.extensions] == [131]
    assert seen.malformed == "the extension at byte 28 does not end within the message"
    assert "malformed" in seen.describe()


def test_as_many_extensions_are_read_as_a_message_can_hold() -> None:
    padded = read(REQUEST_BYTES + bytes(1000) + bytes.fromhex("8000"))
    assert padded.malformed is None
    assert [extension.type for extension in padded.extensions] == [0] * 1000 + [128]

    routers = [RouterAddress(address="192.0.2.1")] * 180
    agent = AgentAdvertisementExtension(care_of=["198.51.100.66"] * 62)
    message = RouterAdvertisement(
        addresses=routers, parts=[agent, PrefixLengths(lengths=[24] * 180), *[PadByte()] * 150]
    )
    (seen,) = advertisements([in_icmp(bytes(message))])
    assert seen.malformed is None
    assert seen.prefix_lengths is not None
    assert (len(seen.routers), len(seen.care_of_addresses), len(seen.prefix_lengths)) == (180, 62, 180)


def test_only_udp_port_434_and_the_two_types_are_registration_messages() -> None:
    assert registrations([in_udp(REQUEST_BYTES, destination_port=435)]) == []
    assert registrations([in_udp(REQUEST_BYTES, source_port=434, destination_port=49152)])[0].is_request
    assert registrations([in_udp(b"\x07" + REQUEST_BYTES[1:])]) == []
    assert registrations([in_udp(REQUEST_BYTES[:23])]) == []
    assert registrations([in_udp(b"")]) == []
    assert registrations([in_icmp(bytes(8))]) == []


def test_a_reply_answers_the_request_with_the_same_lower_half() -> None:
    request = read(REQUEST_BYTES)
    reply = bytes.fromhex("030007080a01000a0a010001")
    assert read(reply + bytes.fromhex("ffffffff12345678")).answers(request)
    assert not read(reply + bytes.fromhex("e000000012345679")).answers(request)
    assert not read(bytes.fromhex("030007080a01000b0a010001e000000012345678")).answers(request)
    assert not request.answers(request)


def test_a_plain_routers_advertisement_is_no_agents() -> None:
    message = RouterAdvertisement(addresses=[RouterAddress(address="192.0.2.1")], lifetime=90)
    (seen,) = advertisements([in_icmp(bytes(message))])
    assert not seen.agent
    assert not seen.checksum_right
    assert (seen.routers, seen.lifetime_s, seen.malformed) == ((IPv4Address("192.0.2.1"),), 90, None)


def test_a_solicitation_is_eight_bytes() -> None:
    (seen,) = solicitations([in_icmp(Solicitation().encode())])
    assert (seen.code, seen.checksum_right, seen.malformed) == (0, True, None)
    (long,) = solicitations([in_icmp(bytes(ICMP(type=10) / b"abc"))])
    assert long.malformed == "11 bytes, not 8"


def test_announcements_are_arp_about_oneself() -> None:
    own = {"psrc": "192.0.2.10", "pdst": "192.0.2.10", "hwsrc": mac("ha:lan")}
    broadcast = Ether(src=mac("ha:lan"), dst="ff:ff:ff:ff:ff:ff")
    frames = [broadcast / ARP(op=1, **own), broadcast / ARP(op=2, **own), broadcast / ARP(op=1, pdst="192.0.2.10")]
    found = announcements([packet_of(frame) for frame in frames])
    assert [(one.operation, one.broadcast, one.address) for one in found] == [
        (1, True, IPv4Address("192.0.2.10")),
        (2, True, IPv4Address("192.0.2.10")),
    ]
    assert found[0].mac.hex(":") == mac("ha:lan")


def test_the_layers_build_what_they_read() -> None:
    parts = [
        PadByte(),
        Authentication(spi=300, authenticator=b"a" * 16),
        GeneralisedAuthentication(authenticator=b"b" * 20),
    ]
    seen = read(REQUEST_BYTES + bytes(RegistrationExtensions(parts=parts)))
    assert seen.malformed is None
    assert [extension.type for extension in seen.extensions] == [0, 32, 36]
    assert seen.extensions[2].authenticator == b"b" * 20

    agent = AgentAdvertisementExtension(sequence=7, flags=0x9100, care_of=["198.51.100.66"])
    message = RouterAdvertisement(count=0, parts=[agent, PrefixLengths(lengths=[]), Challenge(challenge=b"1234")])
    (advertised,) = advertisements([in_icmp(bytes(message))])
    assert (advertised.sequence, advertised.flags, advertised.challenge) == (7, "RFT", b"1234")
    assert advertised.care_of_addresses == (IPv4Address("198.51.100.66"),)
    assert advertised.malformed is None


def test_importing_the_reader_of_messages_does_not_import_scapy() -> None:
    script = "import sys, testbed.evidence.mobile_ip, testbed.evidence.trace; sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
