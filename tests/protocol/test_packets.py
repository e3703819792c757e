"""Strictness of Ethernet, ARP, IPv4 and UDP, and the Internet checksum."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.packets import (
    ArpMessage,
    ArpOperation,
    EthernetFrame,
    Ipv4Packet,
    MacAddress,
    UdpDatagram,
    internet_checksum,
)

SOURCE, DESTINATION = IPv4Address("192.0.2.10"), IPv4Address("198.51.100.1")
MAC = MacAddress.parse("02:00:00:00:00:0a")
PACKET = Ipv4Packet(SOURCE, DESTINATION, 17, b"payload", dont_fragment=True).encode()
DATAGRAM = UdpDatagram(434, 49152, b"payload").encode(SOURCE, DESTINATION)
ARP = ArpMessage(ArpOperation.REQUEST, MAC, SOURCE, MacAddress.ZERO, DESTINATION).encode()


def _sum_word_by_word(octets: bytes) -> int:
    """The checksum as RFC 1071 words it."""
    padded = octets + bytes(len(octets) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


@given(st.one_of(st.binary(), st.lists(st.sampled_from((0, 255)), max_size=8).map(bytes)))
def test_the_checksum_is_the_one_of_rfc_1071(octets: bytes) -> None:
    assert internet_checksum(octets) == _sum_word_by_word(octets)


def test_the_checksum_of_the_rfcs_example_is_right() -> None:
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@pytest.mark.parametrize("bit", range(8 * 20))
def test_any_wrong_bit_of_an_ipv4_header_is_an_error(bit: int) -> None:
    changed = bytearray(PACKET)
    changed[bit // 8] ^= 0x80 >> bit % 8
    with pytest.raises(DecodeError):
        Ipv4Packet.decode(bytes(changed))


@pytest.mark.parametrize("bit", range(8 * len(DATAGRAM)))
def test_any_wrong_bit_of_a_udp_datagram_is_an_error(bit: int) -> None:
    changed = bytearray(DATAGRAM)
    changed[bit // 8] ^= 0x80 >> bit % 8
    with pytest.raises(DecodeError):
        UdpDatagram.decode(bytes(changed), SOURCE, DESTINATION)


def test_a_udp_datagram_for_another_address_is_an_error() -> None:
    with pytest.raises(DecodeError, match="UDP checksum"):
        UdpDatagram.decode(DATAGRAM, SOURCE, IPv4Address("198.51.100.2"))


def test_a_udp_datagram_without_a_checksum_is_accepted_and_stays_without() -> None:
    octets = UdpDatagram(434, 434, b"x", has_checksum=False).encode(SOURCE, DESTINATION)
    assert octets[6:8] == b"\x00\x00"
    assert UdpDatagram.decode(octets, SOURCE, DESTINATION).has_checksum is False


def test_a_udp_checksum_that_comes_out_as_zero_is_sent_as_all_ones() -> None:
    plain = UdpDatagram(1, 2, b"\x00\x00").encode(SOURCE, DESTINATION)
    cancelling = UdpDatagram(1, 2, plain[6:8]).encode(SOURCE, DESTINATION)
    assert cancelling[6:8] == b"\xff\xff"
    assert UdpDatagram.decode(cancelling, SOURCE, DESTINATION).payload == plain[6:8]


def test_a_checksum_that_is_not_ready_is_not_looked_at() -> None:
    octets = DATAGRAM[:6] + b"\x12\x34" + DATAGRAM[8:]
    assert UdpDatagram.decode(octets, SOURCE, DESTINATION, checksum_ready=False).payload == b"payload"
    with pytest.raises(DecodeError, match="UDP checksum is 0x1234"):
        UdpDatagram.decode(octets, SOURCE, DESTINATION)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (DATAGRAM[:7], "has 7 bytes, expected at least 8"),
        (DATAGRAM[:-1], "UDP length is 15, expected 8..14"),
        (DATAGRAM[:4] + b"\x00\x07" + DATAGRAM[6:], "UDP length is 7"),
    ],
)
def test_a_udp_length_that_does_not_hold_is_an_error(octets: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        UdpDatagram.decode(octets, SOURCE, DESTINATION)


def _resummed(octets: bytes) -> bytes:
    header_length = (octets[0] & 0x0F) * 4
    checksum = internet_checksum(octets[:10] + bytes(2) + octets[12:header_length])
    return octets[:10] + checksum.to_bytes(2, "big") + octets[12:]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (PACKET[:19], "has 19 bytes, expected at least 20"),
        (PACKET[:-1], "total length is 27, expected 20..26"),
        (_resummed(PACKET[:2] + b"\x00\x13" + PACKET[4:]), "total length is 19"),
        (_resummed(b"\x44" + PACKET[1:]), "begins with 0x44"),
        (_resummed(b"\x65" + PACKET[1:]), "begins with 0x65"),
        (_resummed(PACKET[:6] + b"\x80" + PACKET[7:]), "reserved flag"),
        (_resummed(b"\x4f" + PACKET[1:]), "total length is 27, expected 60"),
    ],
)
def test_an_ipv4_header_that_does_not_hold_is_an_error(octets: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        Ipv4Packet.decode(octets)


def test_a_fragment_is_told_apart() -> None:
    assert Ipv4Packet(SOURCE, DESTINATION, 17, b"", more_fragments=True).is_fragment
    assert Ipv4Packet(SOURCE, DESTINATION, 17, b"", fragment_offset=1).is_fragment
    assert not Ipv4Packet(SOURCE, DESTINATION, 17, b"", dont_fragment=True).is_fragment


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (ARP[:27], "has 27 bytes, expected 28"),
        (b"\x00\x06" + ARP[2:], "is of form"),
        (ARP[:7] + b"\x03" + ARP[8:], "operation is 3"),
        (ARP[:7] + b"\x00" + ARP[8:], "operation is 0"),
    ],
)
def test_an_arp_message_that_is_not_for_ipv4_on_ethernet_is_an_error(octets: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        ArpMessage.decode(octets)


def test_a_gratuitous_arp_message_names_one_address_twice() -> None:
    assert ArpMessage(ArpOperation.REPLY, MAC, SOURCE, MAC, SOURCE).gratuitous
    assert not ArpMessage(ArpOperation.REPLY, MAC, SOURCE, MAC, DESTINATION).gratuitous


def test_a_frame_with_a_length_for_a_type_is_an_error() -> None:
    with pytest.raises(DecodeError, match="ethertype is 0x05ff"):
        EthernetFrame.decode(bytes(12) + b"\x05\xff" + bytes(46))
    with pytest.raises(DecodeError, match="has 13 bytes"):
        EthernetFrame.decode(bytes(13))


def test_a_mac_address_prints_as_it_is_read() -> None:
    assert str(MAC) == "02:00:00:00:00:0a"
    assert MacAddress.parse(str(MAC)) == MAC
    assert repr(MAC) == "MacAddress('02:00:00:00:00:0a')"


@pytest.mark.parametrize("text", ["", "02:00:00:00:00", "02:00:00:00:00:0a:0b", "0200:0000:000a", "zz:00:00:00:00:00"])
def test_what_is_no_mac_address_is_not_read_as_one(text: str) -> None:
    with pytest.raises(EncodeError, match=r"no MAC address|a MAC address has [057] bytes"):
        MacAddress.parse(text)


def test_a_multicast_group_has_its_mac_address() -> None:
    assert str(MacAddress.of_multicast(IPv4Address("224.0.0.11"))) == "01:00:5e:00:00:0b"
    assert str(MacAddress.of_multicast(IPv4Address("239.255.1.2"))) == "01:00:5e:7f:01:02"
    with pytest.raises(EncodeError, match="no multicast address"):
        MacAddress.of_multicast(SOURCE)


@pytest.mark.parametrize(
    "build",
    [
        lambda: MacAddress(bytes(5)),
        lambda: EthernetFrame(MAC, MAC, 0x5FF, b""),
        lambda: Ipv4Packet(SOURCE, DESTINATION, 256, b""),
        lambda: Ipv4Packet(SOURCE, DESTINATION, 17, bytes(65516)),
        lambda: Ipv4Packet(SOURCE, DESTINATION, 17, b"", ttl=256),
        lambda: Ipv4Packet(SOURCE, DESTINATION, 17, b"", options=b"abc"),
        lambda: Ipv4Packet(SOURCE, DESTINATION, 17, b"", options=bytes(44)),
        lambda: Ipv4Packet(SOURCE, DESTINATION, 17, b"", fragment_offset=0x2000),
        lambda: UdpDatagram(65536, 0, b""),
        lambda: UdpDatagram(0, 0, bytes(65528)),
    ],
)
def test_a_packet_that_cannot_be_written_cannot_be_made(build: Callable[[], object]) -> None:
    with pytest.raises(EncodeError):
        build()
