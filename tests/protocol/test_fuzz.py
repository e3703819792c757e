"""What must hold for every message and for every byte string: there and back, and no error but DecodeError."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import DecodeError
from testbed.protocol.discovery import AgentAdvertisement, RouterAdvertisement, Solicitation, decode_icmp
from testbed.protocol.packets import ArpMessage, EthernetFrame, Ipv4Packet, UdpDatagram, internet_checksum
from testbed.protocol.registration import (
    MessageType,
    RegistrationReply,
    RegistrationRequest,
    SupportedMessage,
    UnsupportedMessage,
    decode_message,
)
from testbed.protocol.revocation import Revocation, RevocationAcknowledgement
from testbed.protocol.tunnel_data import TunnelData

from . import extension_strategies, strategies
from .strategies import nearly, with_right_icmp_checksum

SOURCE, DESTINATION = IPv4Address("192.0.2.10"), IPv4Address("198.51.100.1")

nearly_registration = nearly(extension_strategies.all_messages.map(lambda message: message.encode()))
nearly_icmp = nearly(strategies.discovery_messages.map(lambda message: message.encode()), with_right_icmp_checksum)


@settings(max_examples=200)
@given(extension_strategies.all_messages)
def test_a_message_on_port_434_comes_back_as_it_went(message: SupportedMessage) -> None:
    assert decode_message(message.encode()) == message


@settings(max_examples=200)
@given(strategies.discovery_messages)
def test_a_discovery_message_comes_back_as_it_went(
    message: AgentAdvertisement | RouterAdvertisement | Solicitation,
) -> None:
    assert decode_icmp(message.encode()) == message


@settings(max_examples=600)
@given(nearly_registration)
def test_what_the_registration_decoder_accepts_it_writes_again_byte_for_byte(octets: bytes) -> None:
    try:
        message = decode_message(octets)
    except DecodeError:
        return
    assert message.encode() == octets


@settings(max_examples=600)
@given(nearly_icmp)
def test_what_the_discovery_decoder_accepts_it_writes_again_byte_for_byte(octets: bytes) -> None:
    try:
        message = decode_icmp(octets)
    except DecodeError:
        return
    assert message.encode() == octets


@pytest.mark.parametrize(
    "decode",
    [
        RegistrationRequest.decode,
        RegistrationReply.decode,
        TunnelData.decode,
        Revocation.decode,
        RevocationAcknowledgement.decode,
    ],
)
@settings(max_examples=100)
@given(octets=nearly_registration)
def test_the_decoder_of_one_message_agrees_with_the_dispatcher(
    decode: Callable[[bytes], SupportedMessage], octets: bytes
) -> None:
    try:
        message = decode(octets)
    except DecodeError:
        return
    assert message == decode_message(octets)


@pytest.mark.parametrize("decode", [AgentAdvertisement.decode, RouterAdvertisement.decode, Solicitation.decode])
@settings(max_examples=100)
@given(octets=nearly_icmp)
def test_the_decoder_of_one_icmp_message_agrees_with_the_dispatcher(
    decode: Callable[[bytes], AgentAdvertisement | RouterAdvertisement | Solicitation], octets: bytes
) -> None:
    try:
        message = decode(octets)
    except DecodeError:
        return
    assert message == decode_icmp(octets)


@given(st.integers(0, 255).filter(lambda number: number not in list(MessageType)), st.binary())
def test_a_message_of_another_type_is_handed_over_unjudged(message_type: int, payload: bytes) -> None:
    octets = bytes((message_type,)) + payload
    message = decode_message(octets)
    assert message == UnsupportedMessage(message_type, payload)
    assert message.encode() == octets


@given(strategies.ethernet_frames)
def test_an_ethernet_frame_comes_back_as_it_went(frame: EthernetFrame) -> None:
    assert EthernetFrame.decode(frame.encode()) == frame


@given(strategies.arp_messages, st.binary(max_size=18))
def test_an_arp_message_comes_back_without_the_padding_of_its_frame(message: ArpMessage, padding: bytes) -> None:
    assert ArpMessage.decode(message.encode() + padding) == message


@given(strategies.ipv4_packets, st.binary(max_size=26))
def test_an_ipv4_packet_comes_back_without_the_padding_of_its_frame(packet: Ipv4Packet, padding: bytes) -> None:
    assert Ipv4Packet.decode(packet.encode() + padding) == packet


@given(strategies.udp_datagrams)
def test_a_udp_datagram_comes_back_as_it_went(datagram: UdpDatagram) -> None:
    assert UdpDatagram.decode(datagram.encode(SOURCE, DESTINATION), SOURCE, DESTINATION) == datagram


@settings(max_examples=300)
@given(nearly(strategies.ethernet_frames.map(lambda frame: frame.encode())))
def test_what_the_ethernet_decoder_accepts_it_writes_again(octets: bytes) -> None:
    try:
        assert EthernetFrame.decode(octets).encode() == octets
    except DecodeError:
        assert len(octets) < 14 or octets[12] < 6


@settings(max_examples=300)
@given(nearly(strategies.arp_messages.map(lambda message: message.encode())))
def test_what_the_arp_decoder_accepts_it_writes_again(octets: bytes) -> None:
    try:
        message = ArpMessage.decode(octets)
    except DecodeError:
        return
    assert message.encode() == octets[:28]


def _with_right_header_checksum(octets: bytes) -> bytes:
    header = octets[: (octets[0] & 0x0F) * 4] if octets else b""
    if len(header) < 12:
        return octets
    checksum = internet_checksum(header[:10] + bytes(2) + header[12:])
    return octets[:10] + checksum.to_bytes(2, "big") + octets[12:]


@settings(max_examples=300)
@given(nearly(strategies.ipv4_packets.map(lambda packet: packet.encode()), _with_right_header_checksum))
def test_what_the_ipv4_decoder_accepts_it_writes_again_up_to_its_total_length(octets: bytes) -> None:
    try:
        packet = Ipv4Packet.decode(octets)
    except DecodeError:
        return
    assert packet.encode() == octets[: int.from_bytes(octets[2:4], "big")]


@settings(max_examples=300)
@given(nearly(strategies.udp_datagrams.map(lambda datagram: datagram.encode(SOURCE, DESTINATION))), st.booleans())
def test_the_udp_decoder_raises_nothing_but_its_own_error(octets: bytes, checksum_ready: bool) -> None:
    try:
        datagram = UdpDatagram.decode(octets, SOURCE, DESTINATION, checksum_ready=checksum_ready)
    except DecodeError:
        return
    if checksum_ready:
        assert datagram.encode(SOURCE, DESTINATION) == octets[: int.from_bytes(octets[4:6], "big")]
