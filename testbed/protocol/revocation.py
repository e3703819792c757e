"""Registration Revocation and its acknowledgement (RFC 3543 3.3, 3.4): messages 7 and 15 on port 434.

An agent tells the other end of a tunnel that a registration is over. Both carry an authentication, foreign-home, or
mobile-home where the care-of address is the mobile node's own: ``authentication.sign`` and ``verify`` take them. In
which order they must come is in ``revocation_order``; when to revoke, and to whom, is for the agents. Reserved bits
are sent as zero; what others put there is kept and has no meaning.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv4Address
from typing import ClassVar, Self

from testbed.protocol.extension_table import REGISTRATION_EXTENSIONS
from testbed.protocol.extensions import Extension, decode_extensions, encode_extensions
from testbed.protocol.fields import UINT8_MAX, UINT16_MAX, UINT32_MAX, require_at_most
from testbed.protocol.message_types import MessageType, require_message

_REVOCATION = struct.Struct("!BBHIIII")
_ACKNOWLEDGEMENT = struct.Struct("!BBHII")


class RevocationFlags(IntFlag):
    """The flags of a revocation; the fourteen bits below are reserved."""

    FROM_HOME_AGENT = 0x8000  # A
    INFORM = 0x4000  # I: the mobile node may be told


class AcknowledgementFlags(IntFlag):
    """The flags of an acknowledgement; the fifteen bits below are reserved."""

    INFORM = 0x8000  # I: the mobile node is told


@dataclass(frozen=True, slots=True)
class Revocation:
    """A registration is over (RFC 3543 3.3).

    ``identifier`` is a timestamp of the revoking agent, in the order of ``revocation_order``; ``home_domain`` and
    ``foreign_domain`` are the addresses of the home agent and of the foreign agent (or the care-of address).
    """

    TYPE: ClassVar = MessageType.REVOCATION

    flags: RevocationFlags
    home_address: IPv4Address
    home_domain: IPv4Address
    foreign_domain: IPv4Address
    identifier: int
    extensions: tuple[Extension, ...] = ()
    reserved: int = 0

    def __post_init__(self) -> None:
        require_at_most(self.flags, UINT16_MAX, "flags of the revocation")
        require_at_most(self.identifier, UINT32_MAX, "identifier of the revocation")
        require_at_most(self.reserved, UINT8_MAX, "reserved field of the revocation")

    @property
    def from_home_agent(self) -> bool:
        """Whether a home agent sent it (bit A); else a foreign agent did."""
        return bool(self.flags & RevocationFlags.FROM_HOME_AGENT)

    def acknowledgement(self, *, informed: bool = False) -> RevocationAcknowledgement:
        """The answer to this revocation, not yet authenticated."""
        flags = AcknowledgementFlags.INFORM if informed else AcknowledgementFlags(0)
        return RevocationAcknowledgement(flags, self.home_address, self.identifier)

    def encode_fixed(self) -> bytes:
        """The 20 bytes before the extensions."""
        return _REVOCATION.pack(
            self.TYPE,
            self.reserved,
            self.flags,
            int(self.home_address),
            int(self.home_domain),
            int(self.foreign_domain),
            self.identifier,
        )

    def encode(self) -> bytes:
        """The whole UDP payload."""
        return self.encode_fixed() + encode_extensions(self.extensions)

    def with_extensions(self, extensions: tuple[Extension, ...]) -> Self:
        """The same revocation with other extensions."""
        return type(self)(
            self.flags,
            self.home_address,
            self.home_domain,
            self.foreign_domain,
            self.identifier,
            extensions,
            self.reserved,
        )

    @classmethod
    def decode(cls, udp_payload: bytes) -> Revocation:
        """Read a whole UDP payload; DecodeError when it is not a revocation or breaks the layout."""
        require_message(udp_payload, cls.TYPE, _REVOCATION.size)
        _, reserved, flags, home_address, home_domain, foreign_domain, identifier = _REVOCATION.unpack_from(udp_payload)
        return cls(
            RevocationFlags(flags),
            IPv4Address(home_address),
            IPv4Address(home_domain),
            IPv4Address(foreign_domain),
            identifier,
            decode_extensions(udp_payload, _REVOCATION.size, REGISTRATION_EXTENSIONS),
            reserved,
        )


@dataclass(frozen=True, slots=True)
class RevocationAcknowledgement:
    """A revocation was taken note of (RFC 3543 3.4); ``identifier`` is that of the revocation."""

    TYPE: ClassVar = MessageType.REVOCATION_ACKNOWLEDGEMENT

    flags: AcknowledgementFlags
    home_address: IPv4Address
    identifier: int
    extensions: tuple[Extension, ...] = ()
    reserved: int = 0

    def __post_init__(self) -> None:
        require_at_most(self.flags, UINT16_MAX, "flags of the acknowledgement")
        require_at_most(self.identifier, UINT32_MAX, "identifier of the acknowledgement")
        require_at_most(self.reserved, UINT8_MAX, "reserved field of the acknowledgement")

    def acknowledges(self, revocation: Revocation) -> bool:
        """Whether it answers this revocation."""
        return (self.home_address, self.identifier) == (revocation.home_address, revocation.identifier)

    def encode_fixed(self) -> bytes:
        """The 12 bytes before the extensions."""
        return _ACKNOWLEDGEMENT.pack(self.TYPE, self.reserved, self.flags, int(self.home_address), self.identifier)

    def encode(self) -> bytes:
        """The whole UDP payload."""
        return self.encode_fixed() + encode_extensions(self.extensions)

    def with_extensions(self, extensions: tuple[Extension, ...]) -> Self:
        """The same acknowledgement with other extensions."""
        return type(self)(self.flags, self.home_address, self.identifier, extensions, self.reserved)

    @classmethod
    def decode(cls, udp_payload: bytes) -> RevocationAcknowledgement:
        """Read a whole UDP payload; DecodeError when it is not an acknowledgement or breaks the layout."""
        require_message(udp_payload, cls.TYPE, _ACKNOWLEDGEMENT.size)
        _, reserved, flags, home_address, identifier = _ACKNOWLEDGEMENT.unpack_from(udp_payload)
        return cls(
            AcknowledgementFlags(flags),
            IPv4Address(home_address),
            identifier,
            decode_extensions(udp_payload, _ACKNOWLEDGEMENT.size, REGISTRATION_EXTENSIONS),
            reserved,
        )
