"""Registration Request and Reply, and the dispatch of what arrives on UDP port 434 (RFC 5944 3.3, 3.4).

A message is a frozen value; ``decode(b).encode() == b`` for every ``b`` that is accepted, so that an agent can relay
what it read. Only the layout is judged here: what flags, addresses and lifetimes mean together, and which reply code
they earn, is for the agents; authenticators are the concern of ``authentication``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.extension_table import REGISTRATION_EXTENSIONS
from testbed.protocol.extensions import Extension, decode_extensions, encode_extensions
from testbed.protocol.fields import UINT8_MAX, UINT16_MAX, UINT64_MAX, require_at_most
from testbed.protocol.message_types import REGISTRATION_PORT, MessageType, require_message
from testbed.protocol.reply_codes import ReplyCode, denied_by, describe_code, is_accepted, reply_code

if TYPE_CHECKING:
    from testbed.protocol.revocation import Revocation, RevocationAcknowledgement
    from testbed.protocol.tunnel_data import TunnelData

__all__ = [
    "INFINITE_LIFETIME_S",
    "REGISTRATION_PORT",
    "MessageType",
    "RegistrationReply",
    "RegistrationRequest",
    "ReplyCode",
    "RequestFlags",
    "SupportedMessage",
    "UnsupportedMessage",
    "decode_message",
    "describe_code",
]

INFINITE_LIFETIME_S = 0xFFFF  # "a value of 0xffff indicates infinity", RFC 5944 3.3

_REQUEST = struct.Struct("!BBHIIIQ")
_REPLY = struct.Struct("!BBHIIQ")


class RequestFlags(IntFlag):
    """The second byte of a Registration Request (RFC 5944 3.3, RFC 3024 3.2)."""

    SIMULTANEOUS_BINDINGS = 0x80
    BROADCASTS = 0x40
    DECAPSULATES = 0x20  # D: the mobile node itself ends the tunnel
    MINIMAL = 0x10
    GRE = 0x08
    RESERVED_r = 0x04  # sent as zero, ignored on reception
    REVERSE_TUNNEL = 0x02
    RESERVED_x = 0x01  # sent as zero, ignored on reception


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """A mobile node asks for a binding, or with ``lifetime_s`` 0 for the end of one (RFC 5944 3.3)."""

    TYPE: ClassVar = MessageType.REGISTRATION_REQUEST

    flags: RequestFlags
    lifetime_s: int
    home_address: IPv4Address
    home_agent: IPv4Address
    care_of_address: IPv4Address
    identification: int
    extensions: tuple[Extension, ...] = ()

    def __post_init__(self) -> None:
        require_at_most(self.flags, UINT8_MAX, "flags of the request")
        require_at_most(self.lifetime_s, UINT16_MAX, "lifetime of the request")
        require_at_most(self.identification, UINT64_MAX, "identification of the request")

    def encode_fixed(self) -> bytes:
        """The 24 bytes before the extensions."""
        return _REQUEST.pack(
            self.TYPE,
            self.flags,
            self.lifetime_s,
            int(self.home_address),
            int(self.home_agent),
            int(self.care_of_address),
            self.identification,
        )

    def encode(self) -> bytes:
        """The whole UDP payload."""
        return self.encode_fixed() + encode_extensions(self.extensions)

    def with_extensions(self, extensions: tuple[Extension, ...]) -> Self:
        """The same request with other extensions."""
        return type(self)(
            self.flags,
            self.lifetime_s,
            self.home_address,
            self.home_agent,
            self.care_of_address,
            self.identification,
            extensions,
        )

    @classmethod
    def decode(cls, udp_payload: bytes) -> RegistrationRequest:
        """Read a whole UDP payload; DecodeError when it is not a Registration Request or breaks the layout."""
        require_message(udp_payload, cls.TYPE, _REQUEST.size)
        _, flags, lifetime_s, home, agent, care_of, identification = _REQUEST.unpack_from(udp_payload)
        return cls(
            RequestFlags(flags),
            lifetime_s,
            IPv4Address(home),
            IPv4Address(agent),
            IPv4Address(care_of),
            identification,
            decode_extensions(udp_payload, _REQUEST.size, REGISTRATION_EXTENSIONS),
        )


@dataclass(frozen=True, slots=True)
class RegistrationReply:
    """An agent's answer; ``code`` is a ReplyCode where it has a name, else the plain number (RFC 5944 3.4)."""

    TYPE: ClassVar = MessageType.REGISTRATION_REPLY

    code: int
    lifetime_s: int
    home_address: IPv4Address
    home_agent: IPv4Address
    identification: int
    extensions: tuple[Extension, ...] = ()

    def __post_init__(self) -> None:
        require_at_most(self.code, UINT8_MAX, "code of the reply")
        require_at_most(self.lifetime_s, UINT16_MAX, "lifetime of the reply")
        require_at_most(self.identification, UINT64_MAX, "identification of the reply")

    @property
    def accepted(self) -> bool:
        """Whether the registration was granted."""
        return is_accepted(self.code)

    @property
    def denied_by(self) -> str | None:
        """``"foreign agent"``, ``"home agent"`` or None, by the range of the code."""
        return denied_by(self.code)

    def encode_fixed(self) -> bytes:
        """The 20 bytes before the extensions."""
        return _REPLY.pack(
            self.TYPE, self.code, self.lifetime_s, int(self.home_address), int(self.home_agent), self.identification
        )

    def encode(self) -> bytes:
        """The whole UDP payload."""
        return self.encode_fixed() + encode_extensions(self.extensions)

    def with_extensions(self, extensions: tuple[Extension, ...]) -> Self:
        """The same reply with other extensions."""
        return type(self)(
            self.code, self.lifetime_s, self.home_address, self.home_agent, self.identification, extensions
        )

    @classmethod
    def decode(cls, udp_payload: bytes) -> RegistrationReply:
        """Read a whole UDP payload; DecodeError when it is not a Registration Reply or breaks the layout."""
        require_message(udp_payload, cls.TYPE, _REPLY.size)
        _, code, lifetime_s, home, agent, identification = _REPLY.unpack_from(udp_payload)
        return cls(
            reply_code(code),
            lifetime_s,
            IPv4Address(home),
            IPv4Address(agent),
            identification,
            decode_extensions(udp_payload, _REPLY.size, REGISTRATION_EXTENSIONS),
        )


@dataclass(frozen=True, slots=True)
class UnsupportedMessage:
    """A message of a type that is not read here; ``payload`` is what follows the type byte, unjudged."""

    type: int
    payload: bytes

    def __post_init__(self) -> None:
        require_at_most(self.type, UINT8_MAX, "message type")
        if self.type in _DECODERS:
            raise EncodeError(f"message type {self.type} is supported, expected one that is not")

    def encode(self) -> bytes:
        """The whole UDP payload."""
        return bytes((self.type,)) + self.payload


def _decode_tunnel_data(udp_payload: bytes) -> TunnelData:
    from testbed.protocol.tunnel_data import TunnelData  # late, as the rarer extensions are: see extension_table

    return TunnelData.decode(udp_payload)


def _decode_revocation(udp_payload: bytes) -> Revocation | RevocationAcknowledgement:
    from testbed.protocol.revocation import Revocation, RevocationAcknowledgement  # late, likewise

    kind = Revocation if udp_payload[0] == MessageType.REVOCATION else RevocationAcknowledgement
    return kind.decode(udp_payload)


SupportedMessage: TypeAlias = (
    "RegistrationRequest | RegistrationReply | TunnelData | Revocation | RevocationAcknowledgement"
)

_DECODERS: Mapping[int, Callable[[bytes], SupportedMessage]] = {
    MessageType.REGISTRATION_REQUEST: RegistrationRequest.decode,
    MessageType.REGISTRATION_REPLY: RegistrationReply.decode,
    MessageType.TUNNEL_DATA: _decode_tunnel_data,
    MessageType.REVOCATION: _decode_revocation,
    MessageType.REVOCATION_ACKNOWLEDGEMENT: _decode_revocation,
}


def decode_message(udp_payload: bytes) -> SupportedMessage | UnsupportedMessage:
    """Read a UDP payload that arrived on port 434; DecodeError when it is empty or breaks the layout of its type."""
    if not udp_payload:
        raise DecodeError("a message on port 434 is empty, expected at least a type")
    decoder = _DECODERS.get(udp_payload[0])
    return UnsupportedMessage(udp_payload[0], udp_payload[1:]) if decoder is None else decoder(udp_payload)
