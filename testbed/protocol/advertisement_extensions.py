"""The extensions of an ICMP router advertisement: types, layout, limits (RFC 5944 2.1.1, 2.1.2; RFC 4721 2).

These numbers are apart from those of registration messages. How the extensions make up an advertisement is the concern
of ``discovery``. A new one is a value class here or in a module of its own, and one line in the table below.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv4Address

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.extensions import ExtensionCodec, ExtensionType
from testbed.protocol.fields import UINT8_MAX, UINT16_MAX, require_at_most

_AGENT_HEADER = struct.Struct("!BBHHH")
_ADDRESS_LENGTH = 4
_AGENT_LENGTH_WITHOUT_ADDRESSES = 6
_MOST_CARE_OF_ADDRESSES = (UINT8_MAX - _AGENT_LENGTH_WITHOUT_ADDRESSES) // _ADDRESS_LENGTH
_LONGEST_PREFIX = 32


class AgentFlags(IntFlag):
    """The flag word of a mobility agent advertisement, high bit first (RFC 5944 2.1.1 and where noted).

    Bits 11 to 15 are reserved: never set by us, ignored and kept when read.
    """

    REGISTRATION_REQUIRED = 0x8000
    BUSY = 0x4000
    HOME_AGENT = 0x2000
    FOREIGN_AGENT = 0x1000
    MINIMAL_ENCAPSULATION = 0x0800
    GRE = 0x0400
    RESERVED_r = 0x0200
    REVERSE_TUNNELLING = 0x0100  # RFC 3024
    UDP_TUNNELLING = 0x0080  # RFC 3519
    REVOCATION = 0x0040  # RFC 3543
    REGIONAL = 0x0020  # RFC 4857


@dataclass(frozen=True, slots=True)
class MobilityAgent:
    """Type 16: {16, 6 + 4n, sequence (2), registration lifetime in seconds (2), flags (2), n care-of addresses}."""

    sequence: int
    registration_lifetime_s: int
    flags: AgentFlags
    care_of_addresses: tuple[IPv4Address, ...] = ()

    def __post_init__(self) -> None:
        require_at_most(self.sequence, UINT16_MAX, "sequence number of the advertisement")
        require_at_most(self.registration_lifetime_s, UINT16_MAX, "registration lifetime of the advertisement")
        require_at_most(self.flags, UINT16_MAX, "flags of the advertisement")
        require_at_most(len(self.care_of_addresses), _MOST_CARE_OF_ADDRESSES, "number of care-of addresses")
        _require_possible_flags(self.flags, len(self.care_of_addresses))

    @property
    def type(self) -> int:
        return ExtensionType.MOBILITY_AGENT_ADVERTISEMENT

    def encode(self) -> bytes:
        addresses = b"".join([address.packed for address in self.care_of_addresses])
        length = _AGENT_LENGTH_WITHOUT_ADDRESSES + len(addresses)
        header = _AGENT_HEADER.pack(self.type, length, self.sequence, self.registration_lifetime_s, self.flags)
        return header + addresses

    @classmethod
    def decode(cls, extension: bytes) -> MobilityAgent:
        """Read a whole extension of type 16; DecodeError when its length is not 6 + 4n, EncodeError as when made."""
        addresses = extension[_AGENT_HEADER.size :]
        if len(extension) < _AGENT_HEADER.size or len(addresses) % _ADDRESS_LENGTH:
            raise DecodeError(f"mobility agent advertisement extension has length {extension[1]}, expected 6 + 4n")
        _, _, sequence, lifetime_s, flags = _AGENT_HEADER.unpack_from(extension)
        care_of_addresses = tuple(IPv4Address(number) for (number,) in struct.iter_unpack("!I", addresses))
        return cls(sequence, lifetime_s, AgentFlags(flags), care_of_addresses)


def _require_possible_flags(flags: AgentFlags, care_of_addresses: int) -> None:
    """RFC 5944 2.1.1; rule D4."""
    foreign = bool(flags & AgentFlags.FOREIGN_AGENT)
    if not foreign and not flags & AgentFlags.HOME_AGENT:
        raise EncodeError("an advertisement has neither the H nor the F bit, expected at least one")
    if not foreign and flags & AgentFlags.BUSY:
        raise EncodeError("an advertisement has the B bit without the F bit")
    if not foreign and flags & AgentFlags.REGISTRATION_REQUIRED:
        raise EncodeError("an advertisement has the R bit without the F bit")
    if foreign and not care_of_addresses:
        raise EncodeError("an advertisement has the F bit and no care-of address, expected at least one")


@dataclass(frozen=True, slots=True)
class PrefixLengths:
    """Type 19: {19, n, n prefix lengths in bits}, one for each router address of the advertisement, in order."""

    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        require_at_most(len(self.lengths), UINT8_MAX, "number of prefix lengths")
        for length in self.lengths:
            require_at_most(length, _LONGEST_PREFIX, "prefix length")

    @property
    def type(self) -> int:
        return ExtensionType.PREFIX_LENGTHS

    def encode(self) -> bytes:
        return bytes((self.type, len(self.lengths), *self.lengths))

    @classmethod
    def decode(cls, extension: bytes) -> PrefixLengths:
        """Read a whole extension of type 19; EncodeError when a prefix is longer than 32 bits."""
        return cls(tuple(extension[2:]))


@dataclass(frozen=True, slots=True)
class AdvertisedChallenge:
    """Type 24: {24, n, n random bytes}, "SHOULD be at least 4" (RFC 4721 2)."""

    challenge: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.challenge) <= UINT8_MAX:
            raise EncodeError(f"a challenge has {len(self.challenge)} bytes, expected 1..{UINT8_MAX}")

    @property
    def type(self) -> int:
        return ExtensionType.ADVERTISED_CHALLENGE

    def encode(self) -> bytes:
        return bytes((self.type, len(self.challenge))) + self.challenge

    @classmethod
    def decode(cls, extension: bytes) -> AdvertisedChallenge:
        """Read a whole extension of type 24; EncodeError when it is empty."""
        return cls(extension[2:])


ADVERTISEMENT_EXTENSIONS: Mapping[int, ExtensionCodec] = {
    ExtensionType.MOBILITY_AGENT_ADVERTISEMENT: ExtensionCodec(MobilityAgent.decode),
    ExtensionType.PREFIX_LENGTHS: ExtensionCodec(PrefixLengths.decode),
    ExtensionType.ADVERTISED_CHALLENGE: ExtensionCodec(AdvertisedChallenge.decode),
}
