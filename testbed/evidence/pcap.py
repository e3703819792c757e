"""Reads one pcap file while it grows.

Knows the file format (pcap-savefile(5)): micro- or nanoseconds, either byte order, a record that is not complete yet.
Says nothing about what the frames hold.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from testbed.errors import LabError

_FILE_HEADER_SIZE = 24
_RECORD_HEADER_SIZE = 16
_LARGEST_RECORD = 0x40000  # tcpdump's largest snapshot length: a longer record means that the file is damaged

# magic number as it stands in the file -> byte order, nanoseconds for one unit of the fraction of a second
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


class Record(NamedTuple):
    """One captured frame."""

    time_ns: int  # since the Unix epoch
    wire_length: int  # in bytes; the frame is shorter where it was cut
    frame: bytes


class PcapTail:
    """Hands out the records of a pcap file that were not handed out before.

    The file need not exist yet, and its last record may be incomplete: both mean "nothing new".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.linktype: int | None = None  # known once the file header was read
        self._position = 0
        self._rest = b""
        self._record = struct.Struct("<IIII")
        self._unit_ns = 1

    def read(self) -> list[Record]:
        """New complete records, in file order. Raises LabError where the file is not a pcap file or is damaged."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._position)
                content = file.read()
        except FileNotFoundError:
            return []
        self._position += len(content)
        content = self._rest + content
        offset = 0
        if self.linktype is None:
            if len(content) < _FILE_HEADER_SIZE:
                self._rest = content
                return []
            self._read_file_header(content)
            offset = _FILE_HEADER_SIZE
        records, offset = self._records(content, offset)
        self._rest = content[offset:]
        return records

    def _read_file_header(self, content: bytes) -> None:
        order, self._unit_ns = _MAGIC.get(content[:4], ("", 0))
        if not order:
            raise LabError(f"{self.path} is not a pcap file: it begins with {content[:4].hex()}")
        self._record = struct.Struct(order + "IIII")
        (self.linktype,) = struct.unpack_from(order + "I", content, 20)

    def _records(self, content: bytes, offset: int) -> tuple[list[Record], int]:
        records: list[Record] = []
        unpack, unit_ns, size = self._record.unpack_from, self._unit_ns, len(content)
        while offset + _RECORD_HEADER_SIZE <= size:
            seconds, fraction, captured, wire_length = unpack(content, offset)
            if captured > _LARGEST_RECORD:
                raise LabError(f"{self.path} is damaged: a record of {captured} bytes")
            start = offset + _RECORD_HEADER_SIZE
            if start + captured > size:
                break
            offset = start + captured
            time_ns = seconds * 1_000_000_000 + fraction * unit_ns
            records.append(Record(time_ns, wire_length, content[start:offset]))
        return records, offset
