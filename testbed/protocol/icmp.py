"""What all ICMP messages have in common: type, code, and a checksum over everything (RFC 792, RFC 1256 5)."""

from __future__ import annotations

from collections.abc import Container

from testbed.errors import DecodeError
from testbed.protocol.packets import internet_checksum

_CHECKSUM = slice(2, 4)


def with_checksum(icmp: bytes) -> bytes:
    """``icmp`` with its checksum filled in; the field must be zero."""
    return icmp[: _CHECKSUM.start] + internet_checksum(icmp).to_bytes(2, "big") + icmp[_CHECKSUM.stop :]


def require_icmp(icmp: bytes, message_type: int, codes: Container[int], least_length: int) -> None:
    """Raise DecodeError unless ``icmp`` has this type, one of these codes, enough bytes and a right checksum."""
    if len(icmp) < least_length:
        raise DecodeError(f"an ICMP message has {len(icmp)} bytes, expected at least {least_length}")
    if icmp[0] != message_type:
        raise DecodeError(f"ICMP type is {icmp[0]}, expected {message_type}")
    if icmp[1] not in codes:
        raise DecodeError(f"ICMP code of type {message_type} is {icmp[1]}, expected {codes}")
    checksum = int.from_bytes(icmp[_CHECKSUM], "big")
    expected = internet_checksum(icmp[: _CHECKSUM.start] + bytes(2) + icmp[_CHECKSUM.stop :])
    if checksum != expected:
        raise DecodeError(f"ICMP checksum is {checksum:#06x}, expected {expected:#06x}")
