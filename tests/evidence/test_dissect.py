"""scapy builds the frames, and says what is in them."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.l2 import ARP, Ether

from testbed.evidence.dissect import (
    ETHERTYPE_ARP,
    LINKTYPE_ETHERNET,
    IcmpHeader,
    TcpHeader,
    UdpHeader,
    dissect,
    dissect_ipv4,
)

ADDRESSES = st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number)))
TRANSPORTS = st.one_of(
    st.builds(lambda s, d: UDP(sport=s, dport=d), st.integers(0, 65535), st.integers(0, 65535)),
    st.builds(
        lambda s, d, seq, options: TCP(sport=s, dport=d, seq=seq, options=options),
        st.integers(0, 65535),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
        st.sampled_from([[], [("MSS", 1460)], [("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)]]),
    ),
    st.builds(lambda seq: ICMP(type=8, id=7, seq=seq), st.integers(0, 65535)),
)
HEADERS = st.builds(
    lambda src, dst, ttl, ident, tos, options: IP(src=src, dst=dst, ttl=ttl, id=ident, tos=tos, options=options),
    ADDRESSES,
    ADDRESSES,
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, 255),
    st.sampled_from([[], [IPOption_RR(routers=["0.0.0.0"])]]),
)


@given(st.lists(HEADERS, min_size=1, max_size=3), TRANSPORTS, st.binary(max_size=80))
def test_every_header_and_the_payload_are_what_scapy_put_there(headers: list[Any], transport: Any, load: bytes) -> None:
    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for header in headers:
        packet = packet / header.copy()
    frame = bytes(packet / transport.copy() / load)
    layers = dissect(frame + b"\0" * max(0, 60 - len(frame)))

    expected = Ether(frame)
    assert layers.malformed is None
    assert layers.ether_destination.hex(":") == expected.dst
    assert layers.ether_source.hex(":") == expected.src
    assert len(layers.headers) == len(headers)
    for number, header in enumerate(layers.headers):
        ip = expected.getlayer(IP, number + 1)
        assert (str(header.source), str(header.destination)) == (ip.src, ip.dst)
        assert (header.ttl, header.identification, header.tos, header.protocol) == (ip.ttl, ip.id, ip.tos, ip.proto)
        assert (header.total_length, header.checksum) == (ip.len, ip.chksum)
    assert frame[layers.payload_offset : layers.payload_end] == load
    _same_transport(layers.transport, expected.getlayer(type(transport)))


def _same_transport(ours: object, theirs: Any) -> None:
    if isinstance(ours, UdpHeader):
        assert ours == (theirs.sport, theirs.dport, theirs.len, theirs.chksum)
    elif isinstance(ours, TcpHeader):
        assert ours[:5] == (theirs.sport, theirs.dport, theirs.seq, theirs.ack, int(theirs.flags))
    else:
        assert isinstance(ours, IcmpHeader)
        assert ours[:3] == (theirs.type, theirs.code, theirs.chksum)


@given(st.binary(max_size=120), st.sampled_from([LINKTYPE_ETHERNET, 101, 113]))
def test_no_bytes_make_it_raise(frame: bytes, linktype: int) -> None:
    layers = dissect(frame, linktype)
    assert 0 <= layers.payload_offset <= layers.payload_end <= len(frame) or layers.malformed


@given(st.integers(0, 110), st.integers(0, 255), st.integers(0, 110))
def test_no_damage_to_a_tunnelled_packet_makes_it_raise(position: int, value: int, length: int) -> None:
    whole = bytes(Ether() / IP(src="192.0.2.1") / IP(src="192.0.2.9") / TCP(options=[("MSS", 1460)]) / b"some load")
    damaged = bytearray(whole)
    damaged[position % len(whole)] = value
    layers = dissect(bytes(damaged[:length]))
    for header in layers.headers:
        assert header.offset < header.payload_offset <= header.end <= length


def test_arp_is_read() -> None:
    frame = bytes(
        Ether() / ARP(op=2, hwsrc="02:00:00:00:00:01", psrc="192.0.2.10", hwdst="00:00:00:00:00:00", pdst="192.0.2.10")
    )
    layers = dissect(frame)
    assert layers.ethertype == ETHERTYPE_ARP
    assert layers.arp is not None
    assert layers.arp.gratuitous
    assert layers.arp.operation == 2
    assert layers.arp.sender_mac.hex(":") == "02:00:00:00:00:01"


def test_an_icmp_error_quotes_the_packet_that_it_is_about() -> None:
    about = IP(src="203.0.113.10", dst="192.0.2.10") / UDP(sport=5000, dport=5001) / (b"x" * 100)
    error = IP(src="192.0.2.1", dst="203.0.113.10") / ICMP(type=3, code=1) / bytes(about)[:28]
    layers = dissect(bytes(Ether() / error))
    assert isinstance(layers.transport, IcmpHeader)
    assert layers.transport.is_error
    quoted = dissect_ipv4(bytes(error)[28:])
    assert str(quoted.headers[0].destination) == "192.0.2.10"
    assert isinstance(quoted.transport, UdpHeader)
    assert quoted.malformed is not None
    assert "128" in quoted.malformed


def test_a_later_fragment_has_no_transport_header_and_is_not_looked_into() -> None:
    fragment = IP(src="192.0.2.1", dst="198.51.100.66", proto=4, frag=100, flags="MF") / bytes(IP() / UDP())
    layers = dissect(bytes(Ether() / fragment))
    assert len(layers.headers) == 1
    assert layers.headers[0].fragment_offset == 800
    assert layers.headers[0].more_fragments
    assert not layers.headers[0].dont_fragment
    assert layers.transport is None


def test_a_later_fragment_of_a_datagram_has_no_ports() -> None:
    layers = dissect(bytes(Ether() / IP(proto=17, frag=185) / (b"x" * 40)))
    assert layers.transport is None
    assert layers.payload_end - layers.payload_offset == 40


def test_the_first_fragment_of_a_tunnel_packet_shows_the_inner_header() -> None:
    inner = bytes(IP(src="203.0.113.10", dst="192.0.2.10") / UDP(sport=1, dport=2) / (b"x" * 1400))
    layers = dissect(bytes(Ether() / IP(proto=4, flags="MF") / inner[:800]))
    assert str(layers.headers[1].destination) == "192.0.2.10"
    assert isinstance(layers.transport, UdpHeader)
    assert layers.malformed == "IPv4 total length 1428, but 800 bytes present"


def test_a_tower_of_headers_costs_no_more_than_a_few() -> None:
    tower = Ether()
    for _ in range(60):
        tower = tower / IP()
    assert len(dissect(bytes(tower / UDP())).headers) == 8


@pytest.mark.parametrize(("linktype", "headers"), [(101, 1), (12, 1), (228, 1), (113, 0)])
def test_raw_links_begin_with_the_ip_header_and_unknown_ones_say_so(linktype: int, headers: int) -> None:
    layers = dissect(bytes(IP() / UDP()), linktype)
    assert len(layers.headers) == headers
    assert (layers.malformed is None) == bool(headers)
