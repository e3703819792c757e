"""scapy, another implementation, writes the same bytes and reads the same fields of the fixed headers that it knows."""

from __future__ import annotations

from hypothesis import given
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ, MobileIPTunnelData
from scapy.utils import checksum as scapy_checksum

from testbed.protocol.discovery import Solicitation
from testbed.protocol.packets import ArpMessage, EthernetFrame, Ipv4Packet, UdpDatagram
from testbed.protocol.registration import RegistrationReply, RegistrationRequest
from testbed.protocol.tunnel_data import Keepalive, TunnelData

from . import extension_strategies, strategies
from .frames import AGENT_ADDRESS, HOME_ADDRESS


@given(strategies.requests)
def test_scapy_writes_the_same_request(request: RegistrationRequest) -> None:
    theirs = MobileIP() / MobileIPRRQ(
        flags=int(request.flags),
        lifetime=request.lifetime_s,
        homeaddr=str(request.home_address),
        haaddr=str(request.home_agent),
        coaddr=str(request.care_of_address),
        id=request.identification,
    )
    assert request.encode_fixed() == bytes(theirs)


@given(strategies.replies)
def test_scapy_writes_the_same_reply(reply: RegistrationReply) -> None:
    theirs = MobileIP() / MobileIPRRP(
        code=int(reply.code),
        lifetime=reply.lifetime_s,
        homeaddr=str(reply.home_address),
        haaddr=str(reply.home_agent),
        id=reply.identification,
    )
    assert reply.encode_fixed() == bytes(theirs)


def test_a_solicitation_is_byte_for_byte_the_one_of_scapy() -> None:
    assert Solicitation().encode() == bytes(ICMP(type=10, code=0))


@given(strategies.arp_messages)
def test_scapy_writes_the_same_arp_message(message: ArpMessage) -> None:
    theirs = ARP(
        op=int(message.operation),
        hwsrc=str(message.sender_mac),
        psrc=str(message.sender_address),
        hwdst=str(message.target_mac),
        pdst=str(message.target_address),
    )
    assert message.encode() == bytes(theirs)


@given(strategies.ethernet_frames)
def test_scapy_writes_the_same_ethernet_header(frame: EthernetFrame) -> None:
    theirs = Ether(dst=str(frame.destination), src=str(frame.source), type=frame.ethertype)
    assert frame.encode()[:14] == bytes(theirs)


@given(strategies.ipv4_packets)
def test_scapy_reads_the_same_ipv4_header_and_agrees_on_its_checksum(packet: Ipv4Packet) -> None:
    octets = packet.encode()
    theirs = IP(octets)
    assert (theirs.src, theirs.dst) == (str(packet.source), str(packet.destination))
    assert (theirs.ttl, theirs.tos, theirs.id, theirs.proto) == (
        packet.ttl,
        packet.tos,
        packet.identification,
        packet.protocol,
    )
    assert theirs.frag == packet.fragment_offset
    assert ("DF" in theirs.flags, "MF" in theirs.flags) == (packet.dont_fragment, packet.more_fragments)
    assert (theirs.ihl, theirs.len) == (5 + len(packet.options) // 4, len(octets))
    header = octets[: theirs.ihl * 4]
    assert scapy_checksum(header) == 0  # a header with the right checksum in it sums up to zero


@given(strategies.udp_datagrams)
def test_scapy_writes_the_same_udp_datagram(datagram: UdpDatagram) -> None:
    theirs = IP(src=str(HOME_ADDRESS), dst=str(AGENT_ADDRESS)) / UDP(
        sport=datagram.source_port, dport=datagram.destination_port
    )
    if not datagram.has_checksum:
        theirs[UDP].chksum = 0
    octets = bytes(theirs / datagram.payload)
    assert datagram.encode(HOME_ADDRESS, AGENT_ADDRESS) == octets[20:]


@given(extension_strategies.tunnel_data)
def test_scapy_writes_the_same_header_of_tunnel_data(message: TunnelData) -> None:
    theirs = MobileIP(type=4) / MobileIPTunnelData(nexthdr=message.next_header, res=message.reserved) / message.payload
    assert message.encode() == bytes(theirs)


@given(extension_strategies.keepalives)
def test_scapy_reads_the_same_keepalive(keepalive: Keepalive) -> None:
    theirs = MobileIP(keepalive.encapsulated().encode())
    assert (theirs[IP].src, theirs[IP].dst) == (str(keepalive.source), str(keepalive.destination))
    echo = theirs[ICMP]
    assert (echo.type, echo.code, echo.id, echo.seq) == (
        0 if keepalive.is_answer else 8,
        0,
        keepalive.identifier,
        keepalive.sequence,
    )
    assert bytes(echo.payload) == keepalive.payload
    assert scapy_checksum(bytes(echo)) == 0
