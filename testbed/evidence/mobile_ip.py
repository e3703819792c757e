"""Reads Mobile IP messages off the wire for checks: registrations, advertisements, solicitations, ARP announcements.

It shares no code with ``protocol/``, whose work it is used to judge. What was read is plain data
(``mobile_ip_messages.py``); scapy does the reading (``mobile_ip_reader.py``) and is imported with the first message,
since it takes half a second.
"""

from __future__ import annotations

from collections.abc import Iterable

from testbed.evidence.mobile_ip_messages import (
    FOREIGN_HOME,
    MOBILE_FOREIGN,
    MOBILE_HOME,
    REPLY,
    REQUEST,
    Algorithm,
    SeenAdvertisement,
    SeenAnnouncement,
    SeenExtension,
    SeenRegistration,
    SeenSolicitation,
)
from testbed.evidence.packets import Packet

__all__ = [
    "FOREIGN_HOME",
    "MOBILE_FOREIGN",
    "MOBILE_HOME",
    "REGISTRATION_PORT",
    "REPLY",
    "REQUEST",
    "Algorithm",
    "SeenAdvertisement",
    "SeenAnnouncement",
    "SeenExtension",
    "SeenRegistration",
    "SeenSolicitation",
    "advertisements",
    "announcements",
    "registrations",
    "solicitations",
]

REGISTRATION_PORT = 434
_ICMP_ADVERTISEMENT, _ICMP_SOLICITATION = 9, 10


def registrations(packets: Iterable[Packet]) -> list[SeenRegistration]:
    """The registration requests and replies among packets, in their order, once for each capture that saw them.

    Fragments after the first and messages that are too short even for their fixed part are left out.
    """
    carriers = [packet for packet in packets if _may_carry_registration(packet)]
    if not carriers:
        return []
    from testbed.evidence import mobile_ip_reader as reader

    messages = ((packet, reader.registration_fields(packet.payload)) for packet in carriers)
    return [SeenRegistration(packet=packet, **fields) for packet, fields in messages if fields is not None]


def advertisements(packets: Iterable[Packet]) -> list[SeenAdvertisement]:
    """The ICMP router advertisements among packets, those of mobility agents and others."""
    carriers = [packet for packet in packets if packet.icmp is not None and packet.icmp.type == _ICMP_ADVERTISEMENT]
    if not carriers:
        return []
    from testbed.evidence import mobile_ip_reader as reader

    return [SeenAdvertisement(packet=packet, **reader.advertisement_fields(_message(packet))) for packet in carriers]


def solicitations(packets: Iterable[Packet]) -> list[SeenSolicitation]:
    """The ICMP router solicitations among packets."""
    carriers = [packet for packet in packets if packet.icmp is not None and packet.icmp.type == _ICMP_SOLICITATION]
    if not carriers:
        return []
    from testbed.evidence import mobile_ip_reader as reader

    return [SeenSolicitation(packet=packet, **reader.solicitation_fields(_message(packet))) for packet in carriers]


def announcements(packets: Iterable[Packet]) -> list[SeenAnnouncement]:
    """The gratuitous ARP messages among packets."""
    return [
        SeenAnnouncement(packet, packet.arp.sender, packet.arp.sender_mac, packet.arp.operation)
        for packet in packets
        if packet.arp is not None and packet.arp.gratuitous
    ]


def _may_carry_registration(packet: Packet) -> bool:
    udp = packet.udp
    if udp is None or REGISTRATION_PORT not in (udp.source_port, udp.destination_port):
        return False
    return packet.payload[:1] in (b"\1", b"\3")


def _message(packet: Packet) -> bytes:
    """An ICMP message from its first byte to the end of its IP packet."""
    layers = packet.layers
    return packet.frame[layers.headers[-1].payload_offset : layers.payload_end]
