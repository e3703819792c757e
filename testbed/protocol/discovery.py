"""Agent discovery on the wire: router and agent advertisements and solicitations (RFC 5944 2, RFC 1256).

An advertisement with extension 16 is an :class:`AgentAdvertisement`, one without it a :class:`RouterAdvertisement`.
All encode to a whole ICMP message with its checksum, and ``decode(b).encode() == b`` for every ``b`` that is accepted.
TTL and addresses belong to the IP packet around it; when to send, and what a mobile node concludes, is for the agents.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TypeVar

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.advertisement_extensions import (
    ADVERTISEMENT_EXTENSIONS,
    AdvertisedChallenge,
    AgentFlags,
    MobilityAgent,
    PrefixLengths,
)
from testbed.protocol.advertisement_layout import arranged, normal_layout
from testbed.protocol.extensions import Extension, RawExtension, decode_extensions, encode_extensions
from testbed.protocol.fields import UINT8_MAX, UINT16_MAX, UINT32_MAX, require_at_most
from testbed.protocol.icmp import require_icmp, with_checksum

__all__ = [
    "ROUTER_ADVERTISEMENT_TYPE",
    "ROUTER_SOLICITATION_TYPE",
    "AgentAdvertisement",
    "AgentFlags",
    "RouterAddress",
    "RouterAdvertisement",
    "Solicitation",
    "decode_icmp",
    "next_sequence",
]

ROUTER_ADVERTISEMENT_TYPE = 9
ROUTER_SOLICITATION_TYPE = 10
CODE_ROUTES_COMMON_TRAFFIC = 0
CODE_ROUTES_MOBILE_NODES_ONLY = 16  # "does not route common traffic", RFC 5944 2.1

_FIRST_SEQUENCE_AFTER_ROLL_OVER = 256

_ADVERTISEMENT = struct.Struct("!BBHBBH")  # type, code, checksum, number of addresses, words per address, lifetime
_ADDRESS = struct.Struct("!Ii")
_WORDS_PER_ADDRESS = _ADDRESS.size // 4
_SOLICITATION = struct.Struct("!BBHI")

_Kind = TypeVar("_Kind", MobilityAgent, PrefixLengths, AdvertisedChallenge)


def next_sequence(sequence: int) -> int:
    """The sequence number after ``sequence``: 0xffff is followed by 256, since 0..255 tell a reboot (D9, D10)."""
    return _FIRST_SEQUENCE_AFTER_ROLL_OVER if sequence >= UINT16_MAX else sequence + 1


@dataclass(frozen=True, slots=True)
class RouterAddress:
    """One address of an advertisement; ``preference`` is signed, higher is better (RFC 1256 3)."""

    address: IPv4Address
    preference: int = 0

    def __post_init__(self) -> None:
        if not -(2**31) <= self.preference < 2**31:
            raise EncodeError(f"preference is {self.preference}, expected a signed 32-bit number")


@dataclass(frozen=True, slots=True)
class RouterAdvertisement:
    """A plain router's advertisement (RFC 1256 3), lifetime in seconds. ``layout``: see ``advertisement_layout``."""

    lifetime_s: int
    routers: tuple[RouterAddress, ...]
    prefix_lengths: tuple[int, ...] | None = None
    code: int = CODE_ROUTES_COMMON_TRAFFIC
    challenge: bytes | None = None
    unknown: tuple[RawExtension, ...] = ()
    layout: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.routers:
            raise EncodeError("a router advertisement has no address, expected at least one (RFC 1256 5.2)")
        _require_router_part(self)
        object.__setattr__(self, "layout", normal_layout(_optional_extensions(self), self.layout))

    def encode(self) -> bytes:
        """The whole ICMP message, checksum included."""
        return _encode_advertisement(self, arranged(_optional_extensions(self), self.layout))

    @classmethod
    def decode(cls, icmp: bytes) -> RouterAdvertisement:
        """Read a whole ICMP message; DecodeError when it is anything else, an agent advertisement included."""
        advertisement = _decode_advertisement(icmp)
        if not isinstance(advertisement, cls):
            raise DecodeError("the advertisement has a mobility agent extension (16), expected a plain router's")
        return advertisement


@dataclass(frozen=True, slots=True)
class AgentAdvertisement:
    """A mobility agent's advertisement (RFC 5944 2.1), lifetimes in seconds. ``layout``: see ``advertisement_layout``.

    Made only as rule D4 allows: at least one of the H and F bits, R and B only with F, a care-of address with F.
    """

    lifetime_s: int
    routers: tuple[RouterAddress, ...]
    sequence: int
    registration_lifetime_s: int
    flags: AgentFlags
    care_of_addresses: tuple[IPv4Address, ...] = ()
    prefix_lengths: tuple[int, ...] | None = None
    code: int = CODE_ROUTES_COMMON_TRAFFIC
    challenge: bytes | None = None
    unknown: tuple[RawExtension, ...] = ()
    layout: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require_router_part(self)
        object.__setattr__(self, "layout", normal_layout(self._extensions(), self.layout))

    def _extensions(self) -> tuple[Extension, ...]:
        agent = MobilityAgent(self.sequence, self.registration_lifetime_s, self.flags, self.care_of_addresses)
        return (agent, *_optional_extensions(self))

    def encode(self) -> bytes:
        """The whole ICMP message, checksum included."""
        return _encode_advertisement(self, arranged(self._extensions(), self.layout))

    @classmethod
    def decode(cls, icmp: bytes) -> AgentAdvertisement:
        """Read a whole ICMP message; DecodeError when it is anything else, a plain router's advertisement included."""
        advertisement = _decode_advertisement(icmp)
        if not isinstance(advertisement, cls):
            raise DecodeError("the advertisement has no mobility agent extension (16), expected an agent's")
        return advertisement


@dataclass(frozen=True, slots=True)
class Solicitation:
    """A router solicitation, which is the agent solicitation as well (RFC 5944 2.2).

    ``reserved`` is sent as zero; what others put there, or behind it, is kept and has no meaning (RFC 1256 5.1).
    """

    reserved: int = 0
    extensions: tuple[Extension, ...] = ()

    def __post_init__(self) -> None:
        require_at_most(self.reserved, UINT32_MAX, "reserved field of the solicitation")

    def encode(self) -> bytes:
        """The whole ICMP message, checksum included."""
        header = _SOLICITATION.pack(ROUTER_SOLICITATION_TYPE, 0, 0, self.reserved)
        return with_checksum(header + encode_extensions(self.extensions))

    @classmethod
    def decode(cls, icmp: bytes) -> Solicitation:
        """Read a whole ICMP message; DecodeError when it is not a valid solicitation (RFC 1256 5.1)."""
        require_icmp(icmp, ROUTER_SOLICITATION_TYPE, (0,), _SOLICITATION.size)
        _, _, _, reserved = _SOLICITATION.unpack_from(icmp)
        return cls(reserved, decode_extensions(icmp, _SOLICITATION.size, {}))


def decode_icmp(icmp: bytes) -> AgentAdvertisement | RouterAdvertisement | Solicitation:
    """Read a whole ICMP message of type 9 or 10; DecodeError for any other type, and for one that is not valid."""
    if icmp[:1] == bytes((ROUTER_SOLICITATION_TYPE,)):
        return Solicitation.decode(icmp)
    return _decode_advertisement(icmp)


def _require_router_part(advertisement: RouterAdvertisement | AgentAdvertisement) -> None:
    addresses = len(advertisement.routers)
    require_at_most(advertisement.lifetime_s, UINT16_MAX, "lifetime of the advertisement")
    require_at_most(addresses, UINT8_MAX, "number of router addresses")
    if advertisement.code not in (CODE_ROUTES_COMMON_TRAFFIC, CODE_ROUTES_MOBILE_NODES_ONLY):
        raise EncodeError(f"code of the advertisement is {advertisement.code}, expected 0 or 16")
    lengths = advertisement.prefix_lengths
    if lengths is not None and len(lengths) != addresses:
        raise EncodeError(f"the advertisement has {len(lengths)} prefix lengths, expected {addresses} (RFC 5944 2.1.2)")


def _optional_extensions(advertisement: RouterAdvertisement | AgentAdvertisement) -> tuple[Extension, ...]:
    """The extensions that either kind of advertisement may have, in the order in which we write them."""
    extensions: list[Extension] = []
    if advertisement.prefix_lengths is not None:
        extensions.append(PrefixLengths(advertisement.prefix_lengths))
    if advertisement.challenge is not None:
        extensions.append(AdvertisedChallenge(advertisement.challenge))
    return (*extensions, *advertisement.unknown)


def _encode_advertisement(
    advertisement: RouterAdvertisement | AgentAdvertisement, extensions: list[Extension]
) -> bytes:
    header = _ADVERTISEMENT.pack(
        ROUTER_ADVERTISEMENT_TYPE,
        advertisement.code,
        0,
        len(advertisement.routers),
        _WORDS_PER_ADDRESS,
        advertisement.lifetime_s,
    )
    routers = [_ADDRESS.pack(int(router.address), router.preference) for router in advertisement.routers]
    return with_checksum(header + b"".join(routers) + encode_extensions(extensions))


def _decode_advertisement(icmp: bytes) -> RouterAdvertisement | AgentAdvertisement:
    codes = (CODE_ROUTES_COMMON_TRAFFIC, CODE_ROUTES_MOBILE_NODES_ONLY)
    require_icmp(icmp, ROUTER_ADVERTISEMENT_TYPE, codes, _ADVERTISEMENT.size)
    _, code, _, addresses, words, lifetime_s = _ADVERTISEMENT.unpack_from(icmp)
    end_of_addresses = _ADVERTISEMENT.size + addresses * _ADDRESS.size
    if words != _WORDS_PER_ADDRESS:
        raise DecodeError(f"address entry size of the advertisement is {words}, expected {_WORDS_PER_ADDRESS}")
    if end_of_addresses > len(icmp):
        raise DecodeError(f"the advertisement has {len(icmp)} bytes, too few for {addresses} router addresses")
    entries = _ADDRESS.iter_unpack(icmp[_ADVERTISEMENT.size : end_of_addresses])
    routers = tuple(RouterAddress(IPv4Address(address), preference) for address, preference in entries)
    try:
        extensions = decode_extensions(icmp, end_of_addresses, ADVERTISEMENT_EXTENSIONS)
        return _assembled(code, lifetime_s, routers, extensions)
    except EncodeError as error:  # a value that may not be sent is not accepted either
        raise DecodeError(error.message) from error


def _assembled(
    code: int, lifetime_s: int, routers: tuple[RouterAddress, ...], extensions: tuple[Extension, ...]
) -> RouterAdvertisement | AgentAdvertisement:
    """Sort the extensions into the fields that they stand for."""
    agent = _single(extensions, MobilityAgent)
    prefixes = _single(extensions, PrefixLengths)
    challenge = _single(extensions, AdvertisedChallenge)
    prefix_lengths = prefixes.lengths if prefixes is not None else None
    challenge_bytes = challenge.challenge if challenge is not None else None
    unknown = tuple(extension for extension in extensions if isinstance(extension, RawExtension))
    layout = tuple(extension.type for extension in extensions)
    if agent is None:
        return RouterAdvertisement(lifetime_s, routers, prefix_lengths, code, challenge_bytes, unknown, layout)
    return AgentAdvertisement(
        lifetime_s,
        routers,
        agent.sequence,
        agent.registration_lifetime_s,
        agent.flags,
        agent.care_of_addresses,
        prefix_lengths,
        code,
        challenge_bytes,
        unknown,
        layout,
    )


def _single(extensions: tuple[Extension, ...], kind: type[_Kind]) -> _Kind | None:
    """The extension of this kind, if any; DecodeError when it is there twice."""
    found = [extension for extension in extensions if isinstance(extension, kind)]
    if len(found) > 1:
        raise DecodeError(f"the advertisement has extension {found[0].type} {len(found)} times, expected it once")
    return found[0] if found else None
