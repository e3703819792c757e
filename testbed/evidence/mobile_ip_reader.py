"""Turns the bytes of Mobile IP messages into the fields of ``mobile_ip_messages.py``, with scapy.

Only ``mobile_ip.py`` imports this, and late: scapy takes half a second. Messages are remembered by their bytes, since
every capture on the way of a message holds it again and checks look again and again.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any

from scapy.utils import checksum

from testbed.evidence.mobile_ip_layers import (
    AgentAdvertisementExtension,
    Authentication,
    Challenge,
    GeneralisedAuthentication,
    MobileIP,
    PadByte,
    PrefixLengths,
    RegistrationExtensions,
    RouterAdvertisement,
    RouterSolicitation,
)
from testbed.evidence.mobile_ip_messages import REQUEST, SeenExtension

_REQUEST_FLAGS = "SBDMGrTx"  # from the most significant bit on, RFC 5944, 3.3
_AGENT_FLAGS = "RBHFMGrTUXI"  # likewise, of sixteen bits, 2.1.1
_FIXED_SIZES = {1: 24, 3: 20}  # of requests and replies, in bytes
_ADVERTISEMENT_HEADER_SIZE = 8

Fields = dict[str, Any]


@lru_cache(maxsize=4096)
def registration_fields(message: bytes) -> Fields | None:
    """Of a request or reply; None where not even the fixed part is there."""
    fixed_size = _FIXED_SIZES.get(message[0], 0) if message else 0
    if not fixed_size or len(message) < fixed_size:
        return None
    fixed = MobileIP(message[:fixed_size]).payload
    extensions, malformed = _extensions(RegistrationExtensions(message[fixed_size:]).parts, message, fixed_size)
    fields: Fields = {
        "type": message[0],
        "lifetime_s": fixed.lifetime,
        "home_address": IPv4Address(fixed.homeaddr),
        "home_agent": IPv4Address(fixed.haaddr),
        "identification": fixed.id,
        "extensions": extensions,
        "malformed": malformed,
    }
    if message[0] == REQUEST:
        fields["flags"] = _letters(fixed.flags, 8, _REQUEST_FLAGS)
        fields["care_of_address"] = IPv4Address(fixed.coaddr)
    else:
        fields["code"] = fixed.code
    return fields


@lru_cache(maxsize=4096)
def advertisement_fields(message: bytes) -> Fields:
    """Of an ICMP router advertisement, which begins with its type."""
    checksum_right = checksum(message) == 0
    routers_size = 8 * message[4] if len(message) >= _ADVERTISEMENT_HEADER_SIZE else 0
    extensions_at = _ADVERTISEMENT_HEADER_SIZE + routers_size
    fields: Fields = {"code": message[1], "checksum_right": checksum_right, "lifetime_s": 0, "routers": ()}
    if len(message) < extensions_at or message[5] != 2:
        return fields | {"malformed": f"{len(message)} bytes do not hold the router addresses"}
    seen = RouterAdvertisement(message)
    extensions, malformed = _extensions(seen.parts, message, extensions_at)
    fields |= {
        "lifetime_s": seen.lifetime,
        "routers": tuple(IPv4Address(entry.address) for entry in seen.addresses),
        "extensions": extensions,
        "malformed": malformed,
    }
    for part in seen.parts:
        fields |= _advertisement_part_fields(part)
    return fields


@lru_cache(maxsize=4096)
def solicitation_fields(message: bytes) -> Fields:
    """Of an ICMP router solicitation."""
    malformed = None if len(message) == 8 else f"{len(message)} bytes, not 8"
    return {
        "code": RouterSolicitation(message).code,
        "checksum_right": checksum(message) == 0,
        "malformed": malformed,
    }


def _advertisement_part_fields(part: Any) -> Fields:
    if isinstance(part, AgentAdvertisementExtension):
        return {
            "agent": True,
            "sequence": part.sequence,
            "registration_lifetime_s": part.lifetime,
            "flags": _letters(part.flags, 16, _AGENT_FLAGS),
            "care_of_addresses": tuple(IPv4Address(address) for address in part.care_of),
        }
    if isinstance(part, PrefixLengths):
        return {"prefix_lengths": tuple(part.lengths)}
    if isinstance(part, Challenge):
        return {"challenge": part.challenge}
    return {}


def _extensions(parts: list[Any], message: bytes, offset: int) -> tuple[tuple[SeenExtension, ...], str | None]:
    """What scapy found from ``offset`` on, and what is wrong with it. Bytes behind a broken one are not looked at."""
    found: list[SeenExtension] = []
    for part in parts:
        header_size = _header_size(part)
        size = header_size + (part.len if header_size > 1 else 0) if header_size else 0
        if not size or offset + size > len(message):
            return tuple(found), f"the extension at byte {offset} does not end within the message"
        spi = authenticator = None
        covered = b""
        if isinstance(part, Authentication | GeneralisedAuthentication):
            if part.len < 4:
                return tuple(found), f"the authentication extension at byte {offset} has no SPI"
            spi, authenticator, covered = part.spi, part.authenticator, message[: offset + header_size + 4]
        payload = message[offset + header_size : offset + size]
        found.append(SeenExtension(part.type, payload, spi, authenticator, covered))
        offset += size
    return tuple(found), None


def _header_size(part: Any) -> int:
    """Bytes of type, subtype and length; 0 for what scapy could not read."""
    if isinstance(part, PadByte):
        return 1
    if not hasattr(part, "len") or part.len is None:
        return 0
    return 4 if "subtype" in part.fields else 2


def _letters(flags: int, width: int, letters: str) -> str:
    return "".join(letter for bit, letter in enumerate(letters) if flags >> (width - 1 - bit) & 1)
