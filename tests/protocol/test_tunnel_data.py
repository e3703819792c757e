"""UDP tunnel data and the keepalives in it (RFC 3519 3.3, 4.8, 4.9)."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.packets import PROTOCOL_ICMP, PROTOCOL_UDP, Ipv4Packet
from testbed.protocol.registration import decode_message
from testbed.protocol.tunnel_data import Keepalive, TunnelData, keepalive_in
from testbed.protocol.udp_tunnelling import TunnelledProtocol

from . import extension_strategies
from .strategies import nearly

MOBILE, HOME_AGENT = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1")
REQUEST = Keepalive(MOBILE, HOME_AGENT, identifier=0x1234, sequence=1)
REQUEST_OCTETS = bytes.fromhex("04040000" + "4500001c00000000" + "4001f6d5" + "c000020ac0000201" + "0800e5ca12340001")


def test_tunnel_data_is_laid_out_as_in_the_rfc() -> None:
    octets = bytes.fromhex("042f0000") + b"GRE"
    assert TunnelData(TunnelledProtocol.GRE, b"GRE").encode() == octets
    assert decode_message(octets) == TunnelData(47, b"GRE")


def test_a_keepalive_is_an_echo_request_in_an_ip_packet_in_tunnel_data() -> None:
    assert REQUEST.encapsulated().encode() == REQUEST_OCTETS
    message = decode_message(REQUEST_OCTETS)
    assert isinstance(message, TunnelData)
    assert keepalive_in(message) == REQUEST


def test_the_answer_to_a_keepalive_goes_back_with_the_same_numbers_and_payload() -> None:
    request = Keepalive(MOBILE, HOME_AGENT, 7, 8, payload=b"abc")
    answer = request.answer()
    assert answer == Keepalive(HOME_AGENT, MOBILE, 7, 8, True, b"abc")
    assert answer.encapsulated().payload[20] == 0
    assert keepalive_in(answer.encapsulated()) == answer


@given(extension_strategies.keepalives)
def test_a_keepalive_comes_back_as_it_went(keepalive: Keepalive) -> None:
    assert keepalive_in(TunnelData.decode(keepalive.encapsulated().encode())) == keepalive


@pytest.mark.parametrize(
    "message",
    [
        TunnelData(TunnelledProtocol.GRE, REQUEST.encapsulated().payload),
        TunnelData(TunnelledProtocol.IPIP, b""),
        TunnelData(TunnelledProtocol.IPIP, Ipv4Packet(MOBILE, HOME_AGENT, PROTOCOL_UDP, b"\x08" + bytes(7)).encode()),
        TunnelData(TunnelledProtocol.IPIP, Ipv4Packet(MOBILE, HOME_AGENT, PROTOCOL_ICMP, b"").encode()),
        TunnelData(TunnelledProtocol.IPIP, Ipv4Packet(MOBILE, HOME_AGENT, PROTOCOL_ICMP, b"\x03" + bytes(7)).encode()),
        TunnelData(TunnelledProtocol.IPIP, Ipv4Packet(MOBILE, HOME_AGENT, PROTOCOL_ICMP, b"\x08" + bytes(7)).encode()),
        TunnelData(
            TunnelledProtocol.IPIP,
            Ipv4Packet(MOBILE, HOME_AGENT, PROTOCOL_ICMP, REQUEST_OCTETS[24:], more_fragments=True).encode(),
        ),
    ],
    ids=["other encapsulation", "no packet", "UDP", "no ICMP", "other ICMP", "wrong checksum", "fragment"],
)
def test_what_is_no_keepalive_is_not_taken_for_one(message: TunnelData) -> None:
    assert keepalive_in(message) is None


@settings(max_examples=300)
@given(nearly(extension_strategies.keepalives.map(lambda keepalive: keepalive.encapsulated().encode())))
def test_looking_for_a_keepalive_never_raises(octets: bytes) -> None:
    try:
        message = TunnelData.decode(octets)
    except DecodeError:
        return
    found = keepalive_in(message)
    assert found is None or keepalive_in(found.encapsulated()) == found


@pytest.mark.parametrize("length", range(1, 4))
def test_tunnel_data_shorter_than_its_header_is_an_error(length: int) -> None:
    with pytest.raises(DecodeError, match=f"a tunnel data has {length} bytes, expected at least 4"):
        decode_message(REQUEST_OCTETS[:length])


def test_what_cannot_be_written_cannot_be_made() -> None:
    for build in (
        lambda: TunnelData(256, b""),
        lambda: TunnelData(4, b"", 65536),
        lambda: Keepalive(MOBILE, HOME_AGENT, 65536, 0),
        lambda: Keepalive(MOBILE, HOME_AGENT, 0, -1),
    ):
        with pytest.raises(EncodeError):
            build()
