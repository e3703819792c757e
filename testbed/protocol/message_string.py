"""A text for people in a reply (RFC 4917): extension 145.

It must not change what an agent does, so text that is not UTF-8 is no error: the bytes are kept as they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from testbed.protocol.extensions import ExtensionType
from testbed.protocol.fields import UINT8_MAX, require_at_most

_HEADER_LENGTH = 3


class MessageStringSender(IntEnum):
    """The subtype: who speaks."""

    HOME_AGENT = 1
    FOREIGN_AGENT = 2


@dataclass(frozen=True, slots=True)
class MessageString:
    """Type 145: {145, 1 + n, subtype, n bytes of UTF-8}, n up to 254."""

    sender: MessageStringSender
    octets: bytes

    def __post_init__(self) -> None:
        require_at_most(len(self.octets), UINT8_MAX - 1, "length of the message string")

    @property
    def type(self) -> int:
        return ExtensionType.MESSAGE_STRING

    @property
    def text(self) -> str:
        """The text, with a replacement character for what is not UTF-8."""
        return self.octets.decode(errors="replace")

    def encode(self) -> bytes:
        return bytes((self.type, 1 + len(self.octets), self.sender)) + self.octets

    @classmethod
    def of(cls, sender: MessageStringSender, text: str) -> MessageString:
        """The extension for this text."""
        return cls(sender, text.encode())

    @classmethod
    def decode(cls, extension: bytes) -> MessageString:
        """Read a whole extension of type 145 and subtype 1 or 2."""
        return cls(MessageStringSender(extension[2]), extension[_HEADER_LENGTH:])
