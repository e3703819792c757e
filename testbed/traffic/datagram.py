"""The datagrams of a numbered UDP stream: what is in them, and nothing about sending them.

Read by the receiving program and, out of captures, by ``stream_report.py``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"MIPt"
_HEADER = struct.Struct("!4sIIQ")
SMALLEST = _HEADER.size  # bytes of UDP payload


class Datagram(NamedTuple):
    stream: int  # 32 bits, one for each direction of each stream
    sequence: int  # from 0, 32 bits
    sent_ns: int  # Unix time

    def encode(self, size: int) -> bytes:
        """UDP payload of ``size`` bytes, at least :data:`SMALLEST`."""
        return _HEADER.pack(MAGIC, self.stream, self.sequence, self.sent_ns).ljust(size, b"\0")


def decode(payload: bytes) -> Datagram | None:
    """None where the payload is not of a numbered stream."""
    if len(payload) < SMALLEST:
        return None
    magic, *fields = _HEADER.unpack_from(payload)
    return Datagram(*fields) if magic == MAGIC else None
