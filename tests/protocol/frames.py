"""Messages in frames as agents send them, and what tshark makes of such frames."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from testbed.protocol.discovery import AgentAdvertisement, RouterAdvertisement, Solicitation
from testbed.protocol.packets import (
    ETHERTYPE_IPV4,
    PROTOCOL_ICMP,
    PROTOCOL_UDP,
    EthernetFrame,
    Ipv4Packet,
    MacAddress,
    UdpDatagram,
)
from testbed.protocol.registration import REGISTRATION_PORT, SupportedMessage

MOBILE_MAC, AGENT_MAC = MacAddress.parse("02:00:00:00:00:0a"), MacAddress.parse("02:00:00:00:00:01")
HOME_ADDRESS, AGENT_ADDRESS = IPv4Address("192.0.2.10"), IPv4Address("198.51.100.1")
ALL_SYSTEMS = IPv4Address("224.0.0.1")


def in_udp(message: SupportedMessage) -> bytes:
    """The frame of a message on port 434 from the mobile node to its foreign agent."""
    datagram = UdpDatagram(49152, REGISTRATION_PORT, message.encode()).encode(HOME_ADDRESS, AGENT_ADDRESS)
    packet = Ipv4Packet(HOME_ADDRESS, AGENT_ADDRESS, PROTOCOL_UDP, datagram, ttl=255)
    return EthernetFrame(AGENT_MAC, MOBILE_MAC, ETHERTYPE_IPV4, packet.encode()).encode()


def in_icmp(message: AgentAdvertisement | RouterAdvertisement | Solicitation) -> bytes:
    """The frame of a discovery message to all systems on the link."""
    packet = Ipv4Packet(AGENT_ADDRESS, ALL_SYSTEMS, PROTOCOL_ICMP, message.encode(), ttl=1)
    return EthernetFrame(MacAddress.of_multicast(ALL_SYSTEMS), AGENT_MAC, ETHERTYPE_IPV4, packet.encode()).encode()


def dissected(frames: Sequence[bytes], fields: Iterable[str], folder: Path) -> list[dict[str, list[str]]]:
    """What tshark reads in each frame: field to all its values, in order. Skips the test where tshark is missing."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    names = list(fields)
    capture = folder / "frames.pcap"
    wrpcap(str(capture), [Ether(frame) for frame in frames])
    command = [tshark, "-n", "-r", str(capture), "-T", "fields", "-E", "aggregator=;"]
    command += ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    command += [argument for name in names for argument in ("-e", name)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    rows = [line.split("\t") for line in output.splitlines()]
    return [{name: value.split(";") if value else [] for name, value in zip(names, row, strict=True)} for row in rows]
