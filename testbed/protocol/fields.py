"""Checks of single fields that every message shares; which fields a message has is said where the message is."""

from __future__ import annotations

from testbed.errors import EncodeError

UINT8_MAX = 0xFF
UINT16_MAX = 0xFFFF
UINT32_MAX = 0xFFFF_FFFF
UINT64_MAX = 0xFFFF_FFFF_FFFF_FFFF


def require_at_most(value: int, maximum: int, what: str) -> None:
    """Raise EncodeError unless ``value`` is in 0..``maximum``; ``what`` names the field in the message."""
    if not 0 <= value <= maximum:
        raise EncodeError(f"{what} is {value}, expected 0..{maximum}")
