"""Between frames on an agent's link and the events and actions of its state machine; bytes and values, no sockets.

What is read is judged only as far as the wire formats go: a frame that is not meant for us gives None, one that is
malformed raises DecodeError.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.actions import (
    AnnounceAddress,
    AnswerArp,
    Neighbour,
    SendAction,
    SendAdvertisement,
    SendRegistration,
    SendSolicitation,
)
from testbed.agents.events import (
    AdvertisementHeard,
    ArpRequestHeard,
    Event,
    ReplyHeard,
    RequestHeard,
    SolicitationHeard,
)
from testbed.errors import DecodeError
from testbed.protocol.discovery import AgentAdvertisement, Solicitation, decode_icmp
from testbed.protocol.extensions import ExtensionType
from testbed.protocol.packets import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    PROTOCOL_ICMP,
    PROTOCOL_UDP,
    ArpMessage,
    ArpOperation,
    EthernetFrame,
    Ipv4Packet,
    MacAddress,
    UdpDatagram,
)
from testbed.protocol.registration import (
    REGISTRATION_PORT,
    RegistrationReply,
    RegistrationRequest,
    decode_message,
)

ALL_SYSTEMS = IPv4Address("224.0.0.1")
ALL_ROUTERS = IPv4Address("224.0.0.2")
ALL_MOBILITY_AGENTS = IPv4Address("224.0.0.11")
LIMITED_BROADCAST = IPv4Address("255.255.255.255")
GROUPS = frozenset((ALL_SYSTEMS, ALL_ROUTERS, ALL_MOBILITY_AGENTS, LIMITED_BROADCAST))  # D2, D8
DISCOVERY_TTL = 1  # D1

_NOT_ACTED_ON = frozenset(
    (ExtensionType.GENERALISED_AUTHENTICATION, ExtensionType.UDP_TUNNEL_REPLY, ExtensionType.FOREIGN_AGENT_ERROR)
)


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """Who the agent is on its link: its MAC, its IP address, and every address that packets for it may have."""

    mac: MacAddress
    ip: IPv4Address
    accepted: Container[IPv4Address]


def read_frame(octets: bytes, own: LinkAddress, *, checksum_ready: bool = True) -> Event | None:
    """What a frame means to us.

    ``checksum_ready`` False: its sender is on this machine and left the UDP checksum to a device that never saw it.
    """
    frame = EthernetFrame.decode(octets)
    if frame.ethertype == ETHERTYPE_ARP:
        return _read_arp(frame, own)
    if frame.ethertype != ETHERTYPE_IPV4:
        return None
    packet = Ipv4Packet.decode(frame.payload)
    if packet.is_fragment:
        raise DecodeError("a fragment, expected a whole packet")
    if packet.destination not in GROUPS and packet.destination not in own.accepted:
        return None
    if packet.protocol == PROTOCOL_ICMP:
        return _read_discovery(frame, packet)
    if packet.protocol == PROTOCOL_UDP:
        return _read_registration(frame, packet, checksum_ready=checksum_ready)
    return None


def read_message(payload: bytes, source: IPv4Address, source_port: int, destination: IPv4Address, ttl: int) -> Event:
    """A registration message that came over the UDP socket; DecodeError for all other messages of port 434."""
    return _registration(payload, source, source_port, destination, ttl, None)


def _read_arp(frame: EthernetFrame, own: LinkAddress) -> Event | None:
    arp = ArpMessage.decode(frame.payload)
    if arp.operation is not ArpOperation.REQUEST or arp.gratuitous:
        return None
    return ArpRequestHeard(arp.sender_address, frame.source, arp.target_address, frame.destination == own.mac)


def _read_discovery(frame: EthernetFrame, packet: Ipv4Packet) -> Event | None:
    message = decode_icmp(packet.payload)
    if isinstance(message, AgentAdvertisement):
        return AdvertisementHeard(message, packet.source, frame.source)
    if isinstance(message, Solicitation):
        return SolicitationHeard(packet.source, frame.source)
    return None  # a plain router's advertisement


def _read_registration(frame: EthernetFrame, packet: Ipv4Packet, *, checksum_ready: bool) -> Event | None:
    source, destination = packet.source, packet.destination
    datagram = UdpDatagram.decode(packet.payload, source, destination, checksum_ready=checksum_ready)
    if datagram.destination_port != REGISTRATION_PORT:
        return None
    return _registration(datagram.payload, source, datagram.source_port, destination, packet.ttl, frame.source)


def _registration(
    payload: bytes,
    source: IPv4Address,
    source_port: int,
    destination: IPv4Address,
    ttl: int,
    source_mac: MacAddress | None,
) -> Event:
    message = decode_message(payload)
    if isinstance(message, RegistrationRequest | RegistrationReply):
        _require_understood(message)
    if isinstance(message, RegistrationRequest):
        return RequestHeard(message, source, source_port, destination, ttl, source_mac)
    if isinstance(message, RegistrationReply):
        return ReplyHeard(message, source, source_mac)
    raise DecodeError(f"message type {payload[0]} on port {REGISTRATION_PORT} is not spoken here")


def _require_understood(message: RegistrationRequest | RegistrationReply) -> None:
    """An extension that may not be skipped and that no agent acts on: the message is discarded (RFC 5944 1.8)."""
    for extension in message.extensions:
        if extension.type in _NOT_ACTED_ON:
            raise DecodeError(f"extension {extension.type} is not understood here and may not be skipped")


def write_frame(action: SendAction, own: LinkAddress, next_identification: Callable[[], int]) -> bytes:
    """The frame that carries out ``action`` on the link; ``next_identification`` numbers IPv4 packets."""
    match action:
        case SendAdvertisement(advertisement=advertisement, to=to):
            icmp, mac, destination = advertisement.encode(), *_advertisement_goes_to(to)
            packet = Ipv4Packet(own.ip, destination, PROTOCOL_ICMP, icmp, DISCOVERY_TTL, next_identification())
        case SendSolicitation(source=source):
            mac = MacAddress.of_multicast(ALL_ROUTERS)
            icmp = Solicitation().encode()
            packet = Ipv4Packet(source, ALL_ROUTERS, PROTOCOL_ICMP, icmp, DISCOVERY_TTL, next_identification())
        case SendRegistration(source=source, destination=destination, mac=MacAddress() as mac):
            udp = UdpDatagram(action.source_port, action.destination_port, action.message.encode())
            payload = udp.encode(source, destination)
            packet = Ipv4Packet(source, destination, PROTOCOL_UDP, payload, action.ttl, next_identification())
        case AnnounceAddress(address=address, mac=announced):
            return _gratuitous_arp(address, announced or own.mac, own)
        case AnswerArp(address=address, asker=asker):
            answer = ArpMessage(ArpOperation.REPLY, own.mac, address, asker.mac, asker.address)
            return EthernetFrame(asker.mac, own.mac, ETHERTYPE_ARP, answer.encode()).encode()
        case _:
            raise ValueError(f"{action} does not go onto the link")
    return EthernetFrame(mac, own.mac, ETHERTYPE_IPV4, packet.encode()).encode()


def _advertisement_goes_to(to: Neighbour | None) -> tuple[MacAddress, IPv4Address]:
    """D2: the solicitor's MAC and address; whoever has no address yet is told by the group's."""
    if to is None:
        return MacAddress.of_multicast(ALL_SYSTEMS), ALL_SYSTEMS
    return to.mac, ALL_SYSTEMS if to.address.is_unspecified else to.address


def _gratuitous_arp(address: IPv4Address, mac: MacAddress, own: LinkAddress) -> bytes:
    """H12: a broadcast request whose sender and target are the announced address.

    The frame comes from our own MAC even when it announces another's: switches learn by it where we are.
    """
    arp = ArpMessage(ArpOperation.REQUEST, mac, address, MacAddress.ZERO, address)
    return EthernetFrame(MacAddress.BROADCAST, own.mac, ETHERTYPE_ARP, arp.encode()).encode()
