"""The challenge that a mobile node answers, or a foreign agent gives for next time (RFC 4721 4): extension 132.

How challenges are issued and judged is in ``challenge_issuer``; the challenge of an advertisement (ICMP type 24) is in
``advertisement_extensions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.errors import EncodeError
from testbed.protocol.extensions import Extension, ExtensionType
from testbed.protocol.fields import UINT8_MAX

_HEADER_LENGTH = 2
_AUTHENTICATIONS = (ExtensionType.MOBILE_FOREIGN_AUTHENTICATION, ExtensionType.GENERALISED_AUTHENTICATION)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Type 132: {132, n, n random bytes}, n from 1 to 255."""

    challenge: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.challenge) <= UINT8_MAX:
            raise EncodeError(f"a challenge has {len(self.challenge)} bytes, expected 1..{UINT8_MAX}")

    @property
    def type(self) -> int:
        return ExtensionType.CHALLENGE

    def encode(self) -> bytes:
        return bytes((self.type, len(self.challenge))) + self.challenge

    @classmethod
    def decode(cls, extension: bytes) -> Challenge:
        """Read a whole extension of type 132; EncodeError when it is empty."""
        return cls(extension[_HEADER_LENGTH:])


def challenge_is_authenticated(extensions: Sequence[Extension]) -> bool:
    """Whether an authentication 33 or 36 stands behind each challenge.

    A request for which this is false is silently discarded (RFC 4721 3.2). True where there is no challenge.
    """
    authenticated = True
    for extension in extensions:
        if extension.type == ExtensionType.CHALLENGE:
            authenticated = False
        elif extension.type in _AUTHENTICATIONS:
            authenticated = True
    return authenticated
