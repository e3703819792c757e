"""Networks that move with a mobile router (RFC 5177 4): extension 148, a prefix asked for or answered.

A prefix is kept as it came, so that a home agent can refuse a bad one by its code. Which prefixes a router may have,
and the reply codes 147 and 148, are for the agents.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network

from testbed.errors import EncodeError
from testbed.protocol.extensions import ExtensionType, unpack_extension
from testbed.protocol.fields import UINT8_MAX, require_at_most

_REQUEST = struct.Struct("!BBBBI")
_REQUEST_LENGTH = 6
_ACKNOWLEDGEMENT = struct.Struct("!BBBBBBI")
_ACKNOWLEDGEMENT_LENGTH = 8


class MobileNetworkSubtype(IntEnum):
    """What an extension 148 is."""

    REQUEST = 0
    EXPLICIT_ACKNOWLEDGEMENT = 1  # of a prefix that was asked for
    IMPLICIT_ACKNOWLEDGEMENT = 2  # of a prefix that the home agent knows by itself


class MobileNetworkCode(IntEnum):
    """What became of a prefix; a code without a name stays a plain int."""

    ACCEPTED = 0
    INVALID_PREFIX_LENGTH = 1
    NOT_AUTHORISED = 2
    FORWARDING_SETUP_FAILED = 3


_CODES = {int(code): code for code in MobileNetworkCode}


@dataclass(frozen=True, slots=True)
class MobileNetworkRequest:
    """Type 148, subtype 0: {148, 6, 0, prefix length in bits (1), prefix (4)}."""

    prefix_length: int
    prefix: IPv4Address

    def __post_init__(self) -> None:
        require_at_most(self.prefix_length, UINT8_MAX, "prefix length of the mobile network")

    @property
    def type(self) -> int:
        return ExtensionType.MOBILE_NETWORK

    @property
    def network(self) -> IPv4Network | None:
        """The network, or None where the length is above 32 or the prefix has bits behind it."""
        return _network(self.prefix, self.prefix_length)

    def encode(self) -> bytes:
        subtype = MobileNetworkSubtype.REQUEST
        return _REQUEST.pack(self.type, _REQUEST_LENGTH, subtype, self.prefix_length, int(self.prefix))

    @classmethod
    def of(cls, network: IPv4Network) -> MobileNetworkRequest:
        """The request for this network."""
        return cls(network.prefixlen, network.network_address)

    @classmethod
    def decode(cls, extension: bytes) -> MobileNetworkRequest:
        """Read a whole extension of type 148 and subtype 0; DecodeError when its length is not 6."""
        _, _, _, prefix_length, prefix = unpack_extension(_REQUEST, extension)
        return cls(prefix_length, IPv4Address(prefix))


@dataclass(frozen=True, slots=True)
class MobileNetworkAcknowledgement:
    """Type 148, subtypes 1 and 2: {148, 8, subtype, code (1), prefix length in bits (1), reserved (1), prefix (4)}."""

    subtype: MobileNetworkSubtype
    code: int
    prefix_length: int
    prefix: IPv4Address
    reserved: int = 0

    def __post_init__(self) -> None:
        if self.subtype == MobileNetworkSubtype.REQUEST:
            raise EncodeError("subtype of a mobile network acknowledgement is 0 (a request), expected 1 or 2")
        require_at_most(self.code, UINT8_MAX, "code of the mobile network acknowledgement")
        require_at_most(self.prefix_length, UINT8_MAX, "prefix length of the mobile network")
        require_at_most(self.reserved, UINT8_MAX, "reserved field of the mobile network acknowledgement")

    @property
    def type(self) -> int:
        return ExtensionType.MOBILE_NETWORK

    @property
    def network(self) -> IPv4Network | None:
        """The network, or None where the length is above 32 or the prefix has bits behind it."""
        return _network(self.prefix, self.prefix_length)

    def encode(self) -> bytes:
        return _ACKNOWLEDGEMENT.pack(
            self.type,
            _ACKNOWLEDGEMENT_LENGTH,
            self.subtype,
            self.code,
            self.prefix_length,
            self.reserved,
            int(self.prefix),
        )

    @classmethod
    def decode(cls, extension: bytes) -> MobileNetworkAcknowledgement:
        """Read a whole extension of type 148 and subtype 1 or 2; DecodeError when its length is not 8."""
        _, _, subtype, code, prefix_length, reserved, prefix = unpack_extension(_ACKNOWLEDGEMENT, extension)
        return cls(MobileNetworkSubtype(subtype), _CODES.get(code, code), prefix_length, IPv4Address(prefix), reserved)


def decode_mobile_network(extension: bytes) -> MobileNetworkRequest | MobileNetworkAcknowledgement:
    """Read a whole extension of type 148, by its subtype."""
    if extension[2] == MobileNetworkSubtype.REQUEST:
        return MobileNetworkRequest.decode(extension)
    return MobileNetworkAcknowledgement.decode(extension)


def _network(prefix: IPv4Address, prefix_length: int) -> IPv4Network | None:
    try:
        return IPv4Network((int(prefix), prefix_length))
    except ValueError:
        return None
