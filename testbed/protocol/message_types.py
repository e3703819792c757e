"""What all messages on UDP port 434 have in common: the port, and a first byte that says which one it is.

The messages themselves are in ``registration``, ``revocation`` and ``tunnel_data``; what arrives is told apart by
``registration.decode_message``.
"""

from __future__ import annotations

from enum import IntEnum

from testbed.errors import DecodeError

REGISTRATION_PORT = 434


class MessageType(IntEnum):
    """Types of messages that are read here; 16 to 21 (RFC 4881, 4857, 4988) are not."""

    REGISTRATION_REQUEST = 1
    REGISTRATION_REPLY = 3
    TUNNEL_DATA = 4  # RFC 3519
    REVOCATION = 7  # RFC 3543
    REVOCATION_ACKNOWLEDGEMENT = 15  # RFC 3543


def require_message(udp_payload: bytes, message_type: MessageType, fixed_length: int) -> None:
    """Raise DecodeError unless the payload is of this type and has room for the fixed part."""
    if len(udp_payload) >= fixed_length and udp_payload[0] == message_type:
        return
    name = message_type.name.lower().replace("_", " ")
    if len(udp_payload) < fixed_length:
        raise DecodeError(f"a {name} has {len(udp_payload)} bytes, expected at least {fixed_length}")
    raise DecodeError(f"message type is {udp_payload[0]}, expected {int(message_type)} ({name})")
