"""The records that a checked TCP connection carries: numbered, of known content, compared byte for byte.

What a record holds follows from the side that sends it and its number, so that the receiver knows every byte that must
come. Pure: no sockets.
"""

from __future__ import annotations

import hashlib
import struct

# A word that no protocol begins with (tshark would guess at one), number of the record, bytes of content.
_HEADER = struct.Struct("!4sII")
_MAGIC = b"MIPr"
_LARGE_EVERY = 20
_LARGE_BYTES = 3000  # more than one segment: path MTU discovery has to work through a tunnel
_SMALL_BYTES = 100


def record(side: str, number: int) -> bytes:
    """The record that ``side`` sends as its ``number``-th, from 0."""
    size = _LARGE_BYTES if number % _LARGE_EVERY == _LARGE_EVERY - 1 else _SMALL_BYTES + number * 37 % 300
    content = hashlib.shake_128(f"{side} {number}".encode()).digest(size)
    return _HEADER.pack(_MAGIC, number, size) + content


class RecordReader:
    """Takes bytes as they come and counts whole records that are what ``side`` must have sent."""

    def __init__(self, side: str) -> None:
        self.records = 0
        self.bytes = 0
        self.corrupt: str | None = None  # what was wrong with the first byte that was wrong
        self._side = side
        self._expected = record(side, 0)
        self._pending = b""

    def feed(self, received: bytes) -> int:
        """Returns the number of records completed by these bytes; nothing counts any more after a wrong byte."""
        if self.corrupt:
            return 0
        self._pending += received
        completed = 0
        while len(self._pending) >= len(self._expected):
            if not self._pending.startswith(self._expected):
                break
            self.bytes += len(self._expected)
            self._pending = self._pending[len(self._expected) :]
            self.records += 1
            completed += 1
            self._expected = record(self._side, self.records)
        if not self._expected.startswith(self._pending[: len(self._expected)]):
            self.corrupt = self._first_difference()
        return completed

    def _first_difference(self) -> str:
        pairs = zip(self._pending, self._expected, strict=False)
        offset, (came, expected) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        return f"record {self.records}, byte {offset}: {came:#04x} came, {expected:#04x} was sent"
