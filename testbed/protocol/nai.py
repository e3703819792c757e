"""The network access identifier of a mobile node, ``user@realm`` (RFC 2794, RFC 4282): extension 131.

It names a node that asks for a home address (home address 0.0.0.0 in the request), and must come back in the reply.
Its grammar is not judged here: an agent knows the name or it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.extensions import ExtensionType
from testbed.protocol.fields import UINT8_MAX

_HEADER_LENGTH = 2


@dataclass(frozen=True, slots=True)
class NetworkAccessIdentifier:
    """Type 131: {131, n, n bytes of UTF-8}, n from 1 to 255."""

    nai: str

    def __post_init__(self) -> None:
        try:
            length = len(self.nai.encode())
        except UnicodeEncodeError as error:
            raise EncodeError(f"a network access identifier is no UTF-8 text: {error.reason}") from error
        if not 1 <= length <= UINT8_MAX:
            raise EncodeError(f"a network access identifier has {length} bytes, expected 1..{UINT8_MAX}")

    @property
    def type(self) -> int:
        return ExtensionType.NETWORK_ACCESS_IDENTIFIER

    def encode(self) -> bytes:
        octets = self.nai.encode()
        return bytes((self.type, len(octets))) + octets

    @classmethod
    def decode(cls, extension: bytes) -> NetworkAccessIdentifier:
        """Read a whole extension of type 131; DecodeError when it is not UTF-8, EncodeError when it is empty."""
        try:
            return cls(extension[_HEADER_LENGTH:].decode())
        except UnicodeDecodeError as error:
            raise DecodeError(f"a network access identifier is no UTF-8 text: {error.reason}") from error
