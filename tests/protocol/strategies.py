"""Hypothesis strategies: valid messages of every kind, and bytes that are nearly one.

Nearly valid bytes come from a valid message by a few small wounds (a byte changed, bytes cut out, put in or appended),
with checksums repaired where there are any, so that they reach the code behind the checksum.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from hypothesis import strategies as st

from testbed.protocol.discovery import (
    AgentAdvertisement,
    AgentFlags,
    RouterAddress,
    RouterAdvertisement,
    Solicitation,
)
from testbed.protocol.extension_table import REGISTRATION_EXTENSIONS
from testbed.protocol.extensions import AuthenticationExtension, AuthenticationKind, Extension, Padding, RawExtension
from testbed.protocol.icmp import with_checksum
from testbed.protocol.packets import ArpMessage, ArpOperation, EthernetFrame, Ipv4Packet, MacAddress, UdpDatagram
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, RequestFlags
from testbed.protocol.reply_codes import reply_code

uint8 = st.integers(0, 0xFF)
uint16 = st.integers(0, 0xFFFF)
uint32 = st.integers(0, 0xFFFF_FFFF)
uint64 = st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)
addresses = st.builds(IPv4Address, uint32)
macs = st.builds(MacAddress, st.binary(min_size=6, max_size=6))

# Small payloads keep hypothesis quick; the longest ones have tests of their own in test_extensions.
unspoken_types = st.sampled_from([number for number in range(128, 256) if number not in REGISTRATION_EXTENSIONS])
raw_extensions = st.builds(RawExtension, unspoken_types, st.binary(max_size=12))
authentication_extensions = st.builds(
    AuthenticationExtension, st.sampled_from(AuthenticationKind), uint32, st.binary(max_size=20)
)
extensions: st.SearchStrategy[tuple[Extension, ...]] = st.lists(
    st.one_of(st.builds(Padding), raw_extensions, authentication_extensions), max_size=4
).map(tuple)

requests = st.builds(
    RegistrationRequest,
    flags=uint8.map(RequestFlags),
    lifetime_s=uint16,
    home_address=addresses,
    home_agent=addresses,
    care_of_address=addresses,
    identification=uint64,
    extensions=extensions,
)
replies = st.builds(
    RegistrationReply,
    code=uint8.map(reply_code),
    lifetime_s=uint16,
    home_address=addresses,
    home_agent=addresses,
    identification=uint64,
    extensions=extensions,
)
messages = st.one_of(requests, replies)

routers = st.lists(st.builds(RouterAddress, addresses, st.integers(-(2**31), 2**31 - 1)), max_size=5).map(tuple)
raw_extension_tuples = st.lists(raw_extensions, max_size=3).map(tuple)
challenges = st.one_of(st.none(), st.binary(min_size=1, max_size=12))


@st.composite
def _prefix_lengths(draw: st.DrawFn, number: int) -> tuple[int, ...] | None:
    lengths = st.lists(st.integers(0, 32), min_size=number, max_size=number).map(tuple)
    return draw(st.one_of(st.none(), lengths))


@st.composite
def _layouts(draw: st.DrawFn, own_order: list[int]) -> tuple[int, ...]:
    """An order that differs from the own one, with padding; unknown extensions keep theirs."""
    known = draw(st.permutations([extension_type for extension_type in own_order if extension_type < 128]))
    layout = [*known, *(extension_type for extension_type in own_order if extension_type >= 128)]
    for position in draw(st.lists(st.integers(0, len(layout)), max_size=3)):
        layout.insert(position, 0)
    return tuple(layout)


@st.composite
def agent_advertisements(draw: st.DrawFn) -> AgentAdvertisement:
    """Any that rule D4 allows, in any layout."""
    foreign = draw(st.booleans())
    allowed = 0xFFFF if foreign else 0xFFFF & ~(AgentFlags.BUSY | AgentFlags.REGISTRATION_REQUIRED)
    flags = AgentFlags(draw(uint16) & allowed & ~AgentFlags.FOREIGN_AGENT)
    flags |= AgentFlags.FOREIGN_AGENT if foreign else AgentFlags.HOME_AGENT
    addressed = draw(routers)
    prefix_lengths = draw(_prefix_lengths(len(addressed)))
    challenge = draw(challenges)
    unknown = draw(raw_extension_tuples)
    optional = [19] * (prefix_lengths is not None) + [24] * (challenge is not None)
    layout = draw(_layouts([16, *optional, *(extension.type for extension in unknown)]))
    return AgentAdvertisement(
        lifetime_s=draw(uint16),
        routers=addressed,
        sequence=draw(uint16),
        registration_lifetime_s=draw(uint16),
        flags=flags,
        care_of_addresses=tuple(draw(st.lists(addresses, min_size=int(foreign), max_size=4))),
        prefix_lengths=prefix_lengths,
        code=draw(st.sampled_from((0, 16))),
        challenge=challenge,
        unknown=unknown,
        layout=layout,
    )


@st.composite
def router_advertisements(draw: st.DrawFn) -> RouterAdvertisement:
    """Any plain router's advertisement."""
    addressed = draw(routers.filter(bool))
    return RouterAdvertisement(
        lifetime_s=draw(uint16),
        routers=addressed,
        prefix_lengths=draw(_prefix_lengths(len(addressed))),
        code=draw(st.sampled_from((0, 16))),
        challenge=draw(challenges),
        unknown=draw(raw_extension_tuples),
    )


solicitations = st.builds(
    Solicitation, uint32, st.lists(st.one_of(st.builds(Padding), raw_extensions), max_size=2).map(tuple)
)
discovery_messages = st.one_of(agent_advertisements(), router_advertisements(), solicitations)

ethernet_frames = st.builds(EthernetFrame, macs, macs, st.integers(0x600, 0xFFFF), st.binary(max_size=20))
arp_messages = st.builds(ArpMessage, st.sampled_from(ArpOperation), macs, addresses, macs, addresses)
ipv4_packets = st.builds(
    Ipv4Packet,
    source=addresses,
    destination=addresses,
    protocol=uint8,
    payload=st.binary(max_size=20),
    ttl=uint8,
    identification=uint16,
    tos=uint8,
    dont_fragment=st.booleans(),
    more_fragments=st.booleans(),
    fragment_offset=st.integers(0, 0x1FFF),
    options=st.integers(0, 10).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)),
)
udp_datagrams = st.builds(UdpDatagram, uint16, uint16, st.binary(max_size=20), st.booleans())


def with_right_icmp_checksum(octets: bytes) -> bytes:
    """The bytes with their checksum field repaired, if they have one."""
    return with_checksum(octets[:2] + bytes(2) + octets[4:]) if len(octets) >= 4 else octets


@st.composite
def _wound(draw: st.DrawFn, octets: bytes) -> bytes:
    position = draw(st.integers(0, len(octets)))
    kind = draw(st.sampled_from(("change", "cut", "insert", "truncate", "append")))
    if kind == "change":
        return octets[:position] + bytes((draw(uint8),)) + octets[position + 1 :]
    if kind == "cut":
        return octets[:position] + octets[position + draw(st.integers(1, 8)) :]
    if kind == "insert":
        return octets[:position] + draw(st.binary(min_size=1, max_size=8)) + octets[position:]
    return octets[:position] if kind == "truncate" else octets + draw(st.binary(min_size=1, max_size=8))


def nearly(
    valid: st.SearchStrategy[bytes], repaired: Callable[[bytes], bytes] = lambda octets: octets
) -> st.SearchStrategy[bytes]:
    """Valid bytes with zero to three wounds, and random bytes now and then."""
    once = valid.flatmap(_wound)
    return st.one_of(valid, once.map(repaired), once.flatmap(_wound).flatmap(_wound).map(repaired), st.binary())
