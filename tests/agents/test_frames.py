"""Frames on the link: what they mean to an agent, and what an agent's actions look like (D1, D2, M7, H12)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agents.actions import (
    AnnounceAddress,
    AnswerArp,
    Neighbour,
    SendAction,
    SendAdvertisement,
    SendRegistration,
    SendSolicitation,
)
from testbed.agents.events import AdvertisementHeard, ArpRequestHeard, RequestHeard, SolicitationHeard
from testbed.agents.frames import LinkAddress, read_frame, read_message, write_frame
from testbed.errors import DecodeError
from testbed.protocol.packets import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    PROTOCOL_UDP,
    ArpMessage,
    ArpOperation,
    EthernetFrame,
    Ipv4Packet,
    MacAddress,
    UdpDatagram,
)
from tests.agents.parties import (
    ACCESS_A,
    CARE_OF_A,
    FA_A_MAC,
    HOME_ADDRESS,
    HOME_AGENT,
    MN_MAC,
    foreign_advertisement,
    request,
)

AGENT = LinkAddress(FA_A_MAC, ACCESS_A.ip, {ACCESS_A.ip, CARE_OF_A})
NODE = LinkAddress(MN_MAC, HOME_ADDRESS, {HOME_ADDRESS})
ADVERTISEMENT = foreign_advertisement().advertisement
TO_AGENT = SendRegistration(request(), HOME_ADDRESS, ACCESS_A.ip, ttl=1, mac=FA_A_MAC)


def on_the_wire(action: SendAction, sender: LinkAddress) -> tuple[EthernetFrame, Ipv4Packet]:
    frame = EthernetFrame.decode(write_frame(action, sender, lambda: 7))
    return frame, Ipv4Packet.decode(frame.payload)


def test_an_advertisement_goes_to_all_systems_with_ttl_1() -> None:
    """D1, D2."""
    frame, packet = on_the_wire(SendAdvertisement(ADVERTISEMENT), AGENT)
    assert (str(frame.destination), frame.source) == ("01:00:5e:00:00:01", FA_A_MAC)
    assert (packet.source, packet.destination, packet.ttl) == (ACCESS_A.ip, IPv4Address("224.0.0.1"), 1)


@pytest.mark.parametrize(("address", "destination"), [("192.0.2.10", "192.0.2.10"), ("0.0.0.0", "224.0.0.1")])
def test_an_answer_goes_to_the_solicitors_mac(address: str, destination: str) -> None:
    """D2: its address as destination if it has one."""
    to = Neighbour(IPv4Address(address), MN_MAC)
    frame, packet = on_the_wire(SendAdvertisement(ADVERTISEMENT, to), AGENT)
    assert frame.destination == MN_MAC
    assert (packet.destination, packet.ttl) == (IPv4Address(destination), 1)


def test_a_solicitation_goes_to_all_routers_with_ttl_1() -> None:
    """D1, G6."""
    frame, packet = on_the_wire(SendSolicitation(HOME_ADDRESS), NODE)
    assert str(frame.destination) == "01:00:5e:00:00:02"
    assert (packet.destination, packet.ttl, packet.payload[:2]) == (IPv4Address("224.0.0.2"), 1, b"\x0a\x00")


def test_a_request_arrives_as_it_was_sent() -> None:
    """F2: with MAC, addresses, port and TTL."""
    heard = read_frame(write_frame(TO_AGENT, NODE, lambda: 1), AGENT)
    assert heard == RequestHeard(request(), HOME_ADDRESS, 434, ACCESS_A.ip, 1, MN_MAC)


def test_a_request_with_an_extension_that_no_agent_acts_on_and_that_may_not_be_skipped_is_not_read() -> None:
    """RFC 5944 1.8; what may be skipped is."""
    fixed = request().encode()
    to_agent = (HOME_ADDRESS, 434, ACCESS_A.ip, 1)
    assert isinstance(read_message(fixed + bytes((145, 2, 1, 65)), *to_agent), RequestHeard)
    with pytest.raises(DecodeError, match="extension 45 is not understood here"):
        read_message(fixed + bytes((45, 2, 0, 64)), *to_agent)


def test_an_advertisement_arrives_as_it_was_sent() -> None:
    heard = read_frame(write_frame(SendAdvertisement(ADVERTISEMENT), AGENT, lambda: 1), NODE)
    assert heard == AdvertisementHeard(ADVERTISEMENT, ACCESS_A.ip, FA_A_MAC)


def test_a_solicitation_is_heard_wherever_its_sender_belongs_to() -> None:
    """D8."""
    heard = read_frame(write_frame(SendSolicitation(HOME_ADDRESS), NODE, lambda: 1), AGENT)
    assert heard == SolicitationHeard(HOME_ADDRESS, MN_MAC)


def test_a_message_that_only_passes_through_is_not_ours() -> None:
    """A registration of somebody else's, on its way to another agent."""
    passing = replace(TO_AGENT, destination=HOME_AGENT)
    assert read_frame(write_frame(passing, NODE, lambda: 1), AGENT) is None


def udp_frame(source_port: int, destination_port: int, payload: bytes, **options: bool) -> bytes:
    udp = UdpDatagram(source_port, destination_port, payload, **options).encode(HOME_ADDRESS, ACCESS_A.ip)
    packet = Ipv4Packet(HOME_ADDRESS, ACCESS_A.ip, PROTOCOL_UDP, udp)
    return EthernetFrame(FA_A_MAC, MN_MAC, ETHERTYPE_IPV4, packet.encode()).encode()


def test_a_message_without_a_checksum_is_accepted() -> None:
    """M7."""
    heard = read_frame(udp_frame(5000, 434, request().encode(), has_checksum=False), AGENT)
    assert isinstance(heard, RequestHeard)
    assert heard.source_port == 5000


def test_a_wrong_checksum_is_refused_unless_the_sender_left_it_to_hardware() -> None:
    """M7."""
    frame = bytearray(udp_frame(5000, 434, request().encode()))
    frame[14 + 20 + 6] ^= 0xFF
    with pytest.raises(DecodeError, match="checksum"):
        read_frame(bytes(frame), AGENT)
    assert isinstance(read_frame(bytes(frame), AGENT, checksum_ready=False), RequestHeard)


def test_another_port_is_not_ours() -> None:
    assert read_frame(udp_frame(434, 53, request().encode()), AGENT) is None


def test_a_fragment_is_refused() -> None:
    packet = Ipv4Packet(HOME_ADDRESS, ACCESS_A.ip, PROTOCOL_UDP, bytes(16), more_fragments=True)
    with pytest.raises(DecodeError, match="fragment"):
        read_frame(EthernetFrame(FA_A_MAC, MN_MAC, ETHERTYPE_IPV4, packet.encode()).encode(), AGENT)


@pytest.mark.parametrize("message_type", [4, 7, 16, 255])
def test_a_message_type_that_is_not_spoken_is_refused(message_type: int) -> None:
    with pytest.raises(DecodeError, match=f"type {message_type} "):
        read_message(bytes((message_type,)) + bytes(40), HOME_AGENT, 434, CARE_OF_A, 64)


@pytest.mark.parametrize(("announced", "mac"), [(None, FA_A_MAC), (MN_MAC, MN_MAC)])
def test_a_gratuitous_arp_names_the_address_twice_and_goes_to_all(
    announced: MacAddress | None, mac: MacAddress
) -> None:
    """H12: sender and target protocol address are the announced one."""
    frame = EthernetFrame.decode(write_frame(AnnounceAddress(HOME_ADDRESS, announced), AGENT, lambda: 1))
    arp = ArpMessage.decode(frame.payload)
    assert (frame.destination, frame.source, frame.ethertype) == (MacAddress.BROADCAST, FA_A_MAC, ETHERTYPE_ARP)
    assert (arp.operation, arp.sender_address, arp.target_address) == (ArpOperation.REQUEST, HOME_ADDRESS, HOME_ADDRESS)
    assert arp.sender_mac == mac


def test_an_arp_answer_is_unicast() -> None:
    """M11."""
    answer = AnswerArp(HOME_ADDRESS, Neighbour(ACCESS_A.ip, FA_A_MAC))
    frame = EthernetFrame.decode(write_frame(answer, NODE, lambda: 1))
    assert (frame.destination, frame.source) == (FA_A_MAC, MN_MAC)
    assert ArpMessage.decode(frame.payload) == ArpMessage(
        ArpOperation.REPLY, MN_MAC, HOME_ADDRESS, FA_A_MAC, ACCESS_A.ip
    )


@pytest.mark.parametrize(("destination", "unicast"), [(MN_MAC, True), (MacAddress.BROADCAST, False)])
def test_an_arp_request_tells_whether_it_was_meant_for_us_alone(destination: MacAddress, unicast: bool) -> None:
    """M11."""
    asked = ArpMessage(ArpOperation.REQUEST, FA_A_MAC, ACCESS_A.ip, MacAddress.ZERO, HOME_ADDRESS)
    frame = EthernetFrame(destination, FA_A_MAC, ETHERTYPE_ARP, asked.encode()).encode()
    assert read_frame(frame, NODE) == ArpRequestHeard(ACCESS_A.ip, FA_A_MAC, HOME_ADDRESS, unicast)


@pytest.mark.parametrize("operation", list(ArpOperation))
def test_arp_replies_and_announcements_are_no_questions(operation: ArpOperation) -> None:
    said = ArpMessage(operation, FA_A_MAC, HOME_ADDRESS, MacAddress.ZERO, HOME_ADDRESS)
    frame = EthernetFrame(MacAddress.BROADCAST, FA_A_MAC, ETHERTYPE_ARP, said.encode()).encode()
    assert read_frame(frame, NODE) is None


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_decode_error(octets: bytes) -> None:
    for headed in (octets, bytes(FA_A_MAC) + bytes(MN_MAC) + b"\x08\x00" + octets):
        try:
            read_frame(headed, AGENT)
        except DecodeError:
            continue


@given(st.data())
def test_no_broken_message_raises_anything_but_a_decode_error(data: st.DataObject) -> None:
    frame = bytearray(write_frame(TO_AGENT, NODE, lambda: 1))
    for place in data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1, max_size=4)):
        frame[place] = data.draw(st.integers(0, 255))
    try:
        read_frame(bytes(frame[: data.draw(st.integers(0, len(frame)))]), AGENT, checksum_ready=False)
    except DecodeError:
        return
