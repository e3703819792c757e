"""Mobile IP for scapy, as far as scapy stops short: extensions of registration messages, and agent advertisements.

Importing this takes scapy's own half second: ``mobile_ip.py`` does so when the first message is read. Nothing is bound
to scapy's layers, so that scapy behaves in this process as it does elsewhere.
"""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    ByteField,
    FieldLenField,
    FieldListField,
    IntField,
    IPField,
    PacketListField,
    ShortField,
    SignedIntField,
    StrLenField,
    XIntField,
    XShortField,
)
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ
from scapy.packet import Packet

__all__ = [
    "AgentAdvertisementExtension",
    "Authentication",
    "Challenge",
    "Extension",
    "GeneralisedAuthentication",
    "LongExtension",
    "MobileIP",
    "MobileIPRRP",
    "MobileIPRRQ",
    "PadByte",
    "PrefixLengths",
    "RegistrationExtensions",
    "RouterAdvertisement",
]


_MOST = 65536  # parts of a message: as many as its bytes; scapy's own limit of 100 would make a long message an error


class _Part(Packet):  # type: ignore[misc]  # scapy has no types
    """A part of a message: what follows it is the next part, not its payload."""

    def extract_padding(self, rest: bytes) -> tuple[bytes, bytes]:
        return b"", rest


class PadByte(_Part):
    """Type 0: one byte, no length."""

    fields_desc = [ByteField("type", 0)]  # noqa: RUF012 - scapy's way


class Extension(_Part):
    """Type, length, data (RFC 5944, 1.8 to 1.10)."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 255),
        FieldLenField("len", None, length_of="data", fmt="B"),
        StrLenField("data", b"", length_from=lambda part: part.len),
    ]


class LongExtension(_Part):
    """Type, subtype, length in two bytes, data (RFC 5944, 1.9)."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 38),
        ByteField("subtype", 0),
        FieldLenField("len", None, length_of="data", fmt="H"),
        StrLenField("data", b"", length_from=lambda part: part.len),
    ]


class Authentication(_Part):
    """Mobile-home, mobile-foreign or foreign-home authentication (RFC 5944, 3.5.2 to 3.5.4)."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 32),
        FieldLenField("len", None, length_of="authenticator", fmt="B", adjust=lambda _, size: size + 4),
        XIntField("spi", 256),
        StrLenField("authenticator", b"", length_from=lambda part: max(0, part.len - 4)),
    ]


class GeneralisedAuthentication(_Part):
    """RFC 4721, section 5: like the above, with a subtype and a length of two bytes."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 36),
        ByteField("subtype", 1),
        FieldLenField("len", None, length_of="authenticator", fmt="H", adjust=lambda _, size: size + 4),
        XIntField("spi", 256),
        StrLenField("authenticator", b"", length_from=lambda part: max(0, part.len - 4)),
    ]


_REGISTRATION_PARTS = {
    0: PadByte,
    32: Authentication,
    33: Authentication,
    34: Authentication,
    36: GeneralisedAuthentication,
    38: LongExtension,
}


def _registration_part(_message: Any, _parts: Any, _current: Any, remaining: bytes) -> type[_Part] | None:
    return _REGISTRATION_PARTS.get(remaining[0], Extension) if remaining else None


class RegistrationExtensions(Packet):  # type: ignore[misc]
    """All that follows the fixed part of a registration message."""

    fields_desc = [PacketListField("parts", [], next_cls_cb=_registration_part, max_count=_MOST)]  # noqa: RUF012


class AgentAdvertisementExtension(_Part):
    """Type 16, RFC 5944, 2.1.1. ``flags`` is the word R B H F M G r T U X I and five reserved bits."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 16),
        FieldLenField("len", None, count_of="care_of", fmt="B", adjust=lambda _, count: 6 + 4 * count),
        ShortField("sequence", 0),
        ShortField("lifetime", 1800),
        XShortField("flags", 0),
        FieldListField(
            "care_of", [], IPField("", "0.0.0.0"), length_from=lambda part: max(0, part.len - 6), max_count=_MOST
        ),
    ]


class PrefixLengths(_Part):
    """Type 19, RFC 5944, 2.1.2: one byte for each router address."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 19),
        FieldLenField("len", None, count_of="lengths", fmt="B"),
        FieldListField("lengths", [], ByteField("", 0), length_from=lambda part: part.len, max_count=_MOST),
    ]


class Challenge(_Part):
    """Type 24, RFC 4721, section 2."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 24),
        FieldLenField("len", None, length_of="challenge", fmt="B"),
        StrLenField("challenge", b"", length_from=lambda part: part.len),
    ]


_ADVERTISEMENT_PARTS = {0: PadByte, 16: AgentAdvertisementExtension, 19: PrefixLengths, 24: Challenge}


def _advertisement_part(_message: Any, _parts: Any, _current: Any, remaining: bytes) -> type[_Part] | None:
    return _ADVERTISEMENT_PARTS.get(remaining[0], Extension) if remaining else None


class RouterAddress(_Part):
    """One entry of a router advertisement, for the entry size 2 that RFC 1256 knows."""

    fields_desc = [IPField("address", "0.0.0.0"), SignedIntField("preference", 0)]  # noqa: RUF012


class RouterAdvertisement(Packet):  # type: ignore[misc]
    """The whole ICMP message (RFC 1256, section 3) with all extensions; the checksum is as it is given."""

    fields_desc = [  # noqa: RUF012
        ByteField("type", 9),
        ByteField("code", 0),
        XShortField("chksum", 0),
        FieldLenField("count", None, count_of="addresses", fmt="B"),
        ByteField("entry_size", 2),
        ShortField("lifetime", 1800),
        PacketListField("addresses", [], RouterAddress, count_from=lambda message: message.count, max_count=_MOST),
        PacketListField("parts", [], next_cls_cb=_advertisement_part, max_count=_MOST),
    ]


class RouterSolicitation(Packet):  # type: ignore[misc]
    """RFC 1256, section 3; RFC 5944, 2.2 adds nothing to it."""

    fields_desc = [ByteField("type", 10), ByteField("code", 0), XShortField("chksum", 0), IntField("reserved", 0)]  # noqa: RUF012
